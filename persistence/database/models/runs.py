"""Runs of strategies, and the intents by which they trade."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    text,
)

from persistence.database.models.base import (
    PRODUCTS,
    TableModel,
    id_field,
    instant_field,
    integer_field,
    json_field,
    money_field,
    one_of,
    reference_field,
    text_field,
)

_LEGS = ("ENTRY", "EXIT")


_RUN_STATUSES = ("running", "paused", "failed", "stopped")


_POSITIONS = ("none", "buying", "bought", "selling", "sold", "exited_by_sl", "buy_failed")


_INTENT_STATES = ("armed", "claimed", "sent", "acknowledged", "filled", "rejected", "cancelled", "failed")


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
        CheckConstraint(
            "stop_loss_paise > 0 OR (stop_loss_paise = 0 AND stop_share IS NOT NULL)", name="stop_loss_paise"
        ),
        CheckConstraint("stop_share > 0 AND stop_share < 10000", name="stop_share"),
        CheckConstraint("tick_paise >= 0", name="tick_paise"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("filled_quantity >= 0", name="filled_quantity"),  # more than wanted is a fact to keep
        CheckConstraint("epoch >= 0", name="epoch"),
        CheckConstraint("octet_length(tag_key) >= 16", name="tag_key"),
        CheckConstraint("ended_at IS NOT NULL OR broker_account_id IS NOT NULL", name="broker_account_id"),
        one_of("product", *PRODUCTS),
        one_of("status", *_RUN_STATUSES),
        one_of("position", *_POSITIONS),
        UniqueConstraint("id", "strategy_id", "user_id"),
        Index("runs_one_open_per_strategy", "strategy_id", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index(None, "strategy_id", "id"),
        Index(None, "user_id"),
        Index(None, "broker_account_id", "ended_at"),
    )

    id: int = id_field()
    strategy_id: int = integer_field()
    user_id: int = integer_field()
    broker_account_id: int | None = integer_field(nullable=True)
    epoch: int = integer_field(default=0)
    tag_key: bytes
    buy_at: datetime = instant_field()
    sell_at: datetime = instant_field()
    stop_loss_paise: int = integer_field()
    stop_share: int | None = integer_field(nullable=True)
    tick_paise: int = integer_field(default=0)
    quantity: int = integer_field()
    product: str = text_field()
    status: str = text_field(default="running")
    position: str = text_field(default="none")
    status_detail: str = text_field(default="")
    last_action: str = text_field(default="")
    message: str = text_field(default="")
    state: dict[str, Any] | None = json_field(nullable=True)
    filled_quantity: int = integer_field(default=0)
    buy_price: Decimal | None = money_field()
    sell_price: Decimal | None = money_field()
    pnl: Decimal | None = money_field()
    last_price_paise: int | None = integer_field(nullable=True)
    last_buy_order: str | None = text_field(nullable=True)
    last_sell_order: str | None = text_field(nullable=True)
    last_sl_order: str | None = text_field(nullable=True)
    started_at: datetime = instant_field(now=True)
    ended_at: datetime | None = instant_field(nullable=True)
    updated_at: datetime = instant_field(now=True)


class Intent(TableModel, table=True):
    """One wish to trade, unique by run, leg and sequence number (mechanism 1)."""

    __tablename__ = "intents"
    __table_args__ = (
        one_of("leg", *_LEGS),
        CheckConstraint("side = CASE leg WHEN 'ENTRY' THEN 'BUY' ELSE 'SELL' END", name="side"),
        CheckConstraint("seq > 0", name="seq"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("filled_quantity >= 0", name="filled_quantity"),
        CheckConstraint("tag ~ '^[A-Za-z0-9]{1,20}$'", name="tag"),
        one_of("state", *_INTENT_STATES),
        UniqueConstraint("run_id", "leg", "seq"),
    )

    id: int = id_field()
    run_id: int = reference_field("runs.id")
    leg: str = text_field()
    seq: int = integer_field()
    side: str = text_field()
    quantity: int = integer_field()
    cause: str | None = text_field(nullable=True)
    tag: str = text_field(unique=True)
    state: str = text_field(default="armed")
    claim_epoch: int | None = integer_field(nullable=True)
    order_id: str | None = text_field(nullable=True)
    filled_quantity: int = integer_field(default=0)
    average_price: Decimal | None = money_field()
    reason: str | None = text_field(nullable=True)
    created_at: datetime = instant_field(now=True)
    updated_at: datetime = instant_field(now=True)
