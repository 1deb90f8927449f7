"""What every `Clock` promises: that of this machine, and those that tests set by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from actors.ports.common import Clock
from actors.runtime.clock import SystemClock
from tests.kit.builders import NOW
from tests.kit.fakes.clock import ManualWallClock
from tests.kit.virtual_time import FakeClock


@dataclass
class Timed:
    """A clock; `passes` lets some milliseconds pass, `step` sets the wall clock where that can be done."""

    clock: Clock
    passes: Callable[[], Awaitable[None]]
    step: Callable[[timedelta], None]


@pytest.fixture(params=["by hand", "of a loop", "system"])
async def timed(request: pytest.FixtureRequest) -> Timed:
    if request.param == "by hand":
        manual = ManualWallClock(NOW)

        async def advance() -> None:
            manual.advance(0.005)

        return Timed(manual, advance, manual.step)
    if request.param == "of a loop":
        virtual = FakeClock()
        return Timed(virtual, _five_milliseconds, virtual.step)
    return Timed(SystemClock(), _five_milliseconds, _not_ours)


async def _five_milliseconds() -> None:
    await asyncio.sleep(0.005)


def _not_ours(by: timedelta) -> None:
    raise AssertionError(f"the clock of this machine is not ours to set by {by}")


async def test_the_present_instant_is_in_utc(timed: Timed) -> None:
    assert timed.clock.now().utcoffset() == timedelta(0)


async def test_time_passes_by_both(timed: Timed) -> None:
    now, monotonic = timed.clock.now(), timed.clock.monotonic()
    await timed.passes()
    assert timed.clock.now() > now
    assert timed.clock.monotonic() > monotonic


@pytest.mark.parametrize("timed", ["by hand", "of a loop"], indirect=True)
async def test_a_step_of_the_wall_clock_does_not_touch_the_other(timed: Timed) -> None:
    now, monotonic = timed.clock.now(), timed.clock.monotonic()
    timed.step(timedelta(hours=-1))
    assert timed.clock.now() < now
    assert timed.clock.monotonic() >= monotonic
