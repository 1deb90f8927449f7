"""Timers on the wall clock: never early, exact, and right again soon after the clock was stepped either way."""

from datetime import datetime, timedelta

import pytest

from actors.domain.events import Timer, TimerFired
from actors.timers import WallClockTimers
from tests.kit.builders import NOW
from tests.kit.virtual_time import FakeClock, in_virtual_time, passing, until

Fired = list[tuple[TimerFired, datetime]]


def timers_of(clock: FakeClock) -> tuple[WallClockTimers, Fired]:
    fired: Fired = []
    return WallClockTimers(clock, lambda event: fired.append((event, clock.now()))), fired


@pytest.mark.parametrize("seconds", [0.001, 0.5, 1.0, 1.000001, 59.9999, 3600.3])
def test_a_timer_fires_at_its_instant_and_never_before(seconds: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        clock = FakeClock(NOW)
        timers, fired = timers_of(clock)
        due = NOW + timedelta(seconds=seconds)
        timers.set(Timer.BUY, due)
        await until(lambda: fired, within_s=3610)
        ((event, at),) = fired
        assert event == TimerFired(Timer.BUY, due)
        assert timedelta(0) <= at - due < timedelta(milliseconds=1)

    scenario()


@in_virtual_time
async def test_a_timer_of_the_past_fires_at_once() -> None:
    clock = FakeClock(NOW)
    timers, fired = timers_of(clock)
    timers.set(Timer.SELL, NOW - timedelta(hours=1))
    assert fired == []  # not before the caller is done
    await passing(0.001)
    assert fired[0][0].due == NOW - timedelta(hours=1)


@in_virtual_time
async def test_a_timer_fires_once() -> None:
    clock = FakeClock(NOW)
    timers, fired = timers_of(clock)
    timers.set(Timer.BUY, NOW + timedelta(seconds=2))
    await passing(60)
    assert len(fired) == 1


@in_virtual_time
async def test_a_clock_that_was_set_forward_fires_the_timer_within_a_second() -> None:
    clock = FakeClock(NOW)
    timers, fired = timers_of(clock)
    timers.set(Timer.BUY, NOW + timedelta(hours=1))
    await passing(10.5)
    clock.step(timedelta(hours=1))
    await until(lambda: fired, within_s=1.01)


@in_virtual_time
async def test_a_clock_that_was_set_back_does_not_fire_the_timer_early() -> None:
    clock = FakeClock(NOW)
    timers, fired = timers_of(clock)
    due = NOW + timedelta(seconds=30)
    timers.set(Timer.BUY, due)
    await passing(29.9)
    clock.step(timedelta(minutes=-5))
    await passing(299)
    assert fired == []
    await until(lambda: fired, within_s=2)
    assert timedelta(0) <= fired[0][1] - due < timedelta(milliseconds=1)


@in_virtual_time
async def test_setting_a_timer_again_moves_it() -> None:
    clock = FakeClock(NOW)
    timers, fired = timers_of(clock)
    timers.set(Timer.RETRY, NOW + timedelta(seconds=1))
    timers.set(Timer.RETRY, NOW + timedelta(seconds=5))
    await passing(20)
    assert [event.due for event, _ in fired] == [NOW + timedelta(seconds=5)]


@in_virtual_time
async def test_timers_do_not_disturb_each_other() -> None:
    clock = FakeClock(NOW)
    timers, fired = timers_of(clock)
    timers.set(Timer.SELL, NOW + timedelta(seconds=3))
    timers.set(Timer.BUY, NOW + timedelta(seconds=1))
    timers.set(Timer.RETRY, NOW + timedelta(seconds=2))
    timers.cancel(Timer.RETRY)
    await passing(10)
    assert [event.timer for event, _ in fired] == [Timer.BUY, Timer.SELL]


@in_virtual_time
async def test_a_cancelled_timer_never_fires_even_when_it_is_due_already() -> None:
    clock = FakeClock(NOW)
    timers, fired = timers_of(clock)
    timers.set(Timer.BUY, NOW)
    timers.set(Timer.SELL, NOW + timedelta(seconds=1))
    timers.cancel_all()
    timers.cancel(Timer.ENTRY_PATIENCE)  # one that was never set
    await passing(10)
    assert fired == []
