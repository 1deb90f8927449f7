"""The stop-loss check, and which prices count for it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.prices.stop_loss import is_breached, move_start, watch_start
from actors.domain.prices.tick import Tick
from tests.kit.builders import INFY, NOW, a_tick

STOP = 145000
SECOND = timedelta(seconds=1)
TOKEN = INFY.token


@pytest.mark.parametrize(("price", "breached"), [(STOP + 1, False), (STOP, True), (STOP - 1, True), (1, True)])
def test_stop_is_breached_at_or_below_its_level(price: int, *, breached: bool) -> None:
    assert is_breached(STOP, a_tick(price, NOW), NOW) is breached


def test_a_trade_counts_by_its_stamp_however_late_it_is_heard() -> None:
    late = Tick.single(TOKEN, STOP, NOW, NOW + timedelta(hours=1))
    assert is_breached(STOP, late, NOW)
    assert not is_breached(STOP, replace(late, exchange_time=NOW - SECOND), NOW)


def test_the_watch_begins_with_the_second_of_the_fill() -> None:
    filled_at = NOW + timedelta(milliseconds=400)
    assert watch_start(filled_at, NOW + SECOND) == NOW
    assert watch_start(None, NOW + timedelta(milliseconds=900)) == NOW


def test_a_moved_stop_is_watched_from_where_the_stream_is() -> None:
    bought = NOW - 60 * SECOND
    assert move_start(bought, NOW, timedelta(0)) == NOW
    assert move_start(bought, NOW, 8 * SECOND) == NOW - 8 * SECOND
    assert move_start(bought, NOW, -4 * SECOND) == NOW + 4 * SECOND
    assert move_start(bought, NOW, timedelta(hours=1)) == bought


def test_low_counts_if_all_it_may_stem_from_does() -> None:
    tick = a_tick(STOP + 100, NOW, low=STOP)
    assert is_breached(STOP, tick, NOW)
    assert not is_breached(STOP, replace(tick, extremes_from=NOW - SECOND), NOW)


def test_low_counts_if_it_came_after_the_level_was_moved() -> None:
    tick = a_tick(STOP + 100, NOW, low=STOP)
    assert is_breached(STOP, tick, NOW, NOW)
    assert not is_breached(STOP, tick, NOW, NOW + timedelta(microseconds=1))


def test_price_below_counts_even_if_the_low_does_not() -> None:
    tick = replace(a_tick(STOP, NOW), extremes_from=NOW - SECOND, extremes_since=NOW - SECOND)
    assert is_breached(STOP, tick, NOW, NOW)


@given(prices=st.lists(st.integers(1, 300_000), min_size=1, max_size=20), stop=st.integers(1, 300_000))
def test_conflation_loses_no_touch(prices: list[int], stop: int) -> None:
    whole = Tick(TOKEN, prices[-1], min(prices), max(prices), NOW, NOW, NOW, NOW)
    assert is_breached(stop, whole, NOW) == any(price <= stop for price in prices)


def test_single_tick_is_its_own_extremes() -> None:
    tick = Tick.single(TOKEN, STOP, NOW - SECOND, NOW)
    assert (tick.low, tick.high, tick.extremes_since, tick.extremes_from) == (STOP, STOP, NOW, NOW - SECOND)
