"""The stop-loss check, and the ticks that may not reach it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.stop_loss import FRESH_FOR, Tick, TickFilter, is_breached, is_fresh
from tests.kit.builders import INFY, NOW, a_tick

STOP = 145000
SECOND = timedelta(seconds=1)
TOKEN = INFY.token


@pytest.mark.parametrize(("price", "breached"), [(STOP + 1, False), (STOP, True), (STOP - 1, True), (1, True)])
def test_stop_is_breached_at_or_below_its_level(price: int, *, breached: bool) -> None:
    assert is_breached(STOP, a_tick(price, NOW), NOW) is breached


def test_low_counts_from_the_instant_the_watch_began() -> None:
    tick = a_tick(STOP + 100, NOW, low=STOP)
    assert is_breached(STOP, tick, NOW)
    assert not is_breached(STOP, replace(tick, extremes_since=NOW - timedelta(microseconds=1)), NOW)


def test_price_below_counts_even_if_the_low_does_not() -> None:
    tick = replace(a_tick(STOP, NOW), extremes_since=NOW - SECOND)
    assert is_breached(STOP, tick, NOW)


@given(prices=st.lists(st.integers(1, 300_000), min_size=1, max_size=20), stop=st.integers(1, 300_000))
def test_conflation_loses_no_touch(prices: list[int], stop: int) -> None:
    whole = Tick(TOKEN, prices[-1], min(prices), max(prices), NOW, NOW, NOW)
    assert is_breached(stop, whole, NOW) == any(price <= stop for price in prices)


def test_single_tick_is_its_own_extremes() -> None:
    tick = Tick.single(TOKEN, STOP, NOW - SECOND, NOW)
    assert (tick.low, tick.high, tick.extremes_since) == (STOP, STOP, NOW)


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (timedelta(0), True),
        (FRESH_FOR, True),
        (FRESH_FOR + timedelta(microseconds=1), False),
        (timedelta(days=1), False),
    ],
)
def test_tick_is_fresh_for_five_seconds_of_exchange_time(age: timedelta, *, fresh: bool) -> None:
    assert is_fresh(NOW - age, NOW) is fresh


@pytest.mark.parametrize("price", [0, -1])
def test_filter_drops_prices_that_are_none(price: int) -> None:
    ticks = TickFilter()
    assert not ticks.accepts(TOKEN, price, NOW, NOW)
    assert ticks.dropped == 1


def test_dropped_price_does_not_make_a_later_tick_old() -> None:
    ticks = TickFilter()
    ticks.accepts(TOKEN, 0, NOW + SECOND, NOW + SECOND)
    assert ticks.accepts(TOKEN, STOP, NOW, NOW)


def test_filter_drops_what_is_older_than_the_newest_of_its_token() -> None:
    ticks = TickFilter()
    assert ticks.accepts(TOKEN, STOP, NOW, NOW)
    assert not ticks.accepts(TOKEN, STOP, NOW - SECOND, NOW - SECOND)
    assert ticks.accepts(TOKEN, STOP, NOW + SECOND, NOW + SECOND)
    assert ticks.dropped == 1


def test_filter_passes_ticks_of_the_same_second() -> None:
    ticks = TickFilter()
    assert all(ticks.accepts(TOKEN, STOP + n, NOW, NOW) for n in range(5))


def test_filter_keeps_tokens_apart() -> None:
    ticks = TickFilter()
    assert ticks.accepts(1, STOP, NOW, NOW)
    assert ticks.accepts(2, STOP, NOW - SECOND, NOW - SECOND)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(-2, 5), st.integers(-3, 3)), max_size=40))
def test_filter_passes_only_prices_that_never_go_back_in_time(found: list[tuple[int, int, int]]) -> None:
    ticks = TickFilter()
    passed: dict[int, list[datetime]] = {}
    for token, price, offset in found:
        at = NOW + offset * SECOND
        if ticks.accepts(token, price, at, at):
            assert price > 0
            passed.setdefault(token, []).append(at)
    assert all(times == sorted(times) for times in passed.values())
    assert ticks.dropped == len(found) - sum(len(times) for times in passed.values())
