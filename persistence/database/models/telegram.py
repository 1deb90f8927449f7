"""What the bot at Telegram remembers: who connects, what waits for a confirmation, and which updates were taken."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field

from persistence.database.models.base import TableModel, instant_field, integer_field, text_field


class TelegramCode(TableModel, table=True):
    """The code by which a user's chat connects, of which a user has one at a time. It is good once."""

    __tablename__ = "telegram_codes"
    __table_args__ = (
        CheckConstraint("octet_length(code_hash) = 32", name="code_hash"),
        UniqueConstraint("code_hash"),
    )

    user_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    )
    code_hash: bytes
    expires_at: datetime = instant_field()


class TelegramConfirmation(TableModel, table=True):
    """A panic that a chat was asked to confirm, of which a chat has one at a time. `used_by`: the update that did."""

    __tablename__ = "telegram_confirmations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["channel_id", "user_id"], ["notification_channels.id", "notification_channels.user_id"], ondelete="CASCADE"
        ),
        CheckConstraint("octet_length(word_hash) = 32", name="word_hash"),
    )

    channel_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    user_id: int = integer_field()
    word_hash: bytes
    attempts: int = integer_field(default=0)
    expires_at: datetime = instant_field()
    used_by: int | None = integer_field(nullable=True)


class TelegramPoller(TableModel, table=True):
    """Which process asks for the updates of a bot: it holds the lease. `next_update_id` is the offset to ask with, and
    `heard_at` when the last update came."""

    __tablename__ = "telegram_pollers"

    bot_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    holder: str | None = text_field(nullable=True)
    leased_until: datetime | None = instant_field(nullable=True)
    next_update_id: int | None = integer_field(nullable=True)
    heard_at: datetime | None = instant_field(nullable=True)


class TelegramUpdate(TableModel, table=True):
    """An update that a process has taken, so that no other carries it out; kept for two days."""

    __tablename__ = "telegram_updates"
    __table_args__ = (Index(None, "taken_at"),)

    bot_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    update_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    taken_at: datetime = instant_field(now=True)
    done_at: datetime | None = instant_field(nullable=True)
