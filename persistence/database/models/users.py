"""Users, their logins and refresh tokens (rows A1, A2)."""

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
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

_LOGIN_ENDS = (
    "logout", "ended_by_user", "expired", "password_changed", "password_reset", "token_reused", "account_deleted",
)  # fmt: skip


class User(TableModel, table=True):
    """A tenant (row A1). E-mail addresses are kept in lower case.

    `reset_code_hash` is the SHA-256 of the code with which the user may set a new password, if the operator gave one.
    `disconnected_account`: broker and broker's user id of the account that the user disconnected last.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("email = lower(email) AND email <> ''", name="email"),
        CheckConstraint("octet_length(reset_code_hash) = 32", name="reset_code_hash"),
        CheckConstraint("(reset_code_hash IS NULL) = (reset_code_expires_at IS NULL)", name="reset_code_expires_at"),
    )

    id: int = id_field()
    email: str = text_field(unique=True)
    password_hash: str = text_field()
    created_at: datetime = instant_field(now=True)
    deleted_at: datetime | None = instant_field(nullable=True)
    disconnected_account: str | None = text_field(nullable=True)
    reset_code_hash: bytes | None = Field(default=None, unique=True, nullable=True)
    reset_code_expires_at: datetime | None = instant_field(nullable=True)


class Invitation(TableModel, table=True):
    """The operator's leave for one e-mail address to register, stored as the SHA-256 of its code. Of no tenant yet."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("email = lower(email) AND email <> ''", name="email"),
        CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),
        CheckConstraint("expires_at > invited_at", name="expires_at"),
    )

    id: int = id_field()
    email: str = text_field(unique=True)
    code_hash: bytes = Field(unique=True)
    invited_at: datetime = instant_field()
    expires_at: datetime = instant_field()


class Login(TableModel, table=True):
    """From the password to the logout. Its access tokens and its refresh tokens are good until it has ended.

    `number` is what the user calls it by. `address` is the network that the password came from, `last_address` the one
    that its tokens were last handed out to, at `last_used_at`. `confirmed_at`: when the password was last given.
    """

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
    number: int = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), unique=True, nullable=False))
    user_id: int = reference_field("users.id", ondelete="CASCADE")
    address: str | None = text_field(nullable=True)
    last_address: str | None = text_field(nullable=True)
    user_agent: str = text_field(default="")
    started_at: datetime = instant_field()
    last_used_at: datetime = instant_field(now=True)
    confirmed_at: datetime = instant_field(now=True)
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
