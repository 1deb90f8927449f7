"""How far a stream is behind our clock: measured by its own stamps, and said when it is too much."""

from datetime import datetime, timedelta

import pytest

from actors.domain.prices.stream_clock import KNOWN_FOR, StreamClock
from tests.kit.builders import NOW

SECOND = timedelta(seconds=1)
LIMIT = 5 * SECOND


def ticked(clock: StreamClock, lag_s: float, *, begin: datetime = NOW, times: int = 3, token: int = 1) -> datetime:
    """Ticks once a second, so far behind; the instant after the last."""
    for n in range(times):
        stamp = begin + n * SECOND
        clock.note(token, stamp, stamp + timedelta(seconds=lag_s))
    return begin + (times - 1) * SECOND + timedelta(seconds=lag_s)


@pytest.mark.parametrize("lag_s", [0.4, 5.5, 8, -4, 180, -180])
def test_the_lag_is_what_stamps_are_behind_our_clock_be_it_the_feed_or_our_clock(lag_s: float) -> None:
    clock = StreamClock(LIMIT)
    now = ticked(clock, lag_s)
    assert clock.lag(now) == timedelta(seconds=lag_s)
    assert clock.judge(now) is (lag_s > 5)
    assert (clock.late_since is not None) is (lag_s > 5)


def test_what_the_broker_remembers_measures_nothing() -> None:
    clock = StreamClock(LIMIT)
    for token in range(5):  # one price each, hours old, as after the close
        clock.note(token, NOW - timedelta(hours=3) + token * SECOND, NOW)
    assert clock.lag(NOW) is None
    assert not clock.judge(NOW)
    ticked(clock, 0.2)
    clock.reconnected()
    clock.note(1, NOW + 4 * SECOND, NOW + 40 * SECOND)
    assert clock.lag(NOW + 40 * SECOND) == timedelta(seconds=0.2)


def test_one_late_packet_is_no_late_feed() -> None:
    clock = StreamClock(LIMIT)
    now = ticked(clock, 0.3)
    clock.note(1, now, now + 30 * SECOND)
    assert not clock.judge(now)


def test_a_feed_that_falls_behind_is_late_within_two_periods_and_catches_up_at_once() -> None:
    clock = StreamClock(LIMIT)
    ticked(clock, 0.3)
    late = ticked(clock, 8, begin=NOW + 3 * SECOND, times=12)
    assert clock.judge(late)
    assert clock.late_since == late
    assert clock.lag(late) == 8 * SECOND
    back = ticked(clock, 0.3, begin=NOW + 20 * SECOND, times=2)
    assert clock.judge(back)
    assert clock.late_since is None


def test_it_is_not_said_again_and_again_at_the_limit() -> None:
    clock = StreamClock(LIMIT)
    assert clock.judge(ticked(clock, 5.1))
    assert not clock.judge(ticked(clock, 4.9, begin=NOW + 20 * SECOND))
    assert clock.late_since is not None


def test_nothing_is_known_when_nothing_has_come_for_a_minute() -> None:
    clock = StreamClock(LIMIT)
    now = ticked(clock, 8)
    assert clock.judge(now)
    assert clock.lag(now + KNOWN_FOR + SECOND) is None
    assert clock.judge(now + KNOWN_FOR + SECOND)
    assert clock.late_since is None


def test_a_wild_stamp_of_one_instrument_moves_nothing() -> None:
    clock = StreamClock(LIMIT)
    now = ticked(clock, 0.3)
    clock.note(2, now, now)
    assert clock.note(2, now + timedelta(hours=1), now) == timedelta(seconds=0.3)
    assert clock.newest is not None
    assert clock.newest <= now
    ticked(clock, 0.3, begin=NOW + 3 * SECOND, times=1)
    assert clock.note(2, now + timedelta(hours=1), now) == timedelta(seconds=0.3)


def test_our_clock_that_was_set_back_is_noticed_by_stamps_that_agree() -> None:
    clock = StreamClock(LIMIT)
    ticked(clock, 0.3)
    ticked(clock, -20, begin=NOW + 3 * SECOND, times=6)
    assert clock.lag(NOW - 10 * SECOND) == -20 * SECOND
