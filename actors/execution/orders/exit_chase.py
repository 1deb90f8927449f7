"""The chase of an exit that the broker has parked as an open LIMIT order (row H4, kite.md §4.4)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

import structlog

from actors.domain.money import to_rupees
from actors.domain.orders.log_events import LogWord
from actors.domain.orders.no_buyers import CancelForRest, ParkedExit, RestAt, Widen, next_move
from actors.domain.orders.order import OrderReport
from actors.domain.orders.price_band import PriceBand, names_circuit
from actors.domain.strategy.events import Event, NoBuyers
from actors.execution.account.budget import ChasesUsedUp
from actors.execution.account.trading_account import TradingAccount
from actors.ports.common import Clock
from actors.ports.execution import AttemptLog, BrokerUnavailable, OrderNote
from actors.ports.strategy import OrderCommand

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ExitChase:
    """Moves one parked order, ever more rarely; the rules are those of `domain.orders.no_buyers`.

    `tell` is called when the order waits in the queue for buyers. `may_change` says whether the market takes changes.
    """

    command: OrderCommand
    account: TradingAccount
    attempts: AttemptLog
    clock: Clock
    tell: Callable[[Event], Awaitable[None]]
    may_change: Callable[[], bool]
    _parked: ParkedExit = field(default_factory=ParkedExit)
    _moved_at: datetime | None = None
    _told: bool = False

    @property
    def resting(self) -> bool:
        """Whether the order waits in the queue at the circuit."""
        return self._parked.rests_at is not None

    async def look(self, order: OrderReport) -> None:
        """Make the next move of an order that is open, if it is time for one.

        Raises:
            BrokerUnavailable: the broker refused the move, or did not answer.
        """
        now = self.clock.now()
        # asked for as soon as the order parks, so that it is known when the first move is due
        band = self.account.bands.latest(self.command.instrument)
        if self._moved_at is None:
            self._moved_at = now
        if now - self._moved_at < self._parked.pause or not self.may_change():
            return
        move = next_move(self._parked, band)
        if move is None:
            self._moved_at = now
            self._count_overlooked(band)
            return
        try:
            place = await self.account.budget.acquire_chase()
        except ChasesUsedUp as error:
            log.warning("execution.chase_waits", order_id=order.order_id, reason=str(error))
            self._parked, self._moved_at = replace(self._parked, setbacks=self._parked.setbacks + 1), now
            return
        with place:
            await self._carry_out(move, order)

    def _count_overlooked(self, band: PriceBand | None) -> None:
        parked = self._parked
        if band is not None and parked.rests_at is not None:
            above = band.last > parked.rests_at
            self._parked = replace(parked, overlooked=parked.overlooked + 1 if above else 0)

    async def _carry_out(self, move: Widen | RestAt | CancelForRest, order: OrderReport) -> None:
        parked = self._parked
        self._moved_at = self.clock.now()
        self._parked = replace(parked, modifications=parked.modifications + 1, overlooked=0)
        try:
            match move:
                case Widen(percent):
                    await self.account.gateway.widen_protection(order.order_id, percent)
                    self._note(LogWord.EXIT_CHASED, order, f"parked; protection widened to {percent} %")
                    self._alert_once(order)
                case RestAt(price):
                    await self.account.gateway.rest_at(order.order_id, price)
                    self._parked = replace(self._parked, rests_at=price)
                    self._note(LogWord.EXIT_RESTS, order, f"no buyers; waits in the queue at ₹{to_rupees(price)}")
                    await self.tell(NoBuyers(self.command.intent.id, price))
                case CancelForRest():
                    await self.account.gateway.cancel(order.order_id)
                    self._note(LogWord.EXIT_CANCELLED, order, "parked for too long; its rest is sent again")
                case _:
                    assert_never(move)
        except BrokerUnavailable as error:
            refused = names_circuit(str(error))
            self._parked = replace(self._parked, setbacks=parked.setbacks + 1, at_circuit=parked.at_circuit or refused)
            raise

    def _note(self, event: LogWord, order: OrderReport, reason: str) -> None:
        command = self.command
        self.attempts.log_note(OrderNote(command, event, order.order_id, reason, self.clock.now()))

    def _alert_once(self, order: OrderReport) -> None:
        if not self._told:
            self._told = True
            message = f"exit {order.order_id} was parked; its protection is widened until it fills"
            self.attempts.alert(self.command.user_id, self.command.strategy_id, "exit_chased", message)
