"""Users, their logins and refresh tokens (rows A1, A2)."""

import uuid
from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)
from sqlmodel import Field

from persistence.database.models.base import (
    TableModel,
    id_field,
    instant_field,
    one_of,
    reference_field,
    text_field,
)

_LOGIN_ENDS = ("logout", "password_changed", "password_reset", "token_reused", "account_deleted")


class User(TableModel, table=True):
    """A tenant (row A1). E-mail addresses are kept in lower case."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("email = lower(email) AND email <> ''", name="email"),)

    id: int = id_field()
    email: str = text_field(unique=True)
    password_hash: str = text_field()
    created_at: datetime = instant_field(now=True)
    deleted_at: datetime | None = instant_field(nullable=True)


class Login(TableModel, table=True):
    """From the password to the logout. Its access tokens and its refresh tokens are good until it has ended."""

    __tablename__ = "logins"
    __table_args__ = (
        one_of("end_reason", *_LOGIN_ENDS),
        CheckConstraint("end_reason IS NULL OR ended_at IS NOT NULL", name="ended_at"),
        UniqueConstraint("id", "user_id"),
        Index(None, "user_id", "address"),
        Index(None, "ended_at"),
        Index("logins_open_started_at", "started_at", postgresql_where=text("ended_at IS NULL")),
    )

    id: uuid.UUID = Field(primary_key=True)
    user_id: int = reference_field("users.id", ondelete="CASCADE")
    address: str | None = text_field(nullable=True)
    started_at: datetime = instant_field()
    ended_at: datetime | None = instant_field(nullable=True)
    end_reason: str | None = text_field(nullable=True)


class RefreshToken(TableModel, table=True):
    """One refresh token, stored as its SHA-256. Using one twice ends its login."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash"),
        CheckConstraint("expires_at > issued_at", name="expires_at"),
        ForeignKeyConstraint(["login_id", "user_id"], ["logins.id", "logins.user_id"], ondelete="CASCADE"),
        Index(None, "user_id"),
        Index(None, "login_id"),
    )

    id: int = id_field()
    user_id: int = reference_field("users.id", ondelete="CASCADE")
    token_hash: bytes = Field(unique=True)
    login_id: uuid.UUID
    issued_at: datetime = instant_field()
    expires_at: datetime = instant_field()
    used_at: datetime | None = instant_field(nullable=True)
