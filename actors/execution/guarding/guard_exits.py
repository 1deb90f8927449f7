"""The exits that the second guard begins, and how their strategies hear of them (row M4)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from actors.domain.identifiers import IntentId
from actors.domain.money import Paise
from actors.domain.orders.order import FailureKind
from actors.domain.strategy.events import Event, OrderReported, PlacementFailed, StopLossTriggered
from actors.domain.strategy.exit_retries import leaves_at, retry_pause
from actors.ports.common import Clock, PeerUnavailable
from actors.ports.execution import StrategyEvents
from actors.ports.strategy import OrderCommand

log = structlog.get_logger(__name__)

_TELL_PAUSE_S, _TELL_TIMES = 0.5, 60
"""A strategy is back within seconds; one that is not reads the order book when it is."""


_ANSWER_LASTS_S = 2.0
"""How long a failure waits for the strategy's own command of the same exit; later ones are tries of their own."""

_LEAST_PAUSE = timedelta(seconds=1)
"""Between two tries, whatever a market says of when it opens."""

_NEVER_AGAIN = {FailureKind.NOTHING_TO_SELL, FailureKind.HALTED}
"""Shares that the account has later are not the run's; and of an order lock that is another's, that one is to see."""

_TOLD_AFTER_S = 0.02
"""Other exits of the same tick leave first: each strategy that hears of its own wakes, and wants the processor."""


class Begin(Protocol):
    """Begins the work on an intent, or joins it."""

    def __call__(self, command: OrderCommand, *, foreseen: bool) -> "asyncio.Task[Event]": ...


@dataclass(slots=True)
class _Alone:
    """An exit that its strategy has not commanded. `tries`: how often it was not placed; `again`: the next one."""

    tries: int = 0
    again: asyncio.TimerHandle | None = None


class GuardExits:
    """`send` is what `StopGuard` fires.

    `begin(command, foreseen)` has the order placed and followed; `is_over(command)` tells whether its run has ended;
    `take_up(command)` has an exit that was not placed sent again: False if its strategy has said anything about it
    since; `in_background` keeps a task.
    """

    def __init__(
        self,
        strategies: StrategyEvents,
        clock: Clock,
        *,
        begin: Begin,
        is_over: Callable[[OrderCommand], bool],
        take_up: Callable[[OrderCommand], bool],
        in_background: Callable[[Awaitable[None]], None],
    ) -> None:
        self._strategies, self._clock = strategies, clock
        self._begin, self._is_over, self._take_up, self._in_background = begin, is_over, take_up, in_background
        self._untold: dict[IntentId, asyncio.Event] = {}
        self._failures: dict[IntentId, PlacementFailed] = {}
        self._alone: dict[IntentId, _Alone] = {}

    def commanded(self, intent_id: IntentId) -> PlacementFailed | None:
        """The strategy gives the exit, too: the answer, if the exit has failed before the strategy had heard of it.

        Without it, the command would send at once again what was refused; tries of an exit keep their pauses.
        """
        self._forget(intent_id)
        return self._failures.pop(intent_id, None)

    def send(self, command: OrderCommand, price: Paise | None) -> bool:
        """Send the exit of a stop-loss that was seen touched at this price, then tell its strategy; False: nothing is
        sent, since the run has ended.
        """
        if self._is_over(command):
            self._forget(command.intent.id)
            log.warning("stop_guard.run_is_over", strategy_id=command.strategy_id, run_id=command.run_id)
            return False
        self._untold[command.intent.id] = told = asyncio.Event()
        self._alone.setdefault(command.intent.id, _Alone())
        work = self._begin(command, foreseen=not command.look_up_first)
        work.add_done_callback(lambda work: self._ended(command, work))
        self._in_background(self._see_through(command, work, price, told))
        return True

    async def told(self, intent_id: IntentId) -> None:
        """Return once the strategy has heard that the exit has begun: its results come after that."""
        if (untold := self._untold.get(intent_id)) is not None:
            await untold.wait()

    async def _see_through(
        self, command: OrderCommand, work: "asyncio.Task[Event]", price: Paise | None, told: asyncio.Event
    ) -> None:
        """The strategy goes on as if it had decided: it hears of the exit once that has left, and of its end."""
        await asyncio.sleep(_TOLD_AFTER_S)
        event = StopLossTriggered(command.intent.id, price)
        heard = await self._tell(command, event)
        told.set()
        if self._untold.get(command.intent.id) is told:  # else the strategy hears of the next try by now
            del self._untold[command.intent.id]
        if not heard:
            await self._tell_until_heard(command, event)
        try:
            ended = await asyncio.shield(work)
        except PeerUnavailable as error:
            log.warning("stop_guard.exit_unresolved", strategy_id=command.strategy_id, reason=str(error))
            return  # the strategy that has heard of it asks again
        if isinstance(ended, OrderReported):  # a failure is the answer to the strategy's own command, and to that alone
            await self._tell_until_heard(command, ended)

    def _ended(self, command: OrderCommand, work: "asyncio.Task[Event]") -> None:
        intent_id = command.intent.id
        if (alone := self._alone.get(intent_id)) is None:
            return
        failed = None if work.cancelled() or work.exception() is not None else work.result()
        if not isinstance(failed, PlacementFailed):
            self._forget(intent_id)
            return
        loop = asyncio.get_running_loop()
        self._failures[intent_id] = failed
        loop.call_later(_ANSWER_LASTS_S, self._failures.pop, intent_id, None)
        if failed.kind in _NEVER_AGAIN:
            self._forget(intent_id)
            return
        alone.tries += 1
        if alone.again is not None:
            alone.again.cancel()
        alone.again = loop.call_later(self._pause(command, failed, alone).total_seconds(), self._try_again, command)

    def _pause(self, command: OrderCommand, failed: PlacementFailed, alone: _Alone) -> timedelta:
        if failed.not_before is None:
            return retry_pause(alone.tries)
        return max(leaves_at(failed.not_before, command.run_id) - self._clock.now(), _LEAST_PAUSE)

    def _try_again(self, command: OrderCommand) -> None:
        """An exit that was not placed, for as long as its strategy is dead: as slowly as that would try (ruling 3)."""
        if not self._take_up(command):
            self._forget(command.intent.id)

    def _forget(self, intent_id: IntentId) -> None:
        alone = self._alone.pop(intent_id, None)
        if alone is not None and alone.again is not None:
            alone.again.cancel()

    async def _tell_until_heard(self, command: OrderCommand, event: Event) -> None:
        """A strategy that is being started again hears it as soon as it is there; it may know it from the book."""
        for _ in range(_TELL_TIMES):
            if await self._tell(command, event):
                return
            await asyncio.sleep(_TELL_PAUSE_S)

    async def _tell(self, command: OrderCommand, event: Event) -> bool:
        try:
            await self._strategies.report(command.strategy_id, event)
        except Exception as error:  # noqa: BLE001 - whatever broke on the way, it must hear of its exit
            log.info("stop_guard.not_heard", strategy_id=command.strategy_id, error=repr(error))
            return False
        return True
