"""Accepted is not filled: an order is followed to its end, and an exit that parks is chased (mechanism 8, row H4).

Two sources say what an order has become: the order book, which is read again and again, and the broker's updates,
which come at once, or twice, or late, or never. What is known is merged by rank of the stage and by filled quantity,
so neither can take the other back.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from actors.domain.identifiers import Side
from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import OrderReport, OrderStage, is_dead
from actors.domain.orders.partly_read import is_listed_unread
from actors.execution.account.position_evidence import AccountEvidence
from actors.execution.account.trading_account import TradingAccount, with_tag
from actors.execution.orders.exit_chase import ExitChase
from actors.ports.common import Clock
from actors.ports.execution import AttemptLog, BrokerUnavailable, OrderNote
from actors.ports.strategy import OrderCommand

log = structlog.get_logger(__name__)


_POLL_S = 0.1
_SLOW_POLL_S = 0.5
_SLOW_AFTER = timedelta(seconds=3)
"""Polling is slow once it has lasted for this time, or while the update stream speaks."""
_RARE_POLL_S = 5.0
"""For an exit that waits in the queue at its circuit, perhaps for the whole day: the account's watcher reads the book
meanwhile."""
_FILLS_LAG = timedelta(seconds=2)
"""How long the fills of a COMPLETE order may lag behind its status. Then what has filled was all of it: the trader has
reduced the order in the Kite app."""
_VANISHED_AFTER = timedelta(seconds=120)
"""An order whose id we have and that complete books have not listed this long is gone: books end with the day."""


@dataclass(slots=True)
class OrderFollower:
    """Follows one order. `report` is called with every change but the last, which `follow` returns."""

    command: OrderCommand
    account: TradingAccount
    evidence: AccountEvidence
    attempts: AttemptLog
    clock: Clock
    report: Callable[[OrderReport], Awaitable[None]]
    chase: ExitChase
    _duplicate_told: bool = False
    _short_since: datetime | None = None
    _listed_at: datetime = field(init=False)

    async def follow(self, placed: OrderReport) -> OrderReport:
        """The order at its end: everything it will ever fill is filled."""
        self._listed_at = started = self.clock.now()
        known = self._with_news(placed)
        self._note_fills(0, known)
        if known.settled_stage.terminal:
            return known
        try:
            while True:
                self._reserve(known)
                await self.report(known)
                before = known
                while _facts(known) == _facts(before) and not known.settled_stage.terminal:
                    known = self._final_if_complete(await self._look(known, started))
                self._note_fills(before.filled_quantity, known)
                if known.settled_stage.terminal:
                    return known
        finally:
            self.account.stop_following(placed.order_id)
            self._reserve(replace(known, filled_quantity=known.quantity))

    def _with_news(self, known: OrderReport) -> OrderReport:
        news = self.account.news(known.order_id)
        return known if news is None else known.merged(news)

    def _final_if_complete(self, known: OrderReport) -> OrderReport:
        """COMPLETE is final whatever its count, once fills had time to catch up with it."""
        if not known.short_of_fills:
            self._short_since = None
            return known
        self._short_since = self._short_since or self.clock.now()
        return known.as_it_stands() if self.clock.now() - self._short_since >= _FILLS_LAG else known

    def _note_fills(self, before: int, known: OrderReport) -> None:
        if known.filled_quantity > before:
            self.evidence.own_fill(self.command.key)

    def _reserve(self, known: OrderReport) -> None:
        if self.command.intent.side is Side.SELL:
            key = self.command.key
            self.account.shares.set(key, self.command.intent.id, known.quantity - known.filled_quantity)

    async def _look(self, known: OrderReport, started: datetime) -> OrderReport:
        """What is known a moment later: at the next update, or by the next read of the book."""
        slow = self.account.updates_live or self.clock.now() - started > _SLOW_AFTER
        pause = _SLOW_POLL_S if slow else _POLL_S
        await self.account.await_news(known.order_id, _RARE_POLL_S if self.chase.resting else pause)
        heard = self._with_news(known)
        if heard.settled_stage.terminal:
            return heard
        try:
            book = await self.account.read_book()
            self._look_for_duplicates(known, book)
            row = next((report for report in book if report.order_id == known.order_id), None)
            seen = self._with_news(known if row is None else known.merged(row))
            if row is not None or is_listed_unread(book, known.order_id):
                self._listed_at = self.clock.now()
            elif self.clock.now() - self._listed_at > _VANISHED_AFTER:
                return replace(seen, stage=OrderStage.CANCELLED, reason="no longer in the order book")
            if self.command.intent.side is Side.SELL and seen.stage is OrderStage.OPEN:
                await self.chase.look(seen)
        except BrokerUnavailable as error:
            log.warning("execution.follow_failed", order_id=known.order_id, reason=str(error))
            return heard
        return self._with_news(seen)

    def _look_for_duplicates(self, known: OrderReport, book: Sequence[OrderReport]) -> None:
        """An order that was thought absent can turn up after it was sent again (window W1): say so, once."""
        same_tag = with_tag(book, self.command.intent.tag)
        others = [r.order_id for r in same_tag if r.order_id != known.order_id and not is_dead(r)]
        if others and not self._duplicate_told:
            self._duplicate_told = True
            message = f"tag {self.command.intent.tag} has more orders: {', '.join(others)}"
            about = f"tag:{self.command.intent.tag}"
            self.attempts.alert(self.command.user_id, self.command.strategy_id, "duplicate_order", message, about)
            for order_id in others:
                now = self.clock.now()
                self.attempts.log_note(OrderNote(self.command, LogWord.DUPLICATE_ORDER, order_id, "same tag", now))


def _facts(report: OrderReport) -> tuple[object, ...]:
    """What the strategy must hear of."""
    return report.stage, report.filled_quantity, report.quantity
