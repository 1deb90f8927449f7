"""Timers on the wall clock: never early, and right again within a second after the clock was stepped."""

import asyncio
from collections.abc import Callable
from datetime import datetime

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
