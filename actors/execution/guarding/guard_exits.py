"""The exits that the second guard begins, and how their strategies hear of them (row M4)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from actors.domain.identifiers import IntentId
from actors.domain.money import Paise
from actors.domain.strategy.events import Event, OrderReported, PlacementFailed, StopLossTriggered
from actors.ports.common import PeerUnavailable
from actors.ports.execution import StrategyEvents
from actors.ports.strategy import OrderCommand

log = structlog.get_logger(__name__)

_TELL_PAUSE_S, _TELL_TIMES = 0.5, 60
"""A strategy is back within seconds; one that is not reads the order book when it is."""


_ANSWER_LASTS_S = 2.0
"""How long a failure waits for the strategy's own command of the same exit; later ones are tries of their own."""

_TOLD_AFTER_S = 0.02
"""Other exits of the same tick leave first: each strategy that hears of its own wakes, and wants the processor."""


class Begin(Protocol):
    """Begins the work on an intent, or joins it."""

    def __call__(self, command: OrderCommand, *, foreseen: bool) -> "asyncio.Task[Event]": ...


class GuardExits:
    """`send` is what `StopGuard` fires.

    `begin(command, foreseen)` has the order placed and followed; `is_over(account_id, run_id)` tells whether the
    journal has called a run ended; `in_background` keeps a task.
    """

    def __init__(
        self,
        strategies: StrategyEvents,
        *,
        begin: Begin,
        is_over: Callable[[int, int], bool],
        in_background: Callable[[Awaitable[None]], None],
    ) -> None:
        self._strategies, self._begin, self._is_over, self._in_background = strategies, begin, is_over, in_background
        self._untold: dict[IntentId, asyncio.Event] = {}
        self._uncommanded: set[IntentId] = set()
        self._failures: dict[IntentId, PlacementFailed] = {}

    def commanded(self, intent_id: IntentId) -> PlacementFailed | None:
        """The strategy gives the exit, too: the answer, if the exit has failed before the strategy had heard of it.

        Without it, the command would send at once again what was refused; tries of an exit keep their pauses.
        """
        self._uncommanded.discard(intent_id)
        return self._failures.pop(intent_id, None)

    def send(self, command: OrderCommand, price: Paise | None) -> bool:
        """Send the exit of a stop-loss that was seen touched at this price, then tell its strategy; False: nothing is
        sent, since the journal calls the run ended.
        """
        if self._is_over(command.account_id, command.run_id):
            log.warning("stop_guard.run_is_over", strategy_id=command.strategy_id, run_id=command.run_id)
            return False
        self._untold[command.intent.id] = asyncio.Event()
        self._uncommanded.add(command.intent.id)
        work = self._begin(command, foreseen=not command.look_up_first)
        work.add_done_callback(lambda work: self._keep_failure(command.intent.id, work))
        self._in_background(self._see_through(command, work, price))
        return True

    async def told(self, intent_id: IntentId) -> None:
        """Return once the strategy has heard that the exit has begun: its results come after that."""
        if (untold := self._untold.get(intent_id)) is not None:
            await untold.wait()

    async def _see_through(self, command: OrderCommand, work: "asyncio.Task[Event]", price: Paise | None) -> None:
        """The strategy goes on as if it had decided: it hears of the exit once that has left, and of its end."""
        await asyncio.sleep(_TOLD_AFTER_S)
        event = StopLossTriggered(command.intent.id, price)
        heard = await self._tell(command, event)
        self._untold.pop(command.intent.id).set()
        if not heard:
            await self._tell_until_heard(command, event)
        try:
            ended = await asyncio.shield(work)
        except PeerUnavailable as error:
            log.warning("stop_guard.exit_unresolved", strategy_id=command.strategy_id, reason=str(error))
            return  # the strategy that has heard of it asks again
        if isinstance(ended, OrderReported):  # a failure is the answer to the strategy's own command, and to that alone
            await self._tell_until_heard(command, ended)

    def _keep_failure(self, intent_id: IntentId, work: "asyncio.Task[Event]") -> None:
        if intent_id not in self._uncommanded:
            return
        self._uncommanded.discard(intent_id)
        if work.cancelled() or work.exception() is not None or not isinstance(failed := work.result(), PlacementFailed):
            return
        self._failures[intent_id] = failed
        asyncio.get_running_loop().call_later(_ANSWER_LASTS_S, self._failures.pop, intent_id, None)

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
