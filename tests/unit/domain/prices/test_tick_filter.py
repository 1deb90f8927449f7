"""Which ticks may not reach a decision."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.prices.tick_filter import LARGEST_OFFSET, TickFilter
from tests.kit.builders import INFY, NOW

STOP = 145000
SECOND = timedelta(seconds=1)
TOKEN = INFY.token


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
