"""What traders are notified of, and how they want it (row N1)."""

from datetime import datetime, time
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlmodel import Field

from persistence.database.models.base import (
    TableModel,
    id_field,
    instant_field,
    integer_field,
    json_field,
    one_of,
    reference_field,
    text_field,
)


class Notification(TableModel, table=True):
    """One notice of one fact: the inbox, and the outbox that senders read.

    `key` names the fact: there is one row of it. `condition` names something that lasts, until `over_at`; while it
    does there is one open row of it. `resolves`: this row says that the condition of another one is over. `brief` is
    the text without amounts. `handed_over_at`: when its deliveries were made out.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        CheckConstraint("key <> ''", name="key"),
        CheckConstraint("kind <> ''", name="kind"),
        CheckConstraint("text <> '' AND brief <> ''", name="text"),
        CheckConstraint("over_at IS NULL OR condition IS NOT NULL", name="over_at"),
        ForeignKeyConstraint(
            ["strategy_id", "user_id"], ["strategies.id", "strategies.user_id"], ondelete="SET NULL (strategy_id)"
        ),
        UniqueConstraint("user_id", "key"),
        Index(
            "notifications_one_open_per_condition",
            "user_id",
            "condition",
            unique=True,
            postgresql_where=sql("over_at IS NULL AND condition IS NOT NULL"),
        ),
        Index(None, "user_id", "id"),
        Index("notifications_unread", "user_id", postgresql_where=sql("read_at IS NULL")),
        Index("notifications_to_hand_over", "id", postgresql_where=sql("handed_over_at IS NULL")),
        Index(None, "strategy_id"),
        Index(None, "recorded_at"),
    )

    id: int = id_field()
    user_id: int = reference_field("users.id", ondelete="CASCADE")
    key: str = text_field()
    kind: str = text_field()
    text: str = text_field()
    brief: str = text_field()
    condition: str | None = text_field(nullable=True)
    resolves: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=sql("false")))
    strategy_id: int | None = integer_field(nullable=True)
    run_id: int | None = integer_field(nullable=True)
    at: datetime = instant_field()
    recorded_at: datetime = instant_field(now=True)
    over_at: datetime | None = instant_field(nullable=True)
    read_at: datetime | None = instant_field(nullable=True)
    handed_over_at: datetime | None = instant_field(nullable=True)


class NotificationPreferences(TableModel, table=True):
    """How a user wants notices; a user without a row has chosen nothing.

    `quiet_from`, `quiet_until`: wall-clock times of the exchange, or neither. `amounts`: texts with amounts of money
    may be shown where others can see them. `levels`: the kinds whose level is not the usual one.
    """

    __tablename__ = "notification_preferences"
    __table_args__ = (
        CheckConstraint("(quiet_from IS NULL) = (quiet_until IS NULL)", name="quiet_until"),
        CheckConstraint("quiet_from <> quiet_until", name="quiet_from"),
    )

    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    )
    quiet_from: time | None = None
    quiet_until: time | None = None
    amounts: bool = Field(sa_column=Column(Boolean, nullable=False))
    levels: dict[str, Any] = json_field()
    updated_at: datetime = instant_field(now=True)


CHANNEL_KINDS = ("email", "webpush", "telegram", "apprise")


class NotificationChannel(TableModel, table=True):
    """Where notices of a user are sent to. Nothing but a code goes there before it is verified.

    `address_box` is the address, encrypted for its user; `address_hash` its SHA-256, by which the same address is found
    again; `hint` what the user knows it by. A chat of Telegram is one user's at a time. `muted_until`: until then only
    what money may depend on goes there. `code_hash`: of the one-time code that verifies it. `state`: `failed` after too
    many failures, until the user tests it.
    """

    __tablename__ = "notification_channels"
    __table_args__ = (
        one_of("kind", *CHANNEL_KINDS),
        one_of("state", "unverified", "active", "failed"),
        CheckConstraint("octet_length(address_hash) = 32", name="address_hash"),
        CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),
        CheckConstraint("(code_hash IS NULL) = (code_expires_at IS NULL)", name="code_expires_at"),
        CheckConstraint("(state = 'unverified') = (verified_at IS NULL)", name="verified_at"),
        UniqueConstraint("user_id", "kind", "address_hash"),
        UniqueConstraint("id", "user_id"),
        Index(None, "kind", "address_hash"),
        Index(None, "key_version", "id"),
        Index(
            "notification_channels_one_owner_of_a_chat",
            "address_hash",
            unique=True,
            postgresql_where=sql("kind = 'telegram'"),
        ),
    )

    id: int = id_field()
    user_id: int = reference_field("users.id", ondelete="CASCADE")
    kind: str = text_field()
    hint: str = text_field()
    address_box: bytes
    key_version: str = text_field()
    address_hash: bytes
    state: str = text_field()
    code_hash: bytes | None = Field(default=None, nullable=True)
    code_expires_at: datetime | None = instant_field(nullable=True)
    code_attempts: int = integer_field(default=0)
    verified_at: datetime | None = instant_field(nullable=True)
    failures: int = integer_field(default=0)
    last_failure: str | None = text_field(nullable=True)
    muted_until: datetime | None = instant_field(nullable=True)
    created_at: datetime = instant_field(now=True)


class NotificationDelivery(TableModel, table=True):
    """One notice on its way to one channel. `leased_until`: one sender has it until then, and no other takes it.
    `may_wait`: it goes with others of the channel, in one message."""

    __tablename__ = "notification_deliveries"
    __table_args__ = (
        one_of("outcome", "sent", "failed", "expired"),
        CheckConstraint("(outcome IS NULL) = (settled_at IS NULL)", name="settled_at"),
        ForeignKeyConstraint(
            ["channel_id", "user_id"], ["notification_channels.id", "notification_channels.user_id"], ondelete="CASCADE"
        ),
        UniqueConstraint("notification_id", "channel_id"),
        Index(None, "channel_id"),
        Index("notification_deliveries_due", "due_at", postgresql_where=sql("outcome IS NULL")),
    )

    id: int = id_field()
    notification_id: int = reference_field("notifications.id", ondelete="CASCADE")
    channel_id: int = integer_field()
    user_id: int = integer_field()
    silent: bool = Field(sa_column=Column(Boolean, nullable=False))
    may_wait: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=sql("false")))
    due_at: datetime = instant_field()
    attempts: int = integer_field(default=0)
    leased_until: datetime | None = instant_field(nullable=True)
    outcome: str | None = text_field(nullable=True)
    settled_at: datetime | None = instant_field(nullable=True)
    reason: str | None = text_field(nullable=True)
