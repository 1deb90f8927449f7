"""The order budget of one account: so many requests a calendar second, exits before entries (ruling 8, row G2).

Kite counts placements, modifications and cancellations of an account on its own calendar second and answers 429
above ten (kite.md §4). No rate-limit library counts calendar seconds or serves waiters by priority.
"""

import asyncio
import heapq
from datetime import datetime, timedelta

from actors.ports import Clock

_MARGIN = timedelta(milliseconds=20)
"""Into the new second before it is used, since the broker's clock is not ours."""


class OrderBudget:
    """`await acquire(priority)` returns when one request may leave; smaller priorities first."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._second: datetime | None = None
        self._used = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = 0
        self._wake: asyncio.TimerHandle | None = None

    async def acquire(self, priority: int) -> None:
        """Wait for a place in the present second or a later one."""
        if not self._waiting and self._take():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (priority, self._arrivals, turn))
        self._schedule()
        await turn

    def _take(self) -> bool:
        now = self._clock.now()
        second = now.replace(microsecond=0)
        if second != self._second:
            if self._used and now - second < _MARGIN and self._second == second - timedelta(seconds=1):
                return False  # on the broker's clock it may still be the second before
            self._second, self._used = second, 0
        if self._used >= self._per_second:
            return False
        self._used += 1
        return True

    def _schedule(self) -> None:
        if self._wake is None and self._waiting:
            now = self._clock.now()
            second = now.replace(microsecond=0)
            opens = second + _MARGIN if now - second < _MARGIN else second + timedelta(seconds=1) + _MARGIN
            self._wake = asyncio.get_running_loop().call_later((opens - now).total_seconds(), self._serve)

    def _serve(self) -> None:
        self._wake = None
        while self._waiting:
            if self._waiting[0][2].done():
                heapq.heappop(self._waiting)
            elif self._take():
                heapq.heappop(self._waiting)[2].set_result(None)
            else:
                break
        self._schedule()
