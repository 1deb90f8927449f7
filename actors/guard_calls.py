"""What a strategy holds, told to execution again and again, so that somebody compares it with the account."""

import asyncio
import logging
from collections.abc import Callable

from actors.domain.cover import Cover, Stake
from actors.domain.events import CoverRead, Event
from actors.domain.strategy_spec import StrategyRun
from actors.domain.strategy_state import Phase, StrategyState
from actors.ports import Clock, Holding, OrderDesk, PeerUnavailable
from actors.timers import within

log = logging.getLogger(__name__)

GUARD_RENEWAL_S = 5.0
"""How often a holding is told anew: execution that restarted knows of it within this time."""

_PATIENCE_S = 2.0
"""A desk that does not answer for so long is told at the next renewal."""

_ASK_AGAIN_S = 1.0
"""Between the tries to learn what the account holds."""


class GuardCalls:
    """The holding of one run. `update` never waits; `live` tells it for as long as the run lives."""

    def __init__(
        self, desk: OrderDesk, run: StrategyRun, epoch: int, clock: Clock, post: Callable[[Event], None]
    ) -> None:
        self._desk, self._run, self._epoch, self._clock, self._post = desk, run, epoch, clock, post
        self._said: tuple[object, ...] = ()
        self._holding = self._told = self._as_holding(Stake(run.run_id, 0, run.entry_intent().tag), exiting=False)
        self._changed = asyncio.Event()

    def update(self, state: StrategyState) -> None:
        """Take in the state after an event. That an exit has left is told with the next renewal: execution sent it."""
        said = (state.phase, state.entry, state.exits, state.forgiven)
        if said == self._said:
            return
        self._said = said
        stake = self.stake(state)
        holding = self._as_holding(stake, exiting=state.phase is Phase.EXITING)
        if (holding.quantity, holding.stake.exit_tags) != (self._holding.quantity, self._holding.stake.exit_tags):
            self._changed.set()
        self._holding = holding

    def stake(self, state: StrategyState) -> Stake:
        """What the run has in the position today."""
        stake = state.stake(self._clock.now().astimezone(self._run.buy_at.tzinfo).date())
        return stake if state.phase is not Phase.ENDED else Stake(stake.run_id, 0, stake.entry_tag, stake.exit_tags)

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

    async def cover(self, state: StrategyState) -> Cover:
        """What the account holds now of the shares that the run has in this state. Raises PeerUnavailable."""
        return await self._desk.cover(self._as_holding(self.stake(state), exiting=False))

    async def ask(self, state: StrategyState) -> None:
        """Learn what the account holds of the run's shares, however often it must be asked."""
        while True:
            try:
                cover = await self.cover(state)
            except PeerUnavailable as error:
                about = {"strategy_id": self._run.strategy_id, "run_id": self._run.run_id, "reason": str(error)}
                log.warning("strategy.cover_unknown", extra=about)
                await asyncio.sleep(_ASK_AGAIN_S)
            else:
                return self._post(CoverRead(cover.covered, cover.reason() if cover.lacking else ""))

    def _as_holding(self, stake: Stake, *, exiting: bool) -> Holding:
        return holding_of(self._run, self._epoch, stake, exiting=exiting)


def holding_of(run: StrategyRun, epoch: int, stake: Stake, *, exiting: bool = False) -> Holding:
    """What a run holds, as execution is told of it."""
    return Holding(
        strategy_id=run.strategy_id,
        run_id=run.run_id,
        user_id=run.user_id,
        account_id=run.account_id,
        epoch=epoch,
        instrument=run.instrument,
        product=run.product,
        quantity=stake.quantity,
        exiting=exiting,
        stake=stake,
    )
