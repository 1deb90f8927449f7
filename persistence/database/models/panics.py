"""Panics (row N8): a user's entries are forbidden, and everything that his strategies hold is sold."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field

from persistence.database.models.base import TableModel, instant_field, json_field, one_of, reference_field, text_field


class Panic(TableModel, table=True):
    """One panic. Entries are forbidden while `unlocked_at` is empty, of which a user has at most one.

    `asked_by`: who called it. `finished_at`: when no run of it was open any more. `not_touched`: what the account
    showed then, under `shares`: it was never the strategies'. Empty if the account could not be read.
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
