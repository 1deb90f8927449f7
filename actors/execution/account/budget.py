"""The order budget of one account: at most N requests in each calendar second, minute and day (ruling 8, row G2).

Exits go first.

Kite counts placements, modifications and cancellations of an account on its own calendar second and answers 429
above ten; it also caps minute and day (kite.md §4.5). Part of every window is kept for exits, so that no wave of
entries can hold one up, and part of the day for the *first* request of each exit, so that no exit that is refused, or
finds no buyers, can use up what the others need. No rate-limit library counts calendar windows or serves waiters by
priority.
"""

import asyncio
import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from actors.domain.orders.order import OrderEvent
from actors.ports.common import Clock

_MARGIN = timedelta(milliseconds=20)
"""Into the new second before it is used, since the broker's clock is not ours."""

_UNDER_WAY = timedelta(milliseconds=300)
"""How long a request without an answer may still be on its way to the broker. One that hangs longer has arrived, or
never will: a broker that answers slowly holds up no more than what follows a burst at a second's end."""

_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class DayUsedUp(Exception):
    """The account may send no further orders of this kind today."""


class ChasesUsedUp(Exception):
    """Chases have had their share of the minute or of the day."""


class _Rank(IntEnum):
    """Which request goes first: the one for which a wait costs most.

    A chase comes before a BUY: shares that should have been sold are at risk, money that has not been spent is not.
    It cannot starve BUYs, since its share of the minute and of the day is small.
    """

    STOPLOSS = 0
    SELL = 1
    EXIT_AGAIN = 2
    CHASE = 3
    BUY = 4


_FIRST = {OrderEvent.STOPLOSS: _Rank.STOPLOSS, OrderEvent.SELL: _Rank.SELL, OrderEvent.BUY: _Rank.BUY}


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """Requests an account may send per calendar second, minute and day.

    `reserve` of each second is kept for exits, and the same share of the minute and of the day. `first_exit_percent`
    of the day is for first requests of exits alone; `chase_percent` of the minute and of the day is all that chases may
    use. Days are those of UTC: they begin at 05:30 IST, and nothing is sent outside a session, so that it makes no
    difference when exactly the broker begins its own.
    """

    per_second: int = 10
    per_minute: int = 400
    per_day: int = 5000
    reserve: int = 2
    first_exit_percent: int = 10
    chase_percent: int = 10


@dataclass(slots=True)
class _Window:
    """One calendar window.

    `cap`: how many requests it takes; `kept`: how many of those are for exits only, and `first`, for first requests of
    exits only; `chases`: how many may be chases. `used` and `chased` were sent.
    """

    cap: int
    kept: int
    first: int
    chases: int
    begin: datetime | None = None
    used: int = 0
    chased: int = 0

    def free(self, rank: _Rank) -> int:
        kept = {_Rank.STOPLOSS: 0, _Rank.SELL: 0, _Rank.EXIT_AGAIN: self.first}.get(rank, max(self.kept, self.first))
        return self.cap - self.used - kept

    def left(self, begin: datetime) -> float:
        """Which part of the window that begins then is left."""
        return max(0, self.cap - self.used) / self.cap if begin == self.begin else 1.0


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """What an account has left: parts of the minute's and of the day's requests, 0 to 1; how many requests wait."""

    minute: float
    day: float
    waiting: int


class Place:
    """The right to send one request; the request, with its answer, belongs into a `with` block of it.

    What has left at the end of a second may arrive at the broker in the next one, which counts it there: if the block
    has not ended by then, it takes a place there, too. So does a block that begins later than in the place's second.
    """

    __slots__ = ("_budget", "left_at", "second")

    def __init__(self, budget: "OrderBudget", second: datetime) -> None:
        self._budget, self.second, self.left_at = budget, second, second

    def __enter__(self) -> None:
        self._budget.leaves(self)

    def __exit__(self, *_exception: object) -> None:
        self._budget.arrived(self)


class OrderBudget:
    """`with await acquire(event)` begins its block when one request may leave: see `_Rank` for who goes first."""

    def __init__(self, limits: BudgetLimits, clock: Clock) -> None:
        self._clock = clock
        share = limits.reserve / limits.per_second
        self._second = _Window(limits.per_second, limits.reserve, first=0, chases=limits.per_second)
        self._minute = _Window(
            limits.per_minute, math.ceil(limits.per_minute * share), 0, _part(limits.per_minute, limits.chase_percent)
        )
        self._day = _Window(
            limits.per_day,
            math.ceil(limits.per_day * share),
            _part(limits.per_day, limits.first_exit_percent) if limits.first_exit_percent else 0,
            _part(limits.per_day, limits.chase_percent),
        )
        self._carried = 0
        self._under_way = set[Place]()
        self._waiting: list[tuple[_Rank, int, asyncio.Future[Place]]] = []
        self._arrivals = 0
        self._wake: asyncio.TimerHandle | None = None

    async def acquire(
        self, event: OrderEvent, on_wait: Callable[[datetime], None] | None = None, *, again: bool = False
    ) -> Place:
        """Wait for a place in the present second or a later one; `on_wait` gets the instant at which it is expected.

        `again`: it is not the first request of this exit.

        Raises:
            DayUsedUp: the day's budget is spent, or all of it that is not kept for others.
        """
        rank = _FIRST[event]
        return await self._acquire(_Rank.EXIT_AGAIN if again and rank < _Rank.EXIT_AGAIN else rank, on_wait)

    async def acquire_chase(self) -> Place:
        """Wait for a place for a change of an order that exists already.

        Raises:
            ChasesUsedUp: chases have had their share of this minute or day; ask again later.
        """
        self._roll(self._clock.now())
        windows = (self._minute, self._day)
        if any(window.chased >= window.chases for window in windows):
            raise ChasesUsedUp("the changes of parked orders have used their share of the account's order budget")
        for window in windows:
            window.chased += 1
        try:
            return await self._acquire(_Rank.CHASE, None)
        except DayUsedUp as error:
            raise ChasesUsedUp(str(error)) from error

    async def _acquire(self, rank: _Rank, on_wait: Callable[[datetime], None] | None) -> Place:
        first = not self._waiting or self._waiting[0][0] > rank
        if first and (place := self._take(rank)) is not None:
            return place
        if self._day.free(rank) <= 0:
            raise DayUsedUp("the account's order budget for today is used up")
        turn: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (rank, self._arrivals, turn))
        self._schedule()
        if on_wait is not None:
            on_wait(self._expected(rank))
        return await turn

    def refused_by_broker(self) -> None:
        """The broker said 429: it has counted more than we did, so nothing more leaves in this second."""
        self._roll(self._clock.now())
        self._second.used = max(self._second.used, self._second.cap)

    def left(self) -> BudgetLeft:
        """What is left now. It opens no window, so asking changes nothing for those who wait."""
        minute = self._clock.now().replace(second=0, microsecond=0)
        day = minute.replace(hour=0, minute=0)
        waiting = sum(not turn.done() for _, _, turn in self._waiting)
        return BudgetLeft(self._minute.left(minute), self._day.left(day), waiting)

    def _take(self, rank: _Rank) -> Place | None:
        now = self._clock.now()
        at_the_edge = self._roll(now)
        windows = (self._second, self._minute, self._day)
        if any(window.free(rank) <= 0 for window in windows):
            return None
        for window in windows:
            window.used += 1
        self._carried += at_the_edge
        return Place(self, self._second.begin or now)

    def leaves(self, place: Place) -> None:
        """The request of this place leaves now."""
        now = self._clock.now()
        self._roll(now)
        if self._second.begin is not None and self._second.begin > place.second:
            self._second.used += 1
        place.left_at = now
        self._under_way.add(place)

    def arrived(self, place: Place) -> None:
        """It has its answer, or will have none."""
        second = self._clock.now().replace(microsecond=0)
        if self._roll(self._clock.now()):  # the second is opened after its edge, when this one is under way no longer
            self._carried += second - _UNDER_WAY <= place.left_at < second
        self._under_way.discard(place)

    def _roll(self, now: datetime) -> bool:
        """Open the windows that `now` is in.

        True: on the broker's clock it may still be the second before. What leaves then counts in both of them.
        """
        second = now.replace(microsecond=0)
        if second != self._second.begin:
            just_used = self._second.used > 0 and self._second.begin == second - _SECOND
            if just_used and now - second < _MARGIN:
                return True
            late = sum(second - _UNDER_WAY <= place.left_at < second for place in self._under_way)
            carried, self._carried = self._carried + late, 0
            minute = second.replace(second=0)
            day = minute.replace(hour=0, minute=0)
            for window, begin in ((self._second, second), (self._minute, minute), (self._day, day)):
                if window.begin != begin:
                    window.begin, window.used, window.chased = begin, carried, 0
        return False

    def _expected(self, rank: _Rank) -> datetime:
        """When the last of those who wait with this rank or a higher one will be served."""
        ahead = sum(waiter[0] <= rank for waiter in self._waiting)
        a_second = self._second.cap - (self._second.kept if rank is _Rank.BUY else 0)
        begin = self._clock.now().replace(microsecond=0)
        if self._minute.free(rank) < ahead:
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
            rank, _, turn = self._waiting[0]
            if turn.done():
                heapq.heappop(self._waiting)
            elif (place := self._take(rank)) is not None:
                heapq.heappop(self._waiting)
                turn.set_result(place)
            elif self._day.free(rank) <= 0:
                heapq.heappop(self._waiting)
                turn.set_exception(DayUsedUp("the account's order budget for today is used up"))
            else:
                break
        self._schedule()


def _part(of: int, percent: int) -> int:
    return max(1, of * percent // 100)
