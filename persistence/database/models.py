"""The tables of the database. What must never be true is refused by the database, not only by Python.

Money: `…_paise` columns are integers, averages and sums are NUMERIC rupees. Every instant is a timestamptz.
Tables that belong to a tenant carry its `user_id`, and composite foreign keys keep it from drifting apart from the
row above it (row K1; `ON DELETE SET NULL (column)` needs PostgreSQL 15). `order_logs` and `audit_log` are
append-only: triggers of the first migration refuse UPDATE, DELETE and TRUNCATE.
"""

import uuid
from datetime import datetime, time
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

MONEY = Numeric(18, 6)
"""Rupees: averages over fills keep more than two decimals."""

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}


class TableModel(SQLModel):
    """Base of all tables; its metadata is what the migrations are compared with."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMING)


def _id() -> Any:
    return Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))


def _reference(target: str, *, nullable: bool = False, ondelete: str | None = None) -> Any:
    foreign_key = ForeignKey(target, ondelete=ondelete)
    return Field(default=None, sa_column=Column(BigInteger, foreign_key, nullable=nullable))


def _instant(*, nullable: bool = False, now: bool = False) -> Any:
    default = func.now() if now else None
    return Field(default=None, sa_column=Column(DateTime(timezone=True), nullable=nullable, server_default=default))


def _text(*, nullable: bool = False, default: str | None = None, unique: bool | None = None) -> Any:
    column = Column(Text, nullable=nullable, server_default=default, unique=unique)
    return Field(default=default, sa_column=column)


def _integer(*, nullable: bool = False, default: int | None = None) -> Any:
    server_default = None if default is None else text(str(default))
    return Field(default=default, sa_column=Column(BigInteger, nullable=nullable, server_default=server_default))


def _money() -> Any:
    return Field(default=None, sa_column=Column(MONEY, nullable=True))


def _json(*, nullable: bool = False) -> Any:
    server_default = None if nullable else text("'{}'::jsonb")
    return Field(
        default=None, sa_column=Column(JSONB(none_as_null=True), nullable=nullable, server_default=server_default)
    )


def _one_of(column: str, *words: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=column)


_LOGIN_ENDS = ("logout", "password_changed", "password_reset", "token_reused", "account_deleted")
_LEGS = ("ENTRY", "EXIT")
_PRODUCTS = ("MIS", "CNC")
_BROKERS = ("kite", "paper")
_STRATEGY_STATUSES = ("created", "running", "paused", "stopped")
_RUN_STATUSES = ("running", "paused", "failed", "stopped")
_POSITIONS = ("none", "buying", "bought", "selling", "sold", "exited_by_sl", "buy_failed")
_INTENT_STATES = ("armed", "claimed", "sent", "acknowledged", "filled", "rejected", "cancelled", "failed")


class User(TableModel, table=True):
    """A tenant (row A1). E-mail addresses are kept in lower case."""

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("email = lower(email) AND email <> ''", name="email"),)

    id: int = _id()
    email: str = _text(unique=True)
    password_hash: str = _text()
    created_at: datetime = _instant(now=True)
    deleted_at: datetime | None = _instant(nullable=True)


class Login(TableModel, table=True):
    """From the password to the logout. Its access tokens and its refresh tokens are good until it has ended."""

    __tablename__ = "logins"
    __table_args__ = (
        _one_of("end_reason", *_LOGIN_ENDS),
        CheckConstraint("end_reason IS NULL OR ended_at IS NOT NULL", name="ended_at"),
        UniqueConstraint("id", "user_id"),
        Index(None, "user_id", "address"),
    )

    id: uuid.UUID = Field(primary_key=True)
    user_id: int = _reference("users.id", ondelete="CASCADE")
    address: str | None = _text(nullable=True)
    started_at: datetime = _instant()
    ended_at: datetime | None = _instant(nullable=True)
    end_reason: str | None = _text(nullable=True)


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

    id: int = _id()
    user_id: int = _reference("users.id", ondelete="CASCADE")
    token_hash: bytes = Field(unique=True)
    login_id: uuid.UUID
    issued_at: datetime = _instant()
    expires_at: datetime = _instant()
    used_at: datetime | None = _instant(nullable=True)


class BrokerAccount(TableModel, table=True):
    """The one broker connection of a user (row B1); connecting again replaces it.

    An account at a broker has one owner here: budget, watcher and reservations count by this row.
    """

    __tablename__ = "broker_accounts"
    __table_args__ = (
        _one_of("broker", *_BROKERS),
        CheckConstraint("char_length(api_key_hint) <= 4", name="api_key_hint"),
        UniqueConstraint("user_id"),
        UniqueConstraint("broker", "broker_user_id"),
        UniqueConstraint("id", "user_id"),
    )

    id: int = _id()
    user_id: int = _reference("users.id", ondelete="CASCADE")
    broker: str = _text()
    broker_user_id: str = _text()
    api_key_hint: str = _text()
    secrets_box: bytes
    key_version: str = _text()
    token_obtained_at: datetime = _instant()
    connected_at: datetime = _instant(now=True)


class Strategy(TableModel, table=True):
    """What a user wants traded (row C1); wall-clock times are those of the exchange."""

    __tablename__ = "strategies"
    __table_args__ = (
        CheckConstraint("buy_time < sell_time", name="times"),
        CheckConstraint("stop_loss_paise > 0", name="stop_loss_paise"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("deleted_at IS NULL OR status IN ('created', 'stopped')", name="deleted_at"),
        _one_of("product", *_PRODUCTS),
        _one_of("status", *_STRATEGY_STATUSES),
        UniqueConstraint("id", "user_id"),
        Index(None, "user_id", "id"),
    )

    id: int = _id()
    user_id: int = _reference("users.id")
    exchange: str = _text()
    tradingsymbol: str = _text()
    instrument_token: int = _integer()
    product: str = _text()
    buy_time: time
    sell_time: time
    stop_loss_paise: int = _integer()
    quantity: int = _integer()
    status: str = _text(default="created")
    created_at: datetime = _instant(now=True)
    updated_at: datetime = _instant(now=True)
    deleted_at: datetime | None = _instant(nullable=True)


class Run(TableModel, table=True):
    """One START to its end. At most one run of a strategy is open (row D2)."""

    __tablename__ = "runs"
    __table_args__ = (
        ForeignKeyConstraint(["strategy_id", "user_id"], ["strategies.id", "strategies.user_id"]),
        ForeignKeyConstraint(
            ["broker_account_id", "user_id"],
            ["broker_accounts.id", "broker_accounts.user_id"],
            ondelete="SET NULL (broker_account_id)",
        ),
        CheckConstraint("buy_at < sell_at", name="times"),
        CheckConstraint("stop_loss_paise > 0", name="stop_loss_paise"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("filled_quantity >= 0", name="filled_quantity"),  # more than wanted is a fact to keep
        CheckConstraint("epoch >= 0", name="epoch"),
        CheckConstraint("octet_length(tag_key) >= 16", name="tag_key"),
        CheckConstraint("ended_at IS NOT NULL OR broker_account_id IS NOT NULL", name="broker_account_id"),
        _one_of("product", *_PRODUCTS),
        _one_of("status", *_RUN_STATUSES),
        _one_of("position", *_POSITIONS),
        UniqueConstraint("id", "strategy_id", "user_id"),
        Index("runs_one_open_per_strategy", "strategy_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index(None, "strategy_id", "id"),
        Index(None, "user_id"),
        Index(None, "broker_account_id", "ended_at"),
    )

    id: int = _id()
    strategy_id: int = _integer()
    user_id: int = _integer()
    broker_account_id: int | None = _integer(nullable=True)
    epoch: int = _integer(default=0)
    tag_key: bytes
    buy_at: datetime = _instant()
    sell_at: datetime = _instant()
    stop_loss_paise: int = _integer()
    quantity: int = _integer()
    product: str = _text()
    status: str = _text(default="running")
    position: str = _text(default="none")
    status_detail: str = _text(default="")
    last_action: str = _text(default="")
    message: str = _text(default="")
    state: dict[str, Any] | None = _json(nullable=True)
    filled_quantity: int = _integer(default=0)
    buy_price: Decimal | None = _money()
    sell_price: Decimal | None = _money()
    pnl: Decimal | None = _money()
    last_price_paise: int | None = _integer(nullable=True)
    last_buy_order: str | None = _text(nullable=True)
    last_sell_order: str | None = _text(nullable=True)
    last_sl_order: str | None = _text(nullable=True)
    started_at: datetime = _instant(now=True)
    ended_at: datetime | None = _instant(nullable=True)
    updated_at: datetime = _instant(now=True)


class Intent(TableModel, table=True):
    """One wish to trade, unique by run, leg and sequence number (mechanism 1)."""

    __tablename__ = "intents"
    __table_args__ = (
        _one_of("leg", *_LEGS),
        CheckConstraint("side = CASE leg WHEN 'ENTRY' THEN 'BUY' ELSE 'SELL' END", name="side"),
        CheckConstraint("seq > 0", name="seq"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("filled_quantity >= 0", name="filled_quantity"),
        CheckConstraint("tag ~ '^[A-Za-z0-9]{1,20}$'", name="tag"),
        _one_of("state", *_INTENT_STATES),
        UniqueConstraint("run_id", "leg", "seq"),
    )

    id: int = _id()
    run_id: int = _reference("runs.id")
    leg: str = _text()
    seq: int = _integer()
    side: str = _text()
    quantity: int = _integer()
    cause: str | None = _text(nullable=True)
    tag: str = _text(unique=True)
    state: str = _text(default="armed")
    claim_epoch: int | None = _integer(nullable=True)
    order_id: str | None = _text(nullable=True)
    filled_quantity: int = _integer(default=0)
    average_price: Decimal | None = _money()
    reason: str | None = _text(nullable=True)
    created_at: datetime = _instant(now=True)
    updated_at: datetime = _instant(now=True)


class OrderLog(TableModel, table=True):
    """Everything that happened to the orders of a run; append-only."""

    __tablename__ = "order_logs"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "strategy_id", "user_id"], ["runs.id", "runs.strategy_id", "runs.user_id"]),
        CheckConstraint("leg IS NULL OR leg IN ('ENTRY', 'EXIT')", name="leg"),
        CheckConstraint("event <> ''", name="event"),
        Index(None, "user_id", "strategy_id", "id"),
        Index(None, "run_id"),
    )

    id: int = _id()
    user_id: int = _integer()
    strategy_id: int = _integer()
    run_id: int = _integer()
    leg: str | None = _text(nullable=True)
    seq: int | None = _integer(nullable=True)
    event: str = _text()
    order_id: str | None = _text(nullable=True)
    status: str | None = _text(nullable=True)
    quantity: int | None = _integer(nullable=True)
    price: Decimal | None = _money()
    reason: str | None = _text(nullable=True)
    detail: dict[str, Any] = _json()
    occurred_at: datetime = _instant()
    recorded_at: datetime = _instant(now=True)


class AuditEntry(TableModel, table=True):
    """Who did what from where; append-only. Holds no secret and no password."""

    __tablename__ = "audit_log"
    __table_args__ = (CheckConstraint("action <> ''", name="action"), Index(None, "user_id", "id"))

    id: int = _id()
    user_id: int | None = _reference("users.id", nullable=True)
    action: str = _text()
    subject: str = _text(default="")
    detail: dict[str, Any] = _json()
    address: str | None = _text(nullable=True)
    at: datetime = _instant(now=True)
