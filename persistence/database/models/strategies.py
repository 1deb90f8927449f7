"""Strategies as their owners wrote them (row C1)."""

from datetime import datetime, time

from sqlalchemy import (
    CheckConstraint,
    Index,
    UniqueConstraint,
)

from persistence.database.models.base import (
    PRODUCTS,
    TableModel,
    id_field,
    instant_field,
    integer_field,
    one_of,
    reference_field,
    text_field,
)

_STRATEGY_STATUSES = ("created", "running", "paused", "stopped")


class Strategy(TableModel, table=True):
    """What a user wants traded (row C1); wall-clock times are those of the exchange."""

    __tablename__ = "strategies"
    __table_args__ = (
        CheckConstraint("buy_time < sell_time", name="times"),
        CheckConstraint(
            "CASE WHEN stop_share IS NULL THEN stop_loss_paise > 0 ELSE stop_loss_paise = 0 END", name="stop_loss_paise"
        ),
        CheckConstraint("stop_share > 0 AND stop_share < 10000", name="stop_share"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("deleted_at IS NULL OR status IN ('created', 'stopped')", name="deleted_at"),
        one_of("product", *PRODUCTS),
        one_of("status", *_STRATEGY_STATUSES),
        UniqueConstraint("id", "user_id"),
        Index(None, "user_id", "id"),
    )

    id: int = id_field()
    user_id: int = reference_field("users.id")
    exchange: str = text_field()
    tradingsymbol: str = text_field()
    instrument_token: int = integer_field()
    product: str = text_field()
    buy_time: time
    sell_time: time
    stop_loss_paise: int = integer_field()
    stop_share: int | None = integer_field(nullable=True)
    quantity: int = integer_field()
    status: str = text_field(default="created")
    created_at: datetime = instant_field(now=True)
    updated_at: datetime = instant_field(now=True)
    deleted_at: datetime | None = instant_field(nullable=True)
