"""Accepted is not filled: an order is followed to its end, and an exit that parks is chased (design §4.5, row H4).

Two sources say what an order has become: the order book, which is read again and again, and the broker's updates,
which come at once, or twice, or late, or never. What is known is merged by rank of the stage and by filled quantity,
so neither can take the other back.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from actors.account_desk import AccountDesk, with_tag
from actors.domain.identifiers import Side
from actors.domain.order import OrderReport, OrderStage, chase_protection, is_dead
from actors.domain.partly_read import is_listed_unread
from actors.order_budget import DayUsedUp
from actors.ports import AttemptLog, BrokerUnavailable, Clock, OrderCommand, OrderNote, position_key

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FollowLimits:
    """How an order is followed. Polling is slow once it has lasted `slow_after`, or while the update stream speaks."""

    poll_s: float = 0.1
    slow_poll_s: float = 0.5
    slow_after: timedelta = timedelta(seconds=3)
    chase_after: timedelta = timedelta(seconds=1)
    vanished_after: timedelta = timedelta(seconds=120)
    """An order whose id we have and that complete books have not listed for so long is gone: books end with the day."""


@dataclass(slots=True)
class OrderFollower:
    """Follows one order. `report` is called with every change but the last, which `follow` returns."""

    command: OrderCommand
    desk: AccountDesk
    attempts: AttemptLog
    clock: Clock
    limits: FollowLimits
    report: Callable[[OrderReport], Awaitable[None]]
    _modifications: int = 0
    _duplicate_told: bool = False
    _moved_at: datetime = field(init=False)
    _listed_at: datetime = field(init=False)

    async def follow(self, placed: OrderReport) -> OrderReport:
        """The order at its end: everything it will ever fill is filled."""
        self._moved_at = self._listed_at = started = self.clock.now()
        known = self._with_news(placed)
        if known.settled_stage.terminal:
            return known
        try:
            while True:
                self._reserve(known)
                await self.report(known)
                before = known
                while (known.stage, known.filled_quantity) == (before.stage, before.filled_quantity):
                    known = await self._look(known, started)
                if known.settled_stage.terminal:
                    return known
        finally:
            self.desk.stop_following(placed.order_id)
            self._reserve(replace(known, filled_quantity=known.quantity))

    def _with_news(self, known: OrderReport) -> OrderReport:
        news = self.desk.news(known.order_id)
        return known if news is None else known.merged(news)

    def _reserve(self, known: OrderReport) -> None:
        if self.command.intent.side is Side.SELL:
            key = position_key(self.command.instrument, self.command.product)
            self.desk.shares.set(key, self.command.intent.id, known.quantity - known.filled_quantity)

    async def _look(self, known: OrderReport, started: datetime) -> OrderReport:
        """What is known a moment later: at the next update, or by the next read of the book."""
        limits = self.limits
        slow = self.desk.updates_live or self.clock.now() - started > limits.slow_after
        await self.desk.await_news(known.order_id, limits.slow_poll_s if slow else limits.poll_s)
        heard = self._with_news(known)
        if heard.settled_stage.terminal:
            return heard
        try:
            book = await self.desk.read_book()
            self._look_for_duplicates(known, book)
            row = next((report for report in book if report.order_id == known.order_id), None)
            seen = self._with_news(known if row is None else known.merged(row))
            if row is not None or is_listed_unread(book, known.order_id):
                self._listed_at = self.clock.now()
            elif self.clock.now() - self._listed_at > limits.vanished_after:
                return replace(seen, stage=OrderStage.CANCELLED, reason="no longer in the order book")
            if self.command.intent.side is Side.SELL and seen.stage is OrderStage.OPEN:
                await self._chase(seen)
        except BrokerUnavailable as error:
            log.warning("execution.follow_failed", order_id=known.order_id, reason=str(error))
            return heard
        return self._with_news(seen)

    def _look_for_duplicates(self, known: OrderReport, book: Sequence[OrderReport]) -> None:
        """An order that was thought absent can turn up after it was sent again (design §4.8): say so, once."""
        same_tag = with_tag(book, self.command.intent.tag)
        others = [r.order_id for r in same_tag if r.order_id != known.order_id and not is_dead(r)]
        if others and not self._duplicate_told:
            self._duplicate_told = True
            message = f"tag {self.command.intent.tag} has more orders: {', '.join(others)}"
            self.attempts.alert(self.command.user_id, self.command.strategy_id, "duplicate_order", message)
            for order_id in others:
                now = self.clock.now()
                self.attempts.log_note(OrderNote(self.command, "DUPLICATE_ORDER", order_id, "same tag", now))

    async def _chase(self, parked: OrderReport) -> None:
        """Modify the same order to ever wider protection; cancelled when it may not be modified again (kite.md §4)."""
        now = self.clock.now()
        if now - self._moved_at < self.limits.chase_after:
            return
        percent = chase_protection(self._modifications)
        self._moved_at, self._modifications = now, self._modifications + 1
        try:
            await self.desk.budget.acquire(self.command.intent.event)
        except DayUsedUp as error:
            raise BrokerUnavailable(str(error)) from error
        if percent is None:
            await self.desk.gateway.cancel(parked.order_id)
            self._note("EXIT_CANCELLED", parked, "parked for too long; its rest is sent anew")
        else:
            await self.desk.gateway.widen_protection(parked.order_id, percent)
            self._note("EXIT_CHASED", parked, f"parked; protection widened to {percent} %")

    def _note(self, event: str, parked: OrderReport, reason: str) -> None:
        command = self.command
        self.attempts.log_note(OrderNote(command, event, parked.order_id, reason, self.clock.now()))
        if self._modifications == 1:
            message = f"exit {parked.order_id} was {reason}"
            self.attempts.alert(command.user_id, command.strategy_id, "exit_chased", message)
