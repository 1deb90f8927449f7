"""The shell that places orders: the order protocol of design §4, one task per intent.

What a caller of `execute` may believe: while it runs, at most one request for the intent is under way; after it
returned, the order is final, or it is proven that the broker holds none.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from actors.account_desk import AccountDesk, newest_by_tag, with_tag
from actors.domain.events import Event, OrderReported, PlacementFailed, PlacementUnresolved
from actors.domain.identifiers import IntentId, Leg, Side
from actors.domain.order import FailureKind, OrderReport, OrderStage, chase_protection, is_dead
from actors.domain.retry_policy import (
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
from actors.ports import (
    Attempt,
    AttemptLog,
    BrokerUnavailable,
    ClaimsUnavailable,
    ClaimVerdict,
    Clock,
    OrderClaims,
    OrderCommand,
    OrderGateways,
    PeerUnavailable,
    StrategyEvents,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExecutionLimits:
    """The operator's limits. An exit's doubt is shorter than an entry's: unprotected time is dear."""

    orders_per_second: int = 10
    entry: RetryPolicy = field(default_factory=RetryPolicy)
    exit: RetryPolicy = field(default_factory=lambda: RetryPolicy(quarantine=timedelta(seconds=2)))
    unresolved_after: timedelta = timedelta(seconds=3)
    chase_after: timedelta = timedelta(seconds=1)
    follow_interval_s: float = 0.1
    slow_follow_interval_s: float = 0.5
    slow_after: timedelta = timedelta(seconds=3)
    claim_renewal: timedelta = timedelta(seconds=5)
    vanished_after: timedelta = timedelta(seconds=120)
    """An order whose id we have and that complete books have not listed for so long is gone: books end with the day."""


class ExecutionActor:
    """Places, follows, chases and cancels the orders of the accounts that are mapped to it."""

    def __init__(
        self,
        *,
        gateways: OrderGateways,
        claims: OrderClaims,
        strategies: StrategyEvents,
        attempts: AttemptLog,
        clock: Clock,
        limits: ExecutionLimits,
    ) -> None:
        self._gateways, self._claims, self._strategies = gateways, claims, strategies
        self._attempts, self._clock, self._limits = attempts, clock, limits
        self._desks: dict[int, AccountDesk] = {}
        self._working: dict[IntentId, asyncio.Task[Event]] = {}
        self._withdrawn: set[IntentId] = set()

    async def execute(self, command: OrderCommand) -> Event:
        """Place the intent's order and follow it to its end; the event that ends it. Repeats join the first."""
        intent_id = command.intent.id
        work = self._working.get(intent_id)
        if work is None:
            work = asyncio.create_task(self._work(command))
            self._working[intent_id] = work
            work.add_done_callback(lambda _: self._forget(intent_id))
        return await asyncio.shield(work)

    def withdraw(self, intent_id: IntentId) -> None:
        """Send nothing more for an intent in work; whether its order exists is still found out."""
        if intent_id in self._working:
            self._withdrawn.add(intent_id)

    async def cancel(self, account_id: int, intent_id: IntentId, order_id: str) -> None:
        """Cancel what is open of an order, until its follower sees it final."""
        desk = await self._desk(account_id)
        work = self._working.get(intent_id)
        while True:
            await desk.budget.acquire(priority=1)
            try:
                await desk.gateway.cancel(order_id)
            except BrokerUnavailable as error:
                log.warning("execution.cancel_failed", order_id=order_id, reason=str(error))
                if work is None and not _is_final(await desk.read_book(), order_id):
                    raise
            if work is None or (await asyncio.wait([work], timeout=1))[0]:
                return

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        """The orders of today's book that carry one of the tags. Raises BrokerUnavailable."""
        desk = await self._desk(account_id)
        return newest_by_tag(await desk.read_book(), tags)

    async def probe(self, account_id: int) -> bool:
        """Whether the broker answers for the account."""
        try:
            desk = await self._desk(account_id)
            await desk.read_book()
        except BrokerUnavailable:
            return False
        return True

    async def _desk(self, account_id: int) -> AccountDesk:
        desk = self._desks.get(account_id)
        if desk is None:
            gateway = await self._gateways.gateway(account_id)
            desk = AccountDesk(gateway, self._limits.orders_per_second, self._clock)
            desk = self._desks.setdefault(account_id, desk)
        return desk

    def _forget(self, intent_id: IntentId) -> None:
        self._working.pop(intent_id, None)
        self._withdrawn.discard(intent_id)

    # --- one intent ----------------------------------------------------------------------------------------------

    async def _work(self, command: OrderCommand) -> Event:
        try:
            desk = await self._desk(command.account_id)
        except BrokerUnavailable as error:
            if command.look_up_first:
                raise PeerUnavailable(str(error)) from error  # nothing is proven about the earlier attempt
            return PlacementFailed(command.intent.id, FailureKind.UNREACHABLE, str(error))
        claimed = await self._claim(command)
        if isinstance(claimed, PlacementFailed):
            return claimed
        keeper = asyncio.create_task(self._keep_claim(claimed))
        try:
            placed = _known_order(claimed) or await self._place(claimed, desk)
            return placed if isinstance(placed, PlacementFailed) else await self._follow(claimed, desk, placed)
        finally:
            keeper.cancel()
            await self._claims.release(claimed)

    async def _claim(self, command: OrderCommand) -> OrderCommand | PlacementFailed:
        """The command to carry out under the strategy's order lock (rows G1, J3; ruling 6)."""
        intent_id = command.intent.id
        try:
            verdict = await self._claims.claim(command)
        except ClaimsUnavailable as error:
            if command.intent.side is Side.SELL:
                return replace(command, look_up_first=True)  # a protective exit goes out, after a look at the book
            if command.look_up_first:
                raise PeerUnavailable(str(error)) from error
            return PlacementFailed(intent_id, FailureKind.HALTED, str(error))
        if verdict is ClaimVerdict.REFUSED and (command.look_up_first or command.order_id is not None):
            return replace(command, look_up_first=True, not_after=self._clock.now())  # found out, never sent
        if verdict is ClaimVerdict.REFUSED:
            return PlacementFailed(intent_id, FailureKind.HALTED, "a newer order of this strategy holds the lock")
        return replace(command, look_up_first=True) if verdict is ClaimVerdict.HELD_BY_ME else command

    async def _keep_claim(self, command: OrderCommand) -> None:
        while True:
            await asyncio.sleep(self._limits.claim_renewal.total_seconds())
            if not await self._claims.renew(command):
                self.withdraw(command.intent.id)  # somebody else holds the lock: follow what was sent, send no more

    async def _place(self, command: OrderCommand, desk: AccountDesk) -> OrderReport | PlacementFailed:
        policy = self._limits.entry if command.intent.id.leg is Leg.ENTRY else self._limits.exit
        now = self._clock.now()
        placement, move = begin(now, look_up_first=command.look_up_first, not_after=command.not_after)
        told = False
        while True:
            match move:
                case SendAt(at):
                    await self._sleep_until(at)
                    outcome = await self._attempt(command, desk, placement, policy)
                    if not isinstance(outcome, tuple):
                        return outcome
                    placement, move = outcome
                case LookUpAt(at):
                    await self._sleep_until(at)
                    placement, move, unreachable = await self._look_up(command, desk, placement, policy)
                    if not told and self._in_doubt_for_long(placement):
                        told = True
                        await self._report(
                            command, PlacementUnresolved(command.intent.id, placement.last_reason, unreachable)
                        )
                case Adopt(report, others):
                    if others:
                        ids = ", ".join(other.order_id for other in others)
                        self._attempts.alert(command, "duplicate_order", f"tag {report.tag} has more orders: {ids}")
                    return report
                case GiveUp(kind, reason):
                    return PlacementFailed(command.intent.id, kind, reason)

    async def _attempt(
        self, command: OrderCommand, desk: AccountDesk, placement: Placement, policy: RetryPolicy
    ) -> OrderReport | PlacementFailed | tuple[Placement, Move]:
        repeated = placement.attempts > 0 or command.look_up_first or command.check_position
        if repeated and command.intent.side is Side.SELL:
            held = await self._held(command, desk)
            if held <= 0:
                reason = "the account no longer holds the shares"
                return PlacementFailed(command.intent.id, FailureKind.NOTHING_TO_SELL, reason)
            intent = command.intent
            command = replace(command, intent=replace(intent, quantity=min(intent.quantity, held)))
        await desk.budget.acquire(command.intent.event.priority)
        if command.intent.id in self._withdrawn or self._is_too_late(command):
            return PlacementFailed(command.intent.id, FailureKind.EXHAUSTED, "withdrawn, or too late to send")
        result = await desk.gateway.place(command)
        now = self._clock.now()
        self._attempts.log_attempt(Attempt(command, placement.attempts + 1, result, now))
        if result.outcome is AttemptOutcome.ACCEPTED and result.order_id is not None:
            intent = command.intent
            return OrderReport(result.order_id, intent.tag, OrderStage.PENDING, intent.quantity, 0, Decimal(0))
        return after_attempt(placement, result.outcome, result.reason, now, policy)

    def _is_too_late(self, command: OrderCommand) -> bool:
        return command.not_after is not None and self._clock.now() >= command.not_after

    async def _held(self, command: OrderCommand, desk: AccountDesk) -> int:
        """Before an exit is sent again: how much there is to sell, so that no short is opened (design §4.6)."""
        asked_at, told = self._clock.now(), False
        while command.intent.id not in self._withdrawn:
            try:
                return await desk.gateway.net_quantity(command.instrument, command.product)
            except BrokerUnavailable as error:
                log.warning("execution.position_unknown", strategy_id=command.strategy_id, reason=str(error))
                if not told and self._clock.now() - asked_at >= self._limits.unresolved_after:
                    told = True
                    await self._report(command, PlacementUnresolved(command.intent.id, str(error), unreachable=True))
                await asyncio.sleep(self._limits.slow_follow_interval_s)
        return command.intent.quantity  # nothing will be sent

    async def _look_up(
        self, command: OrderCommand, desk: AccountDesk, placement: Placement, policy: RetryPolicy
    ) -> tuple[Placement, Move, bool]:
        found: list[OrderReport] | None
        try:
            found = with_tag(await desk.read_book(), command.intent.tag)
        except BrokerUnavailable as error:
            found = None
            log.warning("execution.look_up_failed", intent=str(command.intent.id), reason=str(error))
        after, move = after_look_up(placement, found, self._clock.now(), policy)
        return after, move, found is None

    def _in_doubt_for_long(self, placement: Placement) -> bool:
        since = placement.doubt_since
        return since is not None and self._clock.now() - since >= self._limits.unresolved_after

    async def _follow(self, command: OrderCommand, desk: AccountDesk, report: OrderReport) -> Event:
        """Report every change until the order is final; an exit that parks is chased until it fills (design §4.5)."""
        chase = Chase(self._clock.now())
        started = self._clock.now()
        while not report.settled_stage.terminal:
            await self._report(command, OrderReported(command.intent.id, report))
            report = await self._next_change(command, desk, report, chase, started)
        return OrderReported(command.intent.id, report)

    async def _next_change(
        self, command: OrderCommand, desk: AccountDesk, known: OrderReport, chase: "Chase", started: datetime
    ) -> OrderReport:
        limits = self._limits
        seen_at = self._clock.now()
        while True:
            slow = self._clock.now() - started > limits.slow_after
            await asyncio.sleep(limits.slow_follow_interval_s if slow else limits.follow_interval_s)
            try:
                book = await desk.read_book()
                self._look_for_duplicates(command, known, book, chase)
                report = next((r for r in book if r.order_id == known.order_id), None)
                if report is None:
                    if self._clock.now() - seen_at > limits.vanished_after:
                        return replace(known, stage=OrderStage.CANCELLED, reason="no longer in the order book")
                    continue
                seen_at = self._clock.now()
                if command.intent.side is Side.SELL and report.stage is OrderStage.OPEN:
                    await self._chase(command, desk, report, chase)
            except BrokerUnavailable as error:
                log.warning("execution.follow_failed", order_id=known.order_id, reason=str(error))
                continue
            if (report.stage, report.filled_quantity) != (known.stage, known.filled_quantity):
                return report

    def _look_for_duplicates(
        self, command: OrderCommand, known: OrderReport, book: Sequence[OrderReport], chase: "Chase"
    ) -> None:
        """An order that was thought absent can turn up after it was sent again (design §4.8): say so, once."""
        same_tag = with_tag(book, command.intent.tag)
        others = [r.order_id for r in same_tag if r.order_id != known.order_id and not is_dead(r)]
        if others and not chase.duplicate_told:
            chase.duplicate_told = True
            ids = ", ".join(others)
            self._attempts.alert(command, "duplicate_order", f"tag {command.intent.tag} has more orders: {ids}")

    async def _chase(self, command: OrderCommand, desk: AccountDesk, report: OrderReport, chase: "Chase") -> None:
        now = self._clock.now()
        percent = chase_protection(chase.modifications)
        if now - chase.moved_at < self._limits.chase_after:
            return
        chase.moved_at, chase.modifications = now, chase.modifications + 1
        await desk.budget.acquire(command.intent.event.priority)
        if percent is None:  # no more modifications: cancelled, its rest goes out as the next exit
            await desk.gateway.cancel(report.order_id)
            message = f"exit {report.order_id} was parked for too long; cancelled, its rest is sent anew"
        else:
            await desk.gateway.widen_protection(report.order_id, percent)
            message = f"exit {report.order_id} was parked; protection widened to {percent} %"
        self._attempts.alert(command, "exit_chased", message)

    async def _report(self, command: OrderCommand, event: Event) -> None:
        """Progress is best effort: a strategy that restarts reads the book, and the last event is our reply."""
        try:
            async with asyncio.timeout(1):
                await self._strategies.report(command.strategy_id, event)
        except (PeerUnavailable, TimeoutError) as error:
            log.warning("execution.report_lost", strategy_id=command.strategy_id, reason=str(error))

    async def _sleep_until(self, at: datetime) -> None:
        remaining = (at - self._clock.now()).total_seconds()
        if remaining > 0:
            await asyncio.sleep(remaining)


def _is_final(book: Sequence[OrderReport], order_id: str) -> bool:
    return any(report.order_id == order_id and report.stage.terminal for report in book)


def _known_order(command: OrderCommand) -> OrderReport | None:
    """An order that an earlier incarnation placed: nothing is left to do but to follow it."""
    if command.order_id is None:
        return None
    intent = command.intent
    return OrderReport(command.order_id, intent.tag, OrderStage.PENDING, intent.quantity, 0, Decimal(0))


@dataclass(slots=True)
class Chase:
    """What following an order has done so far: modifications of a parked exit, and the alert of a duplicate."""

    moved_at: datetime
    modifications: int = 0
    duplicate_told: bool = False
