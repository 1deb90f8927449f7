"""The stop-loss check, and the ticks that may not reach it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.prices.stop_loss import LARGEST_OFFSET, Tick, TickFilter, is_breached, move_start, watch_start
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


def test_filter_passes_what_is_ahead_of_our_clock_alone() -> None:
    ticks = TickFilter()
    behind = timedelta(minutes=3)
    assert ticks.accepts(1, STOP, NOW + behind, NOW)
    assert ticks.accepts(1, STOP, NOW + behind + SECOND, NOW + SECOND, -behind)


def test_filter_drops_what_is_ahead_of_our_clock_and_of_the_connection() -> None:
    ticks = TickFilter()
    assert not ticks.accepts(1, STOP, NOW + 3 * SECOND, NOW, timedelta(0))
    assert not ticks.accepts(1, STOP, NOW + 60 * SECOND, NOW, -4 * SECOND)
    assert not ticks.accepts(1, STOP, NOW + LARGEST_OFFSET + SECOND, NOW)
    assert ticks.accepts(1, STOP, NOW + SECOND, NOW, timedelta(seconds=70))  # a feed that has caught up


def test_a_wild_stamp_that_was_the_first_makes_no_later_tick_old() -> None:
    ticks = TickFilter()
    assert ticks.accepts(1, STOP, NOW + timedelta(minutes=20), NOW)
    assert ticks.accepts(1, STOP, NOW + SECOND, NOW + SECOND)
    assert not ticks.accepts(1, STOP, NOW, NOW + SECOND)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(-2, 5), st.integers(-3, 3)), max_size=40))
def test_filter_passes_only_prices_that_never_go_back_in_time(found: list[tuple[int, int, int]]) -> None:
    ticks = TickFilter()
    passed: dict[int, list[datetime]] = {}
    for token, price, offset in found:
        at = NOW + offset * SECOND
        if ticks.accepts(token, price, at, NOW + 10 * SECOND):
            assert price > 0
            passed.setdefault(token, []).append(at)
    assert all(times == sorted(times) for times in passed.values())
    assert ticks.dropped == len(found) - sum(len(times) for times in passed.values())
