"""How a strategy leaves its process, to go on in a new one on another node; `moving` says in which moment it may."""

import asyncio
from collections.abc import Awaitable, Callable

from actors.domain.strategy.state import StrategyState
from actors.ports.common import Clock
from actors.strategy.holding_reports import GuardCalls
from actors.strategy.moving import AT_WORK, hindrance, is_well


class Leaving:
    """Whether and how one strategy leaves.

    `at_rest`: whether all that it has heard is taken in, carried out and recorded. `record` returns when a record has
    been made that was begun after the call. `done` is set when the run has been left: nothing is taken in any more.
    """

    def __init__(
        self,
        state: Callable[[], StrategyState],
        clock: Clock,
        guard: GuardCalls,
        *,
        at_rest: Callable[[], bool],
        record: Callable[[], Awaitable[None]],
    ) -> None:
        self._state, self._clock, self._guard = state, clock, guard
        self._at_rest, self._record = at_rest, record
        self.done = asyncio.Event()

    @property
    def left(self) -> bool:
        """Whether the run has been left to another incarnation."""
        return self.done.is_set()

    @property
    def hindered(self) -> str | None:
        """Why this strategy cannot leave its process now; None if it can (`moving.hindrance`)."""
        shared, at_rest = self._guard.confirmed_now, self._at_rest()
        return hindrance(self._state(), self._clock.now(), shared=shared, at_rest=at_rest)

    @property
    def well(self) -> bool:
        """Whether nothing of this strategy waits for a guard (`moving.is_well`)."""
        return is_well(self._state(), shared=self._guard.confirmed_now)

    async def renew_guard(self) -> None:
        """Have execution confirm once more what it watches of an open position; it takes two seconds at most."""
        if self._state().open_quantity and not self.left:
            await self._guard.tell()

    async def leave(self, timeout_s: float, is_called: Callable[[], bool] = lambda: False) -> str | None:
        """Leave the run to an incarnation on another node; the stop-loss stays armed in execution.

        Otherwise why not now; then nothing has changed. The next incarnation needs execution and the ledger, too: both
        have just answered. `is_called`: whether a caller waits for an answer of this process.
        """
        if self.left:
            return None
        if (hindered := self.hindered) is not None:
            return hindered
        try:
            async with asyncio.timeout(timeout_s):
                await self.renew_guard()
                await self._record()
        except TimeoutError:
            return "its state could not be recorded in time"
        if (hindered := self.hindered) is None and is_called():
            hindered = AT_WORK
        if hindered is None:
            self.done.set()  # from the last look at what hinders it to here, nothing was awaited
        return hindered
