"""What a strategy holds, reported to execution again and again.

There it is compared with the account, and the stop-loss is watched as well.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from actors.domain.instrument_list_day import list_day
from actors.domain.orders.cover import Cover, Stake
from actors.domain.orders.order import OrderEvent
from actors.domain.prices.tick import Tick
from actors.domain.strategy.decisions import SendOrder
from actors.domain.strategy.events import CoverRead, Event
from actors.domain.strategy.spec import StrategyRun
from actors.domain.strategy.state import Phase, StrategyState
from actors.ports.common import Clock, PeerUnavailable
from actors.ports.strategy import GuardAnswer, Holding, OrderExecution, StopOrder
from actors.strategy.execution_calls import order_command
from actors.waiting import until_answered, within

log = logging.getLogger(__name__)

GUARD_RENEWAL_S = 5.0
"""How often a holding is reported again: execution that restarted knows of it within this time."""

_PATIENCE_S = 2.0
"""Execution that does not answer for this long hears of it at the next renewal."""

CONFIRMED_WITHIN_S = 1.0
"""How long a trader who moves the stop-loss waits for the second guard."""

_ARM_AGAIN_S = 1.0
"""Between the tries to have the stop-loss armed, and until its prices are heard where orders leave."""

_ASK_AGAIN_S = 1.0
"""Between the tries to learn what the account holds."""


class GuardCalls:
    """The holding of one run, and its stop-loss armed where orders leave (row M4).

    `update` never waits; `run` reports it for as long as the run is open.
    """

    def __init__(
        self, execution: OrderExecution, run: StrategyRun, epoch: int, clock: Clock, post: Callable[[Event], None]
    ) -> None:
        self._execution, self._run, self._epoch, self._clock, self._post = execution, run, epoch, clock, post
        self._said: tuple[object, ...] = ()
        self._holding = self._told = holding_of(run, epoch, Stake(run.run_id, 0, run.entry_intent().tag))
        self._answer = GuardAnswer()
        self._listed: Tick | None = None
        self._failures = 0
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()

    def update(self, state: StrategyState, tick: Tick | None = None) -> None:
        """Take in the state after an event. The next renewal reports an exit that has left: execution sent it."""
        if tick is not None and _lists_again(self._listed, tick):
            self._listed = tick
        said = (
            (state.phase, state.entry, state.exits, state.forgiven),
            (state.stop_loss, state.watched_since, state.level_set_at, state.ask_first, state.unproven),
            (state.feed_live, self._listed),
        )
        if said == self._said:
            return
        self._said = said
        stake, before = self.stake(state), self._holding
        exiting, hears = state.phase is Phase.EXITING, state.feed_live
        holding = replace(
            holding_of(self._run, self._epoch, stake, exiting=exiting),
            stop=self._stop(state, stake),
            hears=hears,
            number=before.number,
        )
        if _told_of(holding) != _told_of(before):
            holding = replace(holding, number=before.number + 1)
            if (holding.quantity, holding.stake.exit_tags) != (before.quantity, before.stake.exit_tags) or holding.stop:
                self._changed.set()
        self._holding = holding

    def _stop(self, state: StrategyState, stake: Stake) -> StopOrder | None:
        if state.phase is not Phase.GUARDING or state.unproven or state.watched_since is None:
            return None
        intent = replace(state.exits[-1].intent, quantity=state.open_quantity, event=OrderEvent.STOPLOSS)
        send = SendOrder(intent, check_position=state.ask_first)
        return StopOrder(
            order_command(state, self._epoch, send, stake, triggered_at=state.watched_since),
            self._run.broker,
            state.stop_loss,
            state.watched_since,
            state.level_set_at,
            self._listed.token if self._listed is not None else None,
            self._listed.received_at if self._listed is not None else None,
        )

    def stake(self, state: StrategyState) -> Stake:
        """What the run has in the position today."""
        stake = state.stake(self._clock.now().astimezone(self._run.buy_at.tzinfo).date())
        return stake if state.phase is not Phase.ENDED else Stake(stake.run_id, 0, stake.entry_tag, stake.exit_tags)

    async def run(self) -> None:
        """Tell every change at once, and an open position every few seconds, until cancelled."""
        while True:
            self._changed.clear()
            if self._holding.quantity or self._told.quantity:
                await self.tell()
            await within(self._changed, self._pause_s)

    @property
    def shared(self) -> bool:
        """Whether execution has last said that it watches the stop-loss as well, and hears prices."""
        return self._holding.stop is not None and self._answer.armed and self._answer.hears

    @property
    def confirmed_now(self) -> bool:
        """As `shared`, of the holding as it is now."""
        return self.shared and self._told.number >= self._holding.number

    @property
    def _pause_s(self) -> float:
        if self._holding.stop is None or self.shared:
            return GUARD_RENEWAL_S
        # execution that is too busy to answer in time must not be asked ever more by all strategies at once
        return min(GUARD_RENEWAL_S, _ARM_AGAIN_S * 2.0**self._failures)

    async def tell(self) -> None:
        """Tell it once; a failure is mended by the next renewal."""
        holding = self._holding
        try:
            async with asyncio.timeout(_PATIENCE_S):
                answer = await self._execution.guard(holding)
        except Exception as error:  # noqa: BLE001 - whatever broke in execution, the strategy itself keeps guarding
            about = {"strategy_id": holding.strategy_id, "run_id": holding.run_id, "error": repr(error)}
            log.warning("strategy.guard_not_told", extra=about)
            self._answer = GuardAnswer()
            self._failures += 1
        else:
            self._told, self._answer, self._failures = holding, answer, 0
        self._answered.set()

    async def confirmed(self, timeout_s: float = CONFIRMED_WITHIN_S) -> bool | None:
        """Whether execution watches the stop-loss as it is now, waiting this long; None if none is to be watched."""
        wanted = self._holding
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while wanted.stop is not None and not (self._told.number >= wanted.number and self._answer.armed):
                    self._answered.clear()
                    await self._answered.wait()
                    wanted = self._holding
        if wanted.stop is None:
            return None
        return self._told.number >= wanted.number and self._answer.armed

    async def cover(self, state: StrategyState) -> Cover:
        """What the account holds now of the shares that the run has in this state. Raises PeerUnavailable."""
        return await self._execution.cover(holding_of(self._run, self._epoch, self.stake(state)))

    async def ask(self, state: StrategyState) -> None:
        """Learn what the account holds of the run's shares, however often it must be asked."""

        def say(error: PeerUnavailable) -> None:
            about = {"strategy_id": self._run.strategy_id, "run_id": self._run.run_id, "reason": str(error)}
            log.warning("strategy.cover_unknown", extra=about)

        cover = await until_answered(lambda: self.cover(state), _ASK_AGAIN_S, say)
        self._post(CoverRead(cover.covered, cover.reason() if cover.lacking else ""))


def _lists_again(before: Tick | None, tick: Tick) -> bool:
    """Whether the tick tells a token that was not known, or not known of today: the feed confirms each every day."""
    return before is None or tick.token != before.token or list_day(tick.received_at) != list_day(before.received_at)


def _told_of(holding: Holding) -> tuple[object, ...]:
    return holding.quantity, holding.stake.exit_tags, holding.stop, holding.hears


def holding_of(run: StrategyRun, epoch: int, stake: Stake, *, exiting: bool = False) -> Holding:
    """What a run holds, as execution gets it."""
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
