"""Timers on the wall clock: never early, exact, and right again soon after the clock was stepped either way."""

import asyncio
from datetime import datetime, timedelta

import pytest

from actors.domain.strategy.events import Timer, TimerFired
from actors.execution.orders.alarm_clock import AlarmClock
from actors.runtime.clock import SystemClock
from actors.strategy.timers import WallClockTimers
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


# --- the alarm clock of execution ------------------------------------------------------------------------------------


@in_virtual_time
async def test_all_who_wait_for_an_instant_are_woken_in_one_turn_and_never_before() -> None:
    clock = FakeClock(NOW)
    alarm = AlarmClock(clock, timedelta(0))
    due = NOW + timedelta(seconds=2.5)
    woken: list[datetime] = []
    for waiting in [alarm.at(due) for _ in range(50)]:
        waiting.add_done_callback(lambda _: woken.append(clock.now()))
    await until(lambda: woken)
    assert len(woken) == 50
    assert timedelta(0) <= woken[0] - due < timedelta(milliseconds=1)


@in_virtual_time
async def test_an_earlier_instant_may_be_asked_for_later() -> None:
    clock = FakeClock(NOW)
    alarm = AlarmClock(clock, timedelta(0))
    late = alarm.at(NOW + timedelta(seconds=0.9))
    await passing(0.1)
    await alarm.at(NOW + timedelta(seconds=0.2))
    assert clock.now() - NOW < timedelta(seconds=0.21)
    assert not late.done()
    await late
    await alarm.at(NOW - timedelta(hours=1))  # of the past: at once


@in_virtual_time
async def test_the_alarm_follows_a_clock_that_is_set_back_or_forward() -> None:
    clock = FakeClock(NOW)
    alarm = AlarmClock(clock, timedelta(0))
    waiting = alarm.at(NOW + timedelta(seconds=30))
    await passing(29.5)
    clock.step(-timedelta(minutes=5))
    await passing(60)
    assert not waiting.done()
    clock.step(timedelta(minutes=5))
    await asyncio.wait_for(waiting, 1.01)


@in_virtual_time
async def test_one_who_waits_no_more_does_not_keep_others_waiting() -> None:
    clock = FakeClock(NOW)
    alarm = AlarmClock(clock, timedelta(0))
    alarm.at(NOW + timedelta(seconds=1)).cancel()
    await alarm.at(NOW + timedelta(seconds=2))
    assert timedelta(0) <= clock.now() - NOW - timedelta(seconds=2) < timedelta(milliseconds=1)


async def test_on_the_real_clock_the_alarm_stays_awake_and_serves_others_meanwhile() -> None:
    clock = SystemClock()
    due = clock.now() + timedelta(milliseconds=20)
    waiting = AlarmClock(clock, timedelta(milliseconds=20)).at(due)
    turns = 0
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0)
    assert clock.now() >= due
    assert turns > 10
