"""A strategy's calls to execution, repeated until they are heard: its process may die and come back."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from actors.domain.identifiers import IntentId
from actors.domain.orders.cover import Stake
from actors.domain.strategy.decisions import SendOrder
from actors.domain.strategy.events import BrokerRestored, Event
from actors.domain.strategy.state import StrategyState
from actors.ports.common import Clock, PeerUnavailable
from actors.ports.strategy import OrderCommand, OrderExecution

log = logging.getLogger(__name__)

PEER_RETRY_S = 0.5
"""Between the tries of a call to an actor that is restarting."""

_FIRST_RETRY_S, _FIRST_TRIES = 0.05, 20
"""How often an order is given again at first: its actor may be back in a tenth of a second (`spare_process`), and no
other can send it."""

_COMMAND_RETRY_S, _COMMAND_TRIES = 0.2, 40
"""And then: without a spare process an actor is back in one to two seconds."""

_QUICK_TRIES = 20
_SLOW_S = 5.0
_CANCEL_PAUSES_S = (PEER_RETRY_S, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)


def peer_pause(tries: int) -> float:
    """Seconds until an order is given again, after `tries` tries: an actor is back in two, or its node is gone."""
    if tries < _FIRST_TRIES:
        return _FIRST_RETRY_S
    if tries < _COMMAND_TRIES:
        return _COMMAND_RETRY_S
    return PEER_RETRY_S if tries < _COMMAND_TRIES + _QUICK_TRIES else _SLOW_S


class ExecutionCalls:
    """Execution as one account's strategy uses it. Answers are posted as events."""

    def __init__(self, execution: OrderExecution, account_id: int, clock: Clock, post: Callable[[Event], None]) -> None:
        self._execution, self._account_id, self._clock, self._post = execution, account_id, clock, post
        self._withdrawn: set[IntentId] = set()

    def execute(self, command: OrderCommand) -> Coroutine[Any, Any, None]:
        """Have the order placed and followed, however often execution must be asked; its last event is posted.

        The command leaves in this call; what is returned must be run to its end.
        """
        return self._see_through(command, self._execution.execute(command))

    async def _see_through(self, command: OrderCommand, answer: Awaitable[Event]) -> None:
        given_at = self._clock.now()
        for tries in count():
            try:
                return self._post(await answer)
            except Exception as error:  # noqa: BLE001 - an order in doubt is never dropped, whatever broke in execution
                about = {"strategy_id": command.strategy_id, "intent": str(command.intent.id), "error": repr(error)}
                log.warning("strategy.execution_unavailable", extra=about)
                not_after = self._clock.now() if command.intent.id in self._withdrawn else command.not_after
                command = replace(command, look_up_first=True, not_after=not_after, given_at=given_at)
                await asyncio.sleep(peer_pause(tries))
                answer = self._execution.execute(command)
        return None

    async def withdraw(self, intent_id: IntentId) -> None:
        """Send nothing more. Execution that died has forgotten the intent too: asked again, it only looks it up."""
        self._withdrawn.add(intent_id)
        with contextlib.suppress(PeerUnavailable):
            await self._execution.withdraw(self._account_id, intent_id)

    async def cancel(self, intent_id: IntentId, order_id: str) -> None:
        """Cancel until the order is final, with growing pauses."""
        for tries in count():
            try:
                return await self._execution.cancel(self._account_id, intent_id, order_id)
            except PeerUnavailable as error:
                log.warning("strategy.cancel_waits", extra={"order_id": order_id, "reason": str(error)})
                await asyncio.sleep(_CANCEL_PAUSES_S[min(tries, len(_CANCEL_PAUSES_S) - 1)])
        return None

    async def warm_up(self) -> None:
        """Have a connection of the account opened before it is needed; a failure shows itself when it matters."""
        with contextlib.suppress(PeerUnavailable):
            await self._execution.probe(self._account_id)

    async def probe(self) -> None:
        """Post `BrokerRestored` if the broker answers."""
        try:
            alive = await self._execution.probe(self._account_id)
        except PeerUnavailable:
            alive = False
        if alive:
            self._post(BrokerRestored())


def order_command(
    state: StrategyState, epoch: int, send: SendOrder, stake: Stake | None, *, triggered_at: datetime
) -> OrderCommand:
    """The decision to send an order, as execution gets it."""
    run = state.run
    return OrderCommand(
        strategy_id=run.strategy_id,
        run_id=run.run_id,
        user_id=run.user_id,
        account_id=run.account_id,
        epoch=epoch,
        instrument=run.instrument,
        product=run.product,
        intent=send.intent,
        triggered_at=triggered_at,
        look_up_first=send.look_up_first,
        not_before=send.not_before,
        not_after=send.not_after,
        check_position=send.check_position,
        order_id=send.order_id,
        stake=stake,
        grace=send.grace,
        has_derivatives=state.has_derivatives,
    )
