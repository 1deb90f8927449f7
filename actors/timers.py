"""Timers on the wall clock: never early, and right again within a second after the clock was stepped."""

import asyncio
import contextlib
import heapq
from collections.abc import Callable
from datetime import datetime, timedelta

from actors.domain.strategy.events import Timer, TimerFired
from actors.ports.common import Clock

_LONGEST_SLEEP = 1.0
"""Seconds between looks at the wall clock, since a loop timer follows the monotonic one."""


class WallClockTimers:
    """The timers of one strategy. `fire` is called in the event loop, at or after the due instant."""

    def __init__(self, clock: Clock, fire: Callable[[TimerFired], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._handles: dict[Timer, asyncio.Handle] = {}

    def set(self, timer: Timer, at: datetime) -> None:
        """Fire at `at`; a timer that is set already moves."""
        self.cancel(timer)
        self._look(timer, at)

    def cancel(self, timer: Timer) -> None:
        """Forget one timer."""
        handle = self._handles.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def cancel_all(self) -> None:
        """Forget every timer."""
        for timer in list(self._handles):
            self.cancel(timer)

    def _look(self, timer: Timer, at: datetime) -> None:
        remaining = (at - self._clock.now()).total_seconds()
        loop = asyncio.get_running_loop()
        if remaining <= 0:
            self._handles[timer] = loop.call_soon(self._expire, timer, at)
        else:
            self._handles[timer] = loop.call_later(min(remaining, _LONGEST_SLEEP), self._look, timer, at)

    def _expire(self, timer: Timer, at: datetime) -> None:
        self._handles.pop(timer, None)
        self._fire(TimerFired(timer, at))


class AlarmClock:
    """Wakes everybody who waits for the same instant in one turn of the loop, and on a processor that is awake.

    A loop's own timers are up to a millisecond late, and what runs after a rest runs several times slower at first. So
    the last stretch of `awake`, a few milliseconds, is not slept but turned: the loop goes on serving everybody else.
    """

    def __init__(self, clock: Clock, awake: timedelta) -> None:
        self._clock, self._awake_s = clock, awake.total_seconds()
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._asked = 0
        self._earlier = asyncio.Event()
        self._ringing: asyncio.Task[None] | None = None

    def at(self, instant: datetime) -> "asyncio.Future[None]":
        """Done at the instant, never before it; cancel it if there is no need to wait any more."""
        reached = asyncio.get_running_loop().create_future()
        self._asked += 1
        heapq.heappush(self._waiting, (instant, self._asked, reached))
        self._earlier.set()
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.create_task(self._ring())
        return reached

    async def _ring(self) -> None:
        while self._waiting:
            instant, _, reached = self._waiting[0]
            remaining = (instant - self._clock.now()).total_seconds()
            if reached.done():
                heapq.heappop(self._waiting)
            elif remaining <= 0:
                heapq.heappop(self._waiting)
                reached.set_result(None)
            elif remaining <= self._awake_s:
                await asyncio.sleep(0)
            else:
                await self._sleep(min(remaining - self._awake_s, _LONGEST_SLEEP))

    async def _sleep(self, seconds: float) -> None:
        self._earlier.clear()
        await within(self._earlier, seconds)


async def within(happened: asyncio.Event, seconds: float) -> None:
    """Return when it has happened, or after so many seconds."""
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(happened.wait(), seconds)
