"""One intent becomes one order at the broker, effectively once (mechanisms 4 to 7, ruling 1).

What can be believed of `OrderPlacer.place`: while it runs, at most one request for the intent is under way. It returns
the broker's order, or a failure, and then it is proven that the broker holds none.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from actors import failpoints
from actors.domain.identifiers import Side
from actors.domain.market_hours import MarketHours, Request
from actors.domain.orders.cover import name_of
from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import FailureKind, OrderReport, OrderStage, is_dead, precedence
from actors.domain.orders.partly_read import may_hide
from actors.domain.orders.placement_policy import (
    TOO_LATE,
    Adopt,
    AttemptOutcome,
    GiveUp,
    LookUpAt,
    Move,
    Placement,
    RetryPolicy,
    SendAt,
    after_attempt,
    after_look_up,
    begin,
)
from actors.domain.strategy.events import Event, OrderQueued, PlacementFailed, PlacementUnresolved
from actors.execution.account.budget import DayUsedUp, Place
from actors.execution.account.position_evidence import AccountEvidence, look_ahead_at
from actors.execution.account.trading_account import TradingAccount, with_tag
from actors.execution.orders.alarm_clock import AlarmClock
from actors.execution.orders.entry_gate import FORBIDDEN
from actors.execution.orders.order_hours import market_closed, refusal
from actors.ports.common import Clock
from actors.ports.execution import Attempt, AttemptLog, BrokerLoginExpired, BrokerUnavailable, OrderNote, PlaceResult
from actors.ports.strategy import OrderCommand

log = structlog.get_logger(__name__)

_POSITION_RETRY_S = 0.5
_EMPTY_READS = 3
"""Readings in a row that must show nothing to sell: a fill of a moment ago may not be in the positions yet."""


@dataclass(slots=True)
class OrderPlacer:
    """Places the order of one command. `report` tells the strategy how it goes; `in_background` keeps a task alive."""

    command: OrderCommand
    account: TradingAccount
    evidence: AccountEvidence
    attempts: AttemptLog
    clock: Clock
    policy: RetryPolicy
    alarm: AlarmClock
    unresolved_after: timedelta
    report: Callable[[Event], Awaitable[None]]
    in_background: Callable[[Awaitable[None]], None]
    hours: MarketHours
    barred: Callable[[OrderCommand], bool]
    _withdrawn: bool = field(default=False, init=False)
    _instant: "asyncio.Future[None] | None" = field(default=None, init=False)
    _doubtful: bool = field(default=False, init=False)
    _told: bool = field(default=False, init=False)
    _told_to_log_in: bool = field(default=False, init=False)
    _login_expired: bool = field(default=False, init=False)
    _lack: str = field(default="", init=False)

    @property
    def withdrawn(self) -> bool:
        """Whether nothing more may be sent."""
        return self._withdrawn

    def withdraw(self) -> None:
        """Send nothing more; whether the order exists is still found out."""
        self._withdrawn = True
        if self._instant is not None and not self._instant.done():
            self._instant.set_result(None)

    async def place(self) -> OrderReport | PlacementFailed:
        """See the head of this module."""
        command = self.command
        await self._await_instant()
        found = await self._find() if command.look_once else []
        if found:
            return self._adopted(found)
        self._doubtful = command.look_up_first or found is None
        placement, move = begin(self.clock.now(), look_up_first=self._doubtful, not_after=command.not_after)
        while True:
            match move:
                case SendAt(at):
                    await self._sleep_until(at)
                    outcome = await self._attempt(placement, self._leaves_by(placement, at))
                    if not isinstance(outcome, tuple):
                        return outcome
                    placement, move = outcome
                case LookUpAt(at):
                    await self._sleep_until(at)
                    found = await self._find()
                    placement, move = after_look_up(placement, found, self.clock.now(), self.policy)
                    await self._tell_doubt(placement, unreachable=found is None)
                case Adopt(report, others):
                    self._tell_duplicates(report, [other.order_id for other in others])
                    return report
                case GiveUp(kind, reason):
                    never_sent = reason == TOO_LATE and command.intent.side is Side.BUY and not _requests(placement)
                    return self._failed(FailureKind.MISSED if never_sent else kind, reason)

    def rehearse(self) -> None:
        """Everything that `place` does with a first request before the wire; nothing leaves, and nothing changes."""
        command = self.command
        placement, _ = begin(self.clock.now(), look_up_first=False, not_after=command.not_after)
        self.evidence.proves(command)
        self.account.requests.used_up(command.intent.id)
        self._forbidden(placement, self._leaves_by(placement, self.clock.now()))
        self.account.gateway.rehearse(command)

    async def _await_instant(self) -> None:
        """A command may come before its time; a withdrawal ends the wait."""
        instant = self.command.not_before
        if instant is None or self.withdrawn or self.clock.now() >= instant:
            return
        self.in_background(self.account.warm_up())
        self.in_background(self._look_ahead(instant))
        self._instant = self.alarm.at(instant)
        await self._instant

    async def _look_ahead(self, instant: datetime) -> None:
        await self._sleep_until(look_ahead_at(self.clock.now(), instant))
        await self.evidence.look_ahead(self.command.product, instant)

    # --- one attempt ----------------------------------------------------------------------------------------------

    def _leaves_by(self, placement: Placement, due: datetime) -> datetime | None:
        """From when on the request that is due is late: the only place that knows when a BUY is missed (row E4)."""
        command = self.command
        if command.grace is None:
            return command.not_after
        first = command.not_before is not None and not _requests(placement)
        late = (command.not_before if first and command.not_before is not None else due) + command.grace
        return late if command.not_after is None else min(late, command.not_after)

    async def _attempt(
        self, placement: Placement, leaves_by: datetime | None
    ) -> OrderReport | PlacementFailed | tuple[Placement, Move]:
        began_at = asyncio.get_running_loop().time()
        repeated = _requests(placement) > 0 or self.command.look_up_first or self.command.look_once
        if repeated and (closed := self._closed()) is not None:
            return closed
        command = await self._covered(check=repeated or self.command.check_position)
        if isinstance(command, PlacementFailed):
            return command
        try:
            place = await self._wait_for_budget(command, leaves_by)
        except DayUsedUp as error:
            return self._failed(FailureKind.BUDGET_USED_UP, str(error))
        except TimeoutError:
            return self._too_late(placement)
        if repeated:
            found = await self._find(since=began_at)  # the look at the shares may have read the book just now
            if found:
                return self._adopted(found)
            if found is None and self._doubtful:
                now = self.clock.now()
                return replace(placement, doubt_since=now, reads_absent=0), LookUpAt(now + self.policy.look_interval)
        with place:
            return self._forbidden(placement, leaves_by) or await self._send(command, placement)

    def _forbidden(self, placement: Placement, leaves_by: datetime | None) -> PlacementFailed | None:
        """Why the request may not leave, in the very iteration of the loop in which it would."""
        if self.withdrawn:
            return self._failed(FailureKind.EXHAUSTED, "withdrawn")
        if self.barred(self.command):
            return self._failed(FailureKind.FORBIDDEN, FORBIDDEN)
        if leaves_by is not None and self.clock.now() >= leaves_by:
            return self._too_late(placement)
        return self._closed()

    async def _wait_for_budget(self, command: OrderCommand, leaves_by: datetime | None) -> Place:
        """Raises DayUsedUp, and TimeoutError if no place comes in time."""
        intent, requests = command.intent, self.account.requests
        if requests.used_up(intent.id):
            raise DayUsedUp("the orders of this run have cost as many requests as one run may send in a day")
        place = self.account.budget.acquire(intent.event, self._tell_queued, again=requests.any_of(intent.id))
        if leaves_by is None:
            return await place
        async with asyncio.timeout(max(0.0, (leaves_by - self.clock.now()).total_seconds())):
            return await place

    def _closed(self) -> PlacementFailed | None:
        closed = refusal(self.command, self.hours, self.clock.now(), Request.ORDER)
        return None if closed is None else market_closed(self.command, closed)

    def _too_late(self, placement: Placement) -> PlacementFailed:
        """Missed, unless requests of this very placing have failed before (row H1)."""
        if self.command.intent.side is Side.BUY and (self.command.grace is not None or not _requests(placement)):
            return self._failed(FailureKind.MISSED, TOO_LATE)
        return self._failed(FailureKind.EXHAUSTED, placement.last_reason or TOO_LATE)

    async def _send(
        self, command: OrderCommand, placement: Placement
    ) -> OrderReport | PlacementFailed | tuple[Placement, Move]:
        failpoints.hit("send.before", command.strategy_id)
        number = placement.attempts + 1
        result = await self._post(command, number)
        if isinstance(result, OrderReport):
            return result
        failpoints.hit("send.after", command.strategy_id)
        now = self.clock.now()
        self.account.requests.add(command.intent.id, result.outcome)
        self.attempts.log_attempt(Attempt(command, number, result, now))
        failpoints.hit("reply.after", command.strategy_id)
        if result.outcome is AttemptOutcome.ACCEPTED and result.order_id is not None:
            intent = command.intent
            return OrderReport(result.order_id, intent.tag, OrderStage.PENDING, intent.quantity, 0, Decimal(0))
        if result.outcome is AttemptOutcome.RATE_LIMITED:
            self.account.budget.refused_by_broker()
        self._doubtful = self._doubtful or result.outcome is AttemptOutcome.AMBIGUOUS
        return after_attempt(placement, result.outcome, result.reason, now, self.policy)

    async def _post(self, command: OrderCommand, number: int) -> PlaceResult | OrderReport:
        """The answer to one request, or the order itself if the book shows it while the request still hangs."""
        sent_at = self.clock.now()
        request = asyncio.ensure_future(self.account.gateway.place(command))
        await asyncio.sleep(0)  # orders of the same instant leave before anything is done about the answer to this one
        for pause in self.policy.hanging_looks:
            await asyncio.wait([request], timeout=max(0.0, (sent_at + pause - self.clock.now()).total_seconds()))
            if request.done():
                break
            look = asyncio.ensure_future(self._find())
            await asyncio.wait([request, look], return_when=asyncio.FIRST_COMPLETED)
            if request.done():
                look.cancel()
                break
            if found := look.result():
                adopted = self._adopted(found)
                self.in_background(self._await_answer(request, command, number, adopted))
                return adopted
        return await request

    async def _await_answer(
        self, request: "asyncio.Future[PlaceResult]", command: OrderCommand, number: int, adopted: OrderReport
    ) -> None:
        """The answer to a request whose order was found before it; it is logged, and must name that order."""
        result = await request
        self.account.requests.add(command.intent.id, result.outcome)
        self.attempts.log_attempt(Attempt(command, number, result, self.clock.now()))
        if result.order_id not in {None, adopted.order_id}:
            self._tell_duplicates(adopted, [str(result.order_id)])

    # --- what is known --------------------------------------------------------------------------------------------

    async def _find(self, *, since: float | None = None) -> list[OrderReport] | None:
        """The orders of the book that carry the tag; None if the book could not be read, which proves nothing."""
        tag = self.command.intent.tag
        try:
            book = await self.account.read_book(since)
        except BrokerUnavailable as error:
            self._login_expired = isinstance(error, BrokerLoginExpired)
            log.warning("execution.look_up_failed", intent=str(self.command.intent.id), reason=str(error))
            return None
        found = with_tag(book, tag)
        if found or not may_hide(book, tag):
            return found
        log.warning("execution.order_unreadable", intent=str(self.command.intent.id))
        # an order that carries the tag is there, whatever our own attempts have proven
        self._doubtful = self._doubtful or may_hide(book, tag, anonymous=False)
        return None

    def _adopted(self, found: list[OrderReport]) -> OrderReport:
        first, *others = sorted(found, key=precedence)
        self._tell_duplicates(first, [other.order_id for other in others if not is_dead(other)])
        return first

    def _tell_duplicates(self, report: OrderReport, others: list[str]) -> None:
        if others:
            message = f"tag {self.command.intent.tag} has order {report.order_id} and more: {', '.join(others)}"
            about = f"tag:{self.command.intent.tag}"
            self.attempts.alert(self.command.user_id, self.command.strategy_id, "duplicate_order", message, about)
            for order_id in others:
                now = self.clock.now()
                self.attempts.log_note(OrderNote(self.command, LogWord.DUPLICATE_ORDER, order_id, "same tag", now))

    async def _covered(self, *, check: bool) -> OrderCommand | PlacementFailed:
        """The command, to sell at most what the account holds of the run, so that no short is opened (row M1).

        The first request of an exit asks nothing if the watcher of the account has just seen that everything is there.
        """
        command, key = self.command, self.command.key
        if command.intent.side is not Side.SELL:
            if command.look_up_first or not check:  # else its own first request has just looked
                await self.evidence.look_ahead(command.product)
            short = self.evidence.short_before_buying(command)
            if short is None:
                return command
            reason = f"the account is short of {short} {name_of(key)}: a buy would only cover that"
            return self._failed(FailureKind.ACCOUNT_SHORT, reason)
        intent = command.intent
        if check or not self.evidence.proves(command):
            try:
                sellable = await self._sellable()
            except BrokerLoginExpired as error:
                return self._failed(FailureKind.SESSION_EXPIRED, str(error))
            if sellable is None:
                return command  # withdrawn: nothing will be sent
            if sellable <= 0:
                return self._failed(FailureKind.NOTHING_TO_SELL, self._lack)
            intent = replace(intent, quantity=min(intent.quantity, sellable))
        self.account.shares.set(key, intent.id, intent.quantity)
        return replace(command, intent=intent)

    async def _sellable(self) -> int | None:
        """Shares that are the run's and that no other exit is about to sell; waits until that is known.

        Raises:
            BrokerLoginExpired: and nothing that was sent before is in doubt: the strategy probes and tries again.
        """
        command = self.command
        key, asked_at, empty = command.key, self.clock.now(), 0
        while not self.withdrawn:
            try:
                cover = await self.evidence.ask_for(command)
            except BrokerUnavailable as error:
                if isinstance(error, BrokerLoginExpired) and not self._doubtful:
                    raise
                self._login_expired = isinstance(error, BrokerLoginExpired)
                log.warning("execution.position_unknown", strategy_id=command.strategy_id, reason=str(error))
                await self._tell_waiting(asked_at, str(error), unreachable=True)
            else:
                free = cover.covered - self.account.shares.of_others(key, command.intent.id)
                if free > 0:
                    return free
                empty = empty + 1 if cover.covered <= 0 and self.evidence.settled(key) else 0
                if empty >= _EMPTY_READS:
                    self._lack = cover.reason()
                    return 0
                await self._tell_waiting(asked_at, "other exits are about to sell these shares", unreachable=False)
            await asyncio.sleep(_POSITION_RETRY_S)
        return None

    # --- telling --------------------------------------------------------------------------------------------------

    async def _tell_doubt(self, placement: Placement, *, unreachable: bool) -> None:
        if placement.doubt_since is not None:
            await self._tell_waiting(placement.doubt_since, placement.last_reason, unreachable=unreachable)

    async def _tell_waiting(self, since: datetime, reason: str, *, unreachable: bool) -> None:
        to_log_in = unreachable and self._login_expired
        news = not self._told or (to_log_in and not self._told_to_log_in)
        if news and self.clock.now() - since >= self.unresolved_after:
            self._told, self._told_to_log_in = True, to_log_in
            unreachable = unreachable and not to_log_in
            await self.report(PlacementUnresolved(self.command.intent.id, reason, unreachable, to_log_in))

    def _tell_queued(self, expected_at: datetime) -> None:
        self.in_background(self.report(OrderQueued(self.command.intent.id, expected_at)))

    def _failed(self, kind: FailureKind, reason: str) -> PlacementFailed:
        return PlacementFailed(self.command.intent.id, kind, reason)

    async def _sleep_until(self, at: datetime) -> None:
        remaining = (at - self.clock.now()).total_seconds()
        if remaining > 0:
            await asyncio.sleep(remaining)


def _requests(placement: Placement) -> int:
    """How many requests of this placing have left."""
    return placement.attempts + placement.throttled
