"""What a strategy holds, told to execution again and again, so that somebody compares it with the account."""

import asyncio
import logging

from actors.domain.strategy_spec import StrategyRun
from actors.domain.strategy_state import Phase, StrategyState
from actors.ports import Holding, OrderDesk
from actors.timers import within

log = logging.getLogger(__name__)

GUARD_RENEWAL_S = 5.0
"""How often a holding is told anew: execution that restarted knows of it within this time."""

_PATIENCE_S = 2.0
"""A desk that does not answer for so long is told at the next renewal."""


class GuardCalls:
    """The holding of one run. `update` never waits; `live` tells it for as long as the run lives."""

    def __init__(self, desk: OrderDesk, run: StrategyRun, epoch: int) -> None:
        self._desk, self._run, self._epoch = desk, run, epoch
        self._holding = self._told = self._as_holding(0, exiting=False)
        self._changed = asyncio.Event()

    def update(self, state: StrategyState) -> None:
        """Take in the state after an event. That an exit has left is told with the next renewal: execution sent it."""
        quantity = 0 if state.phase is Phase.ENDED else max(state.open_quantity, 0)
        holding = self._as_holding(quantity, exiting=state.phase in {Phase.EXITING, Phase.EXIT_FAILED})
        if holding.quantity != self._holding.quantity:
            self._changed.set()
        self._holding = holding

    async def live(self) -> None:
        """Tell every change at once, and an open position every few seconds, until cancelled."""
        while True:
            self._changed.clear()
            if self._holding.quantity or self._told.quantity:
                await self.tell()
            await within(self._changed, GUARD_RENEWAL_S)

    async def tell(self) -> None:
        """Tell it once; a failure is mended by the next renewal."""
        holding = self._holding
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._desk.guard(holding)
        except Exception as error:  # noqa: BLE001 - whatever broke over there, the strategy itself keeps guarding
            about = {"strategy_id": holding.strategy_id, "run_id": holding.run_id, "error": repr(error)}
            log.warning("strategy.guard_not_told", extra=about)
        else:
            self._told = holding

    def _as_holding(self, quantity: int, *, exiting: bool) -> Holding:
        run = self._run
        return Holding(
            strategy_id=run.strategy_id,
            run_id=run.run_id,
            user_id=run.user_id,
            account_id=run.account_id,
            epoch=self._epoch,
            instrument=run.instrument,
            product=run.product,
            quantity=quantity,
            exiting=exiting,
        )
