"""Panics (row N8): a user's entries are forbidden, and everything that his strategies hold is sold."""

import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field

from persistence.database.models.base import TableModel, instant_field, json_field, one_of, reference_field, text_field

_OF_TIME = 7
"""The version of ids that say when they were made (RFC 9562, section 5.7)."""


def new_panic_id(called_at: datetime) -> uuid.UUID:
    """An id whose first 48 bits are the milliseconds of the call: a store that hears of it later knows when it was."""
    milliseconds, noise = int(called_at.timestamp() * 1000), secrets.randbits(74)
    head = milliseconds << 16 | _OF_TIME << 12 | noise >> 62
    return uuid.UUID(int=head << 64 | 0b10 << 62 | noise & ((1 << 62) - 1))


def called_at(panic_id: uuid.UUID) -> datetime | None:
    """When the panic of that id was called; None if the id does not say."""
    if panic_id.version != _OF_TIME:
        return None
    return datetime.fromtimestamp((panic_id.int >> 80) / 1000, UTC)


class Panic(TableModel, table=True):
    """One panic. Entries are forbidden while `unlocked_at` is empty, of which a user has at most one.

    `asked_by`: who called it; `asked_at`: when, also if PostgreSQL has heard of it later. `finished_at`: when no run of
    it was open any more. `not_touched`: what the account showed then, under `shares`: it was never the strategies'.
    Empty if the account could not be read.
    """

    __tablename__ = "panics"
    __table_args__ = (
        one_of("asked_by", "user", "operator"),
        Index("panics_one_lock_per_user", "user_id", unique=True, postgresql_where=text("unlocked_at IS NULL")),
        Index("panics_unfinished", "user_id", postgresql_where=text("finished_at IS NULL")),
        Index(None, "user_id", "asked_at"),
    )

    id: uuid.UUID = Field(primary_key=True)
    user_id: int = reference_field("users.id", ondelete="CASCADE")
    asked_by: str = text_field(default="user")
    asked_at: datetime = instant_field(now=True)
    finished_at: datetime | None = instant_field(nullable=True)
    unlocked_at: datetime | None = instant_field(nullable=True)
    not_touched: dict[str, Any] | None = json_field(nullable=True)
