"""The order budget of one account: so many requests a calendar second, minute and day, exits first (ruling 8, row G2).

Kite counts placements, modifications and cancellations of an account on its own calendar second and answers 429
above ten; it also caps the minute and the day (kite.md §4). Part of every window is kept for exits, so that no wave of
entries can hold one up. No rate-limit library counts calendar windows or serves waiters by priority.
"""

import asyncio
import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.domain.order import OrderEvent
from actors.ports import Clock

_MARGIN = timedelta(milliseconds=20)
"""Into the new second before it is used, since the broker's clock is not ours."""

_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class DayUsedUp(Exception):
    """The account may send no more orders of this kind today."""


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """Requests an account may send per calendar second, minute and day.

    `reserve` of each second is kept for exits, and the same share of the minute and of the day. Days are those of UTC:
    they begin at 05:30 IST, outside every session.
    """

    per_second: int = 10
    per_minute: int = 400
    per_day: int = 5000
    reserve: int = 2


@dataclass(slots=True)
class _Window:
    """One calendar window: how many requests it takes, how many of those are for exits only, how many were sent."""

    cap: int
    kept: int
    begin: datetime | None = None
    used: int = 0

    def free(self, *, is_exit: bool) -> int:
        return self.cap - self.used - (0 if is_exit else self.kept)


class OrderBudget:
    """`await acquire(event)` returns when one request may leave; STOPLOSS before SELL before BUY."""

    def __init__(self, limits: BudgetLimits, clock: Clock) -> None:
        self._clock = clock
        share = limits.reserve / limits.per_second
        self._second = _Window(limits.per_second, limits.reserve)
        self._minute = _Window(limits.per_minute, math.ceil(limits.per_minute * share))
        self._day = _Window(limits.per_day, math.ceil(limits.per_day * share))
        self._carried = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = 0
        self._wake: asyncio.TimerHandle | None = None

    async def acquire(self, event: OrderEvent, on_wait: Callable[[datetime], None] | None = None) -> None:
        """Wait for a place in the present second or a later one; `on_wait` is told when it is expected to come.

        Raises:
            DayUsedUp: the day's budget is spent, or for an entry: all of it that is not kept for exits.
        """
        first = not self._waiting or self._waiting[0][0] > event.priority
        if first and self._take(event.priority):
            return
        if self._day.free(is_exit=_is_exit(event.priority)) <= 0:
            raise DayUsedUp("the account's order budget for today is used up")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (event.priority, self._arrivals, turn))
        self._schedule()
        if on_wait is not None:
            on_wait(self._expected(event.priority))
        await turn

    def refused_by_broker(self) -> None:
        """The broker said 429: it has counted more than we did, so nothing more leaves in this second."""
        self._roll(self._clock.now())
        self._second.used = max(self._second.used, self._second.cap)

    def _take(self, priority: int) -> bool:
        at_the_edge = self._roll(self._clock.now())
        windows = (self._second, self._minute, self._day)
        if any(window.free(is_exit=_is_exit(priority)) <= 0 for window in windows):
            return False
        for window in windows:
            window.used += 1
        self._carried += at_the_edge
        return True

    def _roll(self, now: datetime) -> bool:
        """Open the windows that `now` is in.

        True: on the broker's clock it may still be the second before. What leaves then counts in both of them.
        """
        second = now.replace(microsecond=0)
        if second != self._second.begin:
            just_used = self._second.used > 0 and self._second.begin == second - _SECOND
            if just_used and now - second < _MARGIN:
                return True
            carried, self._carried = self._carried, 0
            minute = second.replace(second=0)
            day = minute.replace(hour=0, minute=0)
            for window, begin in ((self._second, second), (self._minute, minute), (self._day, day)):
                if window.begin != begin:
                    window.begin, window.used = begin, carried
        return False

    def _expected(self, priority: int) -> datetime:
        """When the last of those who wait with this priority or a higher one will be served."""
        is_exit, ahead = _is_exit(priority), sum(waiter[0] <= priority for waiter in self._waiting)
        a_second = self._second.cap - (0 if is_exit else self._second.kept)
        begin = self._clock.now().replace(microsecond=0)
        if self._minute.free(is_exit=is_exit) < ahead:
            begin = begin.replace(second=0) + _MINUTE - _SECOND
        return begin + math.ceil(ahead / a_second) * _SECOND + _MARGIN

    def _schedule(self) -> None:
        if self._wake is None and self._waiting:
            now = self._clock.now()
            second = now.replace(microsecond=0)
            # this second, if it has not been opened yet, however late it is by now; else the next
            opens = second + _MARGIN + (_SECOND if second == self._second.begin else timedelta(0))
            delay = max(0.0, (opens - now).total_seconds())
            self._wake = asyncio.get_running_loop().call_later(delay, self._serve)

    def _serve(self) -> None:
        self._wake = None
        while self._waiting:
            priority, _, turn = self._waiting[0]
            if turn.done():
                heapq.heappop(self._waiting)
            elif self._take(priority):
                heapq.heappop(self._waiting)
                turn.set_result(None)
            elif self._day.free(is_exit=_is_exit(priority)) <= 0:
                heapq.heappop(self._waiting)
                turn.set_exception(DayUsedUp("the account's order budget for today is used up"))
            else:
                break
        self._schedule()


def _is_exit(priority: int) -> bool:
    return priority < OrderEvent.BUY.priority
