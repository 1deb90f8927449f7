"""Everything that happened to a strategy's orders; append-only."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
)

from persistence.database.models.base import (
    TableModel,
    id_field,
    instant_field,
    integer_field,
    json_field,
    money_field,
    text_field,
)


class OrderLog(TableModel, table=True):
    """Everything that happened to the orders of a run; append-only."""

    __tablename__ = "order_logs"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "strategy_id", "user_id"], ["runs.id", "runs.strategy_id", "runs.user_id"]),
        CheckConstraint("leg IS NULL OR leg IN ('ENTRY', 'EXIT')", name="leg"),
        CheckConstraint("event <> ''", name="event"),
        Index(None, "user_id", "strategy_id", "occurred_at", "id"),
        Index(None, "run_id", "leg", "seq"),
        Index(None, "run_id", "occurred_at", "id"),
        {"postgresql_partition_by": "RANGE (recorded_at)"},
    )

    id: int = id_field()
    user_id: int = integer_field()
    strategy_id: int = integer_field()
    run_id: int = integer_field()
    leg: str | None = text_field(nullable=True)
    seq: int | None = integer_field(nullable=True)
    event: str = text_field()
    order_id: str | None = text_field(nullable=True)
    status: str | None = text_field(nullable=True)
    quantity: int | None = integer_field(nullable=True)
    price: Decimal | None = money_field()
    reason: str | None = text_field(nullable=True)
    detail: dict[str, Any] = json_field()
    occurred_at: datetime = instant_field()
    recorded_at: datetime = instant_field(now=True, partitions=True)
