"""The exchange's clock, alone on an event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from broker.paper.base.clock import ExchangeClock

NOON_NS = 1_795_932_000 * 10**9


async def test_untouched_it_is_the_machines_clock() -> None:
    clock = ExchangeClock()
    assert abs(clock.now_ns() - time.time_ns()) < 10**9
    assert not clock.is_set


async def test_a_pace_holds_for_stamps_and_timers() -> None:
    clock = ExchangeClock()
    clock.set(NOON_NS)
    clock.run_at(100)
    done = asyncio.get_running_loop().create_future()
    clock.call_later(10, lambda: done.set_result(clock.now_ns()))
    began = time.monotonic()
    at_ns = await asyncio.wait_for(done, 5)
    assert time.monotonic() - began < 1
    assert 10 <= (at_ns - NOON_NS) / 1e9 < 20


async def test_timers_keep_their_place_when_the_pace_changes() -> None:
    clock = ExchangeClock()
    done = asyncio.Event()
    clock.call_later(600, done.set)
    clock.run_at(1000)
    clock.call_later(1200, lambda: pytest.fail("later than the other"))
    await asyncio.wait_for(done.wait(), 10)


async def test_a_jump_runs_the_timers_in_order_at_their_own_instants() -> None:
    clock = ExchangeClock()
    clock.set(NOON_NS)
    ran: list[tuple[str, int]] = []

    def note(name: str) -> None:
        ran.append((name, round((clock.now_ns() - NOON_NS) / 1e9)))

    def first() -> None:
        note("first")
        clock.call_later(10, lambda: note("made on the way"))

    clock.call_later(30, lambda: note("second"))
    clock.call_later(10, first)
    clock.call_later(5, lambda: note("called off")).cancel()
    clock.call_later(61, lambda: note("beyond"))
    clock.jump(60)
    assert ran == [("first", 10), ("made on the way", 20), ("second", 30)]
    assert round((clock.now_ns() - NOON_NS) / 1e9) == 60


async def test_setting_it_back_leaves_timers_and_the_steady_seconds_alone() -> None:
    clock = ExchangeClock()
    before = clock.monotonic()
    clock.set(NOON_NS)
    assert abs(clock.now_ns() - NOON_NS) < 10**9
    assert 0 <= clock.monotonic() - before < 1
    clock.release()
    assert abs(clock.now_ns() - time.time_ns()) < 10**9


async def test_a_timer_that_fails_does_not_hold_the_others_up() -> None:
    clock = ExchangeClock()
    reported: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
    done = asyncio.Event()

    def fail() -> None:
        raise ValueError("a fault of one")

    clock.call_later(0.01, fail)
    clock.call_later(0.01, done.set)
    await asyncio.wait_for(done.wait(), 5)
    assert [str(error) for error in reported] == ["a fault of one"]
