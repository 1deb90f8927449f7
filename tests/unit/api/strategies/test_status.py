"""What a status adds to the mirror's words: what the position is worth now, and what the run waits for (row L1)."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actors.domain.strategy.state import Phase
from api.strategies.schemas import StrategyStatus
from api.strategies.status import _PHASES, status_of_run

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


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"phase": "scheduled", "position": "none"}, "waiting"),
        ({"phase": "paused", "position": "none", "status": "paused"}, "paused"),
        ({"phase": "entering", "position": "buying"}, "buying"),
        ({"phase": "arming"}, "arming"),
        ({"phase": "guarding"}, "holding"),
        ({"phase": "exiting", "position": "selling"}, "selling"),
        ({"phase": "exit_failed", "position": "selling", "status": "failed"}, "exit_failed"),
        ({"phase": "ended", "position": "sold", "terminated_at": "2026-11-27T04:59:00+00:00"}, "ended"),
    ],
)
def test_each_phase_has_its_word_and_without_a_phase_the_position_says_it(changes: dict[str, Any], word: str) -> None:
    assert shown(**changes).phase == word
    for other in ("", "a_later_one"):
        assert shown(**changes | {"phase": other}).phase == ("holding" if word == "arming" else word)


def test_every_phase_of_the_engine_has_a_word() -> None:
    assert _PHASES.keys() == set(Phase)


SOLD: dict[str, Any] = {
    "position": "sold", "buy_price": "1510.00", "sell_price": "1495.00", "filled_quantity": "10", "pnl": "-150.00",
    "product": "MIS", "terminated_at": "2026-11-27T04:59:00+00:00",
}  # fmt: skip


def test_a_finished_trade_has_estimated_charges_and_a_net_result() -> None:
    status = shown(**SOLD)
    assert status.charges is not None
    assert (status.charges.estimated, status.charges.total, status.net_pnl) == (True, 15.95, -165.95)
    assert shown(**SOLD | {"symbol": "BSE:INFY"}).net_pnl != status.net_pnl, "the exchanges differ in what they take"


@pytest.mark.parametrize(
    "changes",
    [
        {"terminated_at": ""},
        {"position": "selling", "terminated_at": ""},
        {"status_detail": "closed_outside"},
        {"position": "buy_failed", "buy_price": "", "sell_price": "", "pnl": ""},
        {"pnl": "-60.00"},  # four of ten
        {"product": ""},
    ],
)
def test_no_charges_are_claimed_where_it_is_not_known_what_was_sold(changes: dict[str, Any]) -> None:
    status = shown(**SOLD | changes)
    assert (status.charges, status.net_pnl) == (None, None)
