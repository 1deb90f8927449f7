from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.paper.orders import fill_rules
from broker.paper.orders.order import Order, OrderTerms

prices = st.integers(min_value=1, max_value=20_000_00)


def terms(**changes: object) -> OrderTerms:
    fields = {
        "variety": "regular",
        "exchange": "NSE",
        "symbol": "INFY",
        "transaction_type": "BUY",
        "order_type": "LIMIT",
        "product": "MIS",
        "quantity": 100,
        "price_paise": 1500_00,
    }
    return OrderTerms(**{**fields, **changes})  # type: ignore[arg-type]


def order(**changes: object) -> Order:
    cap = changes.pop("fill_cap", None)
    return Order(
        order_id="1",
        user_id="PA0001",
        instrument_token=408065,
        placed_ns=0,
        updated_ns=0,
        guid="g",
        terms=terms(**changes),
        fill_cap=cap,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("last", "percent"), [(99_99, "2.0"), (100_00, "1.0"), (500_00, "0.5")])
def test_automatic_band_narrows_with_the_price(last: int, percent: str) -> None:
    assert fill_rules.protection_percent(-1, last) == Decimal(percent)


def test_explicit_percent_is_taken_as_it_is() -> None:
    assert fill_rules.protection_percent(1.5, 100_00) == Decimal("1.5")


@given(last=prices, percent=st.decimals("0.1", 50, places=1), tick=st.sampled_from([1, 5, 10, 50]))
def test_protection_price_is_on_the_grid_and_inside_the_band(last: int, percent: Decimal, tick: int) -> None:
    buy = fill_rules.protection_price(is_buy=True, last_paise=last, percent=percent, tick_paise=tick)
    sell = fill_rules.protection_price(is_buy=False, last_paise=last, percent=percent, tick_paise=tick)
    assert buy % tick == sell % tick == 0
    assert tick <= buy
    assert buy == tick or buy <= last * (1 + percent / 100)
    assert sell >= tick
    assert sell >= last * (1 - percent / 100)


@given(last=prices, limit=prices)
def test_a_limit_never_trades_on_its_wrong_side(last: int, limit: int) -> None:
    assert fill_rules.is_marketable(terms(price_paise=limit), last) == (last <= limit)
    sell = terms(price_paise=limit, transaction_type="SELL")
    assert fill_rules.is_marketable(sell, last) == (last >= limit)


@pytest.mark.parametrize("bad", [0, -5])
def test_bad_prints_neither_trade_nor_trigger(bad: int) -> None:
    stop = terms(transaction_type="SELL", order_type="SL-M", trigger_paise=100)
    assert not fill_rules.is_marketable(terms(), bad)
    assert not fill_rules.is_triggered(stop, bad)


@pytest.mark.parametrize(
    ("side", "last", "triggered"),
    [("SELL", 91_95, True), ("SELL", 92_00, True), ("SELL", 92_05, False), ("BUY", 92_05, True), ("BUY", 91_95, False)],
)
def test_stops_wake_on_their_side_of_the_trigger(side: str, last: int, triggered: bool) -> None:
    stop = terms(transaction_type=side, order_type="SL-M", trigger_paise=92_00)
    assert fill_rules.is_triggered(stop, last) is triggered


@pytest.mark.parametrize(
    ("liquidity", "cap", "filled"), [(None, None, 100), (30, None, 30), (None, 40, 40), (0, None, 0), (30, 0, 0)]
)
def test_fill_is_limited_by_liquidity_and_by_faults(liquidity: int | None, cap: int | None, filled: int) -> None:
    assert fill_rules.fill_quantity(order(fill_cap=cap), 1499_00, liquidity, now_ns=1) == filled


def test_a_slow_fill_waits_for_its_time() -> None:
    slow = order()
    slow.fill_not_before_ns = 10
    assert fill_rules.fill_quantity(slow, 1499_00, None, now_ns=9) == 0
    assert fill_rules.fill_quantity(slow, 1499_00, None, now_ns=10) == 100
