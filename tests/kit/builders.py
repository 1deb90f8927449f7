"""Builders of domain values for tests."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from actors.domain.identifiers import Instrument, Product
from actors.domain.orders.order import OrderReport, OrderStage
from actors.domain.prices.tick import Tick
from actors.domain.strategy.spec import StrategyRun

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
BUY_AT = NOW + timedelta(seconds=30)
SELL_AT = NOW + timedelta(hours=5)
INFY = Instrument("NSE", "INFY", 408065)


def a_run(**changes: Any) -> StrategyRun:
    values: dict[str, Any] = {
        "run_id": 7,
        "strategy_id": 3,
        "user_id": 1,
        "account_id": 2,
        "instrument": INFY,
        "product": Product.MIS,
        "quantity": 10,
        "stop_loss": 145000,
        "buy_at": BUY_AT,
        "sell_at": SELL_AT,
        "tag_key": b"0123456789abcdef",
    }
    return StrategyRun(**(values | changes))


def a_tick(price: int, at: datetime, *, low: int | None = None, age: timedelta = timedelta(0)) -> Tick:
    return Tick(INFY.token, price, low or price, price, at - age, at, at, at - age)


def a_report(
    order_id: str = "1900000000000000001",
    stage: OrderStage = OrderStage.COMPLETE,
    *,
    filled: int = 10,
    quantity: int = 10,
    price: str = "1500.00",
    tag: str | None = None,
    reason: str = "",
    at: datetime | None = None,
) -> OrderReport:
    paid = Decimal(price) if filled else Decimal(0)
    return OrderReport(order_id, tag, stage, quantity, filled, paid, reason, exchange_time=at)
