"""Tick sizes of every kind: what an instrument's grid leaves of prices in whole paise."""

import contextlib
from decimal import Decimal

import pytest

from actors.domain.money import to_paise
from api.base.errors import InvalidField
from api.strategies.strategy_rules import check_tick
from broker.kite.instruments import instrument_table
from broker.market.instrument_list import ListedInstrument
from broker.paper.base.instruments import _tick_paise

ROW: dict[str, object] = {
    "instrument_token": 408065, "exchange": "NSE", "tradingsymbol": "INFY", "tick_size": 0.05, "lot_size": 1,
    "segment": "NSE", "instrument_type": "EQ",
}  # fmt: skip


def listed(tick_size: object) -> ListedInstrument:
    return instrument_table([ROW | {"tick_size": tick_size}])["NSE", "INFY"]


@pytest.mark.parametrize(
    ("tick_size", "paise"),
    [
        (0.05, 5),
        (0.01, 1),
        (0.5, 50),
        (1.0, 100),
        (0.0025, 1),
        (0.005, 1),
        (0.025, 5),
        (0.0075, 3),
        (0, 0),
        ("0.05", 5),
    ],
)
def test_the_step_between_whole_paise_lies_on_the_grid(tick_size: object, paise: int) -> None:
    assert listed(tick_size).tick_paise == paise
    if paise:
        assert Decimal(paise) / 100 % Decimal(str(tick_size)) == 0
        assert _tick_paise({"tick_size": str(tick_size), "tradingsymbol": "INFY"}) == paise


@pytest.mark.parametrize("tick_size", [float("nan"), float("inf"), -0.05, "", "five", None])
def test_a_tick_size_that_is_none_hides_its_own_row_alone(tick_size: object) -> None:
    table = instrument_table([ROW, ROW | {"tradingsymbol": "ODD", "tick_size": tick_size}])
    assert set(table) == {("NSE", "INFY")}


@pytest.mark.parametrize(
    ("tick_size", "stop_loss", "taken"),
    [
        (0.0025, "10.01", True),
        (0.025, "10.05", True),
        (0.025, "10.03", False),  # three paise are no step of it
        (0.025, "10.02", False),
        (0.05, "10.05", True),
        (0.05, "10.01", False),
    ],
)
def test_a_stop_loss_that_the_exchange_could_not_trade_at_is_refused(
    tick_size: float, stop_loss: str, taken: bool
) -> None:
    with (
        contextlib.nullcontext() if taken else pytest.raises(InvalidField, match="must be a multiple of the tick size")
    ):
        check_tick(to_paise(stop_loss), listed(tick_size))
