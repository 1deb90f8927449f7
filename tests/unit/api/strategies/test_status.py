"""What a status adds to the mirror's words: what the position is worth now, and what the run waits for (row L1)."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.strategies.schemas import StrategyStatus
from api.strategies.status import status_of_run

IST = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 11, 27, 5, 0, tzinfo=UTC)
BUY_AT, SELL_AT = "2026-11-27T10:25:45+05:30", "2026-11-27T15:10:00+05:30"
RUNTIME = {
    "run_id": "7", "user_id": "1", "symbol": "INFY", "product": "CNC", "broker": "", "position": "bought",
    "status": "running", "status_detail": "", "last_action": "BUY", "message": "Bought 10 INFY", "stop_loss": "1490.50",
    "quantity": "10", "filled_quantity": "3", "buy_price": "1510.10", "sell_price": "", "pnl": "",
    "last_price": "1500.00", "last_buy_order": "1", "last_sell_order": "", "last_sl_order": "", "buy_at": BUY_AT,
    "sell_at": SELL_AT, "terminated_at": "", "updated_at": "2026-11-27T04:59:00+00:00",
}  # fmt: skip
PRICE = {"price": "1508.20", "exchange_time": "2026-11-27T04:59:58+00:00", "received_at": "", "feed": "live"}


def shown(*, heard: bool = True, **changes: str) -> StrategyStatus:
    return status_of_run(1, RUNTIME | changes, PRICE if heard else {}, NOW, IST)


def test_a_status_names_its_run_and_its_symbol() -> None:
    status = shown()
    assert (status.run_id, status.symbol, status.product) == (7, "INFY", "CNC")
    assert shown(product="").product is None, "a run that an earlier version has started"


def test_what_is_held_is_worth_its_filled_quantity_at_the_last_price() -> None:
    assert shown().unrealised_pnl == -5.70
    assert shown(heard=False).unrealised_pnl == -30.30, "at the last price that the strategy saw"
    assert shown(heard=False, last_price="").unrealised_pnl is None


@pytest.mark.parametrize(
    "changes",
    [
        {"position": "none", "buy_price": ""},
        {"position": "buying", "buy_price": ""},
        {"position": "selling"},
        {"sell_price": "1509.00"},
        {"position": "sold", "sell_price": "1509.00", "terminated_at": "2026-11-27T04:59:00+00:00"},
        {"terminated_at": "2026-11-27T04:59:00+00:00"},
    ],
)
def test_nothing_unrealised_is_claimed_where_it_is_not_known_what_is_held(changes: dict[str, Any]) -> None:
    assert shown(**changes).unrealised_pnl is None


@pytest.mark.parametrize(
    ("changes", "what", "at"),
    [
        ({"position": "none"}, "buy", BUY_AT),
        ({"position": "none", "status": "paused"}, "buy", BUY_AT),
        ({"position": "buying"}, "order", None),
        ({"position": "bought"}, "sell", SELL_AT),
        ({"position": "selling"}, "order", None),
    ],
)
def test_a_run_says_what_it_waits_for(changes: dict[str, Any], what: str, at: str | None) -> None:
    step = shown(**changes).next
    assert step is not None
    assert (step.what, step.at and step.at.isoformat()) == (what, at)


def test_a_run_that_holds_beyond_its_sell_time_waits_for_nothing() -> None:
    assert shown(status_detail="missed_execution").next is None


def test_the_level_that_sells_now_is_told_while_something_is_held() -> None:
    assert shown().stop_now == 1490.50
    assert shown(position="none").stop_now is None
    assert shown(position="selling").stop_now is None
    assert shown(terminated_at="2026-11-27T04:59:00+00:00").stop_now is None


@pytest.mark.parametrize("position", ["none", "bought", "sold", "exited_by_sl", "buy_failed"])
def test_an_ended_run_waits_for_nothing(position: str) -> None:
    assert shown(position=position, terminated_at="2026-11-27T04:59:00+00:00").next is None
