"""An instant that many orders wait for, met to the millisecond."""

import asyncio
import heapq
from datetime import datetime, timedelta

from actors.ports.common import Clock
from actors.waiting import within

_LONGEST_SLEEP = 0.25
"""Seconds between looks at the wall clock, since a loop timer follows the monotonic one, which stops while the
machine is suspended."""


class AlarmClock:
    """Wakes all that wait for the same instant in one turn of the loop, and on a processor that is awake.

    The last `awake` milliseconds are busy-waited: a loop's own timers are up to 1 ms late, and an idle core is several
    times slower at first. The loop goes on serving everything else meanwhile.
    """

    def __init__(self, clock: Clock, awake: timedelta) -> None:
        self._clock, self._awake_s = clock, awake.total_seconds()
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._asked = 0
        self._earlier = asyncio.Event()
        self._ringing: asyncio.Task[None] | None = None

    def at(self, instant: datetime) -> "asyncio.Future[None]":
        """Done at the instant, never before it; cancel it to wait no longer."""
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
