"""The shell that places orders: the order protocol (docs/order-protocol.md), one task per intent.

What a caller of `execute` may believe: while it runs, at most one request for the intent is under way; after it
returned, the order is final, or it is proven that the broker holds none.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from secrets import token_hex
from typing import Any

import structlog

from actors import failpoints
from actors.domain.identifiers import IntentId, Leg, Side
from actors.domain.market_hours import Request
from actors.domain.orders.cover import Cover, PositionKey, shares_once
from actors.domain.orders.order import FailureKind, OrderReport, OrderStage
from actors.domain.orders.placement_policy import RetryPolicy
from actors.domain.strategy.events import Event, ExitUncovered, OrderReported, PlacementFailed
from actors.execution.account.budget import BudgetLimits
from actors.execution.account.trading_account import newest_by_tag
from actors.execution.accounts import AccountParts, ExecutionAccount, ExecutionAccounts
from actors.execution.guarding.guard_exits import GuardExits
from actors.execution.guarding.rehearsal import Rehearsal
from actors.execution.guarding.stop_guard import StopGuard
from actors.execution.orders.alarm_clock import AlarmClock
from actors.execution.orders.canceller import cancel_order
from actors.execution.orders.entry_gate import FORBIDDEN, EntryGate
from actors.execution.orders.exit_chase import ExitChase
from actors.execution.orders.follower import OrderFollower
from actors.execution.orders.order_hours import closed_to, refusal, takes_changes
from actors.execution.orders.placer import OrderPlacer
from actors.execution.watching.account_watcher import CONFIRM_AFTER
from actors.ports.common import Clock, PeerUnavailable
from actors.ports.execution import (
    AccountRecords,
    AttemptLog,
    BrokerUnavailable,
    ClaimsUnavailable,
    ClaimVerdict,
    ExecutionStreams,
    OrderClaims,
    OrderGateways,
    StrategyEvents,
)
from actors.ports.strategy import GuardAnswer, Holding, OrderCommand

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExecutionLimits:
    """The operator's limits. An exit's doubt is shorter than an entry's: unprotected time is dear."""

    budget: BudgetLimits = field(default_factory=BudgetLimits)
    entry: RetryPolicy = field(default_factory=RetryPolicy)
    exit: RetryPolicy = field(default_factory=lambda: RetryPolicy(quarantine=timedelta(seconds=2)))
    unresolved_after: timedelta = timedelta(seconds=3)
    claim_renewal: timedelta = timedelta(seconds=5)
    claim_retry: timedelta = timedelta(milliseconds=100)
    claim_proves: timedelta = timedelta(seconds=15)
    """A claim outlives its holder by longer, so until then one that is free was never made."""
    awake: timedelta = timedelta(milliseconds=3)
    """How long before the instant of an order nothing sleeps any more (`AlarmClock`)."""


class ExecutionShell:
    """Places, follows, chases and cancels the orders of the accounts that are mapped to it, and watches them."""

    def __init__(
        self,
        *,
        gateways: OrderGateways,
        claims: OrderClaims,
        strategies: StrategyEvents,
        attempts: AttemptLog,
        records: AccountRecords,
        streams: ExecutionStreams,
        clock: Clock,
        limits: ExecutionLimits,
    ) -> None:
        self._claims, self._strategies, self._attempts = claims, strategies, attempts
        self._clock, self._limits = clock, limits
        self._alarm = AlarmClock(clock, limits.awake)
        self.entries = EntryGate(claims)
        self._exits = exits = GuardExits(
            strategies,
            clock,
            begin=self._begin,
            is_over=lambda command: self.accounts.is_over(command),  # noqa: PLW0108 - they are made below
            take_up=lambda command: self.stops.take_up(command),  # noqa: PLW0108
            in_background=self._in_background,
        )
        self.stops = StopGuard(streams=streams, claims=claims, clock=clock, fire=exits.send, tell=self._report)
        self.rehearsal = Rehearsal(self.stops.rehearsed, streams.updates.rehearse, self._rehearse)
        parts = AccountParts(gateways, strategies, attempts, records, streams.updates, clock, budget=limits.budget)
        self.accounts = ExecutionAccounts(
            parts, self.stops, working=self.working_runs, in_background=self._in_background
        )
        self._working: dict[IntentId, asyncio.Task[Event]] = {}
        self._placing: dict[IntentId, OrderPlacer] = {}
        self._withdrawn: set[IntentId] = set()
        self._cancelling: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._background: set[asyncio.Future[None]] = set()

    async def execute(self, command: OrderCommand) -> Event:
        """Place the intent's order and follow it to its end; the event that ends it. Repeats join the first."""
        failed = self._exits.commanded(command.intent.id)
        return await asyncio.shield(self._begin(command)) if failed is None else failed

    def _begin(self, command: OrderCommand, *, foreseen: bool = False) -> "asyncio.Task[Event]":
        """The work on the intent. `foreseen`: it is known that its claim will be granted."""
        intent_id = command.intent.id
        work = self._working.get(intent_id)
        if work is None:
            work = asyncio.create_task(self._work(command, foreseen=foreseen))
            self._working[intent_id] = work
            work.add_done_callback(lambda work: self._forget(command, work))
            if intent_id.leg is Leg.EXIT:
                self.stops.exit_began(command)
        return work

    def withdraw(self, intent_id: IntentId) -> None:
        """Send nothing more for an intent; whether its order exists is still found out."""
        if intent_id in self._working:
            self._withdrawn.add(intent_id)
        if (placer := self._placing.get(intent_id)) is not None:
            placer.withdraw()

    async def cancel(self, account_id: int, intent_id: IntentId, order_id: str) -> None:
        """Cancel what is open of an order, until it is final. Calls for the same order join the first.

        Raises:
            BrokerUnavailable: the order has no follower, and it could not be cancelled.
        """
        account = await self.accounts.of(account_id)
        key = account_id, order_id
        cancelling = self._cancelling.get(key)
        if cancelling is None:
            follower = self._working.get(intent_id)
            work = cancel_order(
                account.trading, order_id, follower, lambda: takes_changes(account.hours, self._clock.now())
            )
            cancelling = asyncio.create_task(work)
            self._cancelling[key] = cancelling
            cancelling.add_done_callback(lambda _: self._cancelling.pop(key, None))
        await asyncio.shield(cancelling)

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        """The orders of today's book that carry one of the tags. Raises BrokerUnavailable."""
        return newest_by_tag(await (await self.accounts.of(account_id)).trading.read_book(), tags)

    async def probe(self, account_id: int) -> bool:
        """Whether the broker answers for the account."""
        try:
            await (await self.accounts.of(account_id)).trading.read_book()
        except BrokerUnavailable:
            return False
        return True

    async def cover(self, holding: Holding) -> Cover:
        """What of a run's shares its account holds, by a reading that begins now. Raises BrokerUnavailable."""
        account = await self.accounts.of(holding.account_id)
        return await account.evidence.ask(holding)

    async def shares(self, account_id: int) -> dict[PositionKey, int]:
        """What the account holds or owes, of any origin. Raises BrokerUnavailable."""
        return shares_once(await (await self.accounts.of(account_id)).trading.gateway.positions(demat=True))

    async def watch_again(self, account_ids: Sequence[int]) -> None:
        """Watch accounts on which runs have traded today, used or not; one that cannot be reached, at its next use."""
        for account_id in account_ids:
            try:
                await self.accounts.of(account_id)
            except BrokerUnavailable as error:
                log.warning("execution.account_not_watched", account_id=account_id, reason=str(error))

    async def guard(self, holding: Holding) -> GuardAnswer:
        """Watch the account for what a run holds, and its stop-loss. Raises BrokerUnavailable."""
        account = await self.accounts.of(holding.account_id)
        account.watch.guard(holding)
        return await self.stops.take(holding, account.find)

    # --- one intent ----------------------------------------------------------------------------------------------

    def working_runs(self) -> frozenset[int]:
        """The runs of which an order is on its way."""
        return frozenset(intent_id.run_id for intent_id in self._working)

    def _forget(self, command: OrderCommand, work: "asyncio.Task[Event]") -> None:
        self._working.pop(command.intent.id, None)
        self._withdrawn.discard(command.intent.id)
        if not work.cancelled() and work.exception() is None and isinstance(work.result(), PlacementFailed):
            self.stops.exit_absent(command)

    async def _work(self, command: OrderCommand, *, foreseen: bool) -> Event:
        try:
            account = await self.accounts.of(command.account_id)
        except BrokerUnavailable as error:
            if command.look_up_first:
                raise PeerUnavailable(str(error)) from error  # nothing is proven about the earlier attempt
            return PlacementFailed(command.intent.id, FailureKind.UNREACHABLE, str(error))
        if (closed := closed_to(command, account.hours, self._clock.now())) is not None:
            return closed
        failpoints.hit("claim.before", command.strategy_id)
        answer = self._claims.claim_now(command, token_hex(8)) if foreseen else None
        if answer is not None:
            self._in_background(answered := asyncio.ensure_future(self._see_claim(command, answer)))
        claimed = await self._claim(command) if answer is None else command
        failpoints.hit("claim.after", command.strategy_id)
        if isinstance(claimed, PlacementFailed):
            return claimed
        keeper = asyncio.create_task(self._keep_claim(claimed))
        self.entries.began(claimed)
        try:
            placed = _known_order(claimed) or await self._place(claimed, account)
            if isinstance(placed, PlacementFailed):
                return placed
            if claimed.look_up_first and claimed.intent.side is Side.SELL:
                self._in_background(self._doubt(claimed, account))
            return await self._follow(claimed, account, placed)
        finally:
            keeper.cancel()
            self.entries.ended(claimed)
            key = command.key
            account.trading.shares.set(key, command.intent.id, 0)
            if answer is not None:
                await asyncio.wait({answered})
            await self._claims.release(claimed)

    async def _doubt(self, command: OrderCommand, account: ExecutionAccount) -> None:
        """An exit that is taken over may have been unwatched: the watcher knows only later what its runs hold."""
        try:
            reason = await account.evidence.uncovered(command)
            if reason is not None:  # two reads are not one snapshot: it counts if a second look has it too
                await asyncio.sleep(CONFIRM_AFTER.total_seconds())
                reason = await account.evidence.uncovered(command)
        except BrokerUnavailable as error:
            log.warning("execution.exit_not_doubted", strategy_id=command.strategy_id, reason=str(error))
            return
        if reason is not None:
            await self._report(command, ExitUncovered(reason))

    async def _see_claim(self, command: OrderCommand, answer: Coroutine[Any, Any, ClaimVerdict]) -> None:
        """The answer to a claim that the order did not wait for."""
        try:
            verdict = await answer
        except ClaimsUnavailable as error:
            log.warning("execution.claim_unanswered", strategy_id=command.strategy_id, reason=str(error))
            return
        if verdict not in {ClaimVerdict.GRANTED, ClaimVerdict.OWNED}:
            message = f"an exit has left, and its claim was {verdict}: another process may have sent it as well"
            self._attempts.alert(command.user_id, command.strategy_id, "claim_not_granted", message)

    async def _claim(self, command: OrderCommand) -> OrderCommand | PlacementFailed:
        """The command to carry out under the strategy's order lock (rows G1, J3; ruling 6)."""
        intent_id = command.intent.id
        try:
            verdict = await self._claim_in_time(command)
        except ClaimsUnavailable as error:
            if command.intent.side is Side.SELL:
                return replace(command, look_up_first=True)  # a protective exit goes out, after a look at the book
            if command.look_up_first and self._is_late(command):
                return replace(command, not_after=self._clock.now())  # found out, never sent
            if command.look_up_first:
                raise PeerUnavailable(str(error)) from error
            return PlacementFailed(intent_id, FailureKind.HALTED, str(error))
        if verdict.refuses and (command.look_up_first or command.order_id is not None):
            return replace(command, look_up_first=True, not_after=self._clock.now())  # found out, never sent
        if verdict is ClaimVerdict.FORBIDDEN:
            return PlacementFailed(intent_id, FailureKind.FORBIDDEN, FORBIDDEN)
        if verdict is ClaimVerdict.REFUSED:
            return PlacementFailed(intent_id, FailureKind.HALTED, "a newer order of this strategy holds the lock")
        if verdict is ClaimVerdict.HELD_BY_ME:
            return replace(command, look_up_first=True)
        if verdict is ClaimVerdict.GRANTED and self._never_left(command):
            return replace(command, look_up_first=False, look_once=True)
        return command

    def _never_left(self, command: OrderCommand) -> bool:
        """Whether a claim that was free proves that the exit, in doubt since execution was lost, has never left it."""
        if command.intent.side is not Side.SELL or command.order_id is not None or command.given_at is None:
            return False
        return self._clock.now() - command.given_at < self._limits.claim_proves

    async def _claim_in_time(self, command: OrderCommand) -> ClaimVerdict:
        """The claim, tried again for as long as the order may not leave anyway. Raises ClaimsUnavailable."""
        claim_id = token_hex(8)
        while True:
            try:
                forbidden = await self.entries.asked(command)
                return ClaimVerdict.FORBIDDEN if forbidden else await self._claims.claim(command, claim_id)
            except ClaimsUnavailable:
                again_at = self._clock.now() + self._limits.claim_retry
                if command.not_before is None or again_at >= command.not_before:
                    raise
                if command.intent.id in self._withdrawn:
                    raise
            await asyncio.sleep(self._limits.claim_retry.total_seconds())

    def _is_late(self, command: OrderCommand) -> bool:
        """Whether a first request of the command may no longer leave, so that no claim is needed to find it out."""
        if command.grace is None or command.not_before is None:
            return False
        return self._clock.now() >= command.not_before + command.grace

    async def _keep_claim(self, command: OrderCommand) -> None:
        while True:
            await asyncio.sleep(self._limits.claim_renewal.total_seconds())
            if not await self._claims.renew(command):
                self.withdraw(command.intent.id)  # another process holds the lock: follow what was sent, send nothing

    def _rehearse(self, command: OrderCommand) -> None:
        if (account := self.accounts.known(command.account_id)) is not None:
            closed_to(command, account.hours, self._clock.now())
            self._claims.rehearse(command)
            self._placer(command, account).rehearse()

    def _placer(self, command: OrderCommand, account: ExecutionAccount) -> OrderPlacer:
        return OrderPlacer(
            command,
            account.trading,
            account.evidence,
            attempts=self._attempts,
            clock=self._clock,
            policy=self._limits.entry if command.intent.id.leg is Leg.ENTRY else self._limits.exit,
            alarm=self._alarm,
            unresolved_after=self._limits.unresolved_after,
            report=lambda event: self._report(command, event),
            in_background=self._in_background,
            hours=account.hours,
            barred=self.entries.bars,
        )

    async def _place(self, command: OrderCommand, account: ExecutionAccount) -> OrderReport | PlacementFailed:
        placer = self._placer(command, account)
        if command.intent.id in self._withdrawn:
            placer.withdraw()
        self._placing[command.intent.id] = placer
        try:
            return await placer.place()
        finally:
            del self._placing[command.intent.id]

    async def _follow(self, command: OrderCommand, account: ExecutionAccount, placed: OrderReport) -> Event:
        intent_id = command.intent.id
        chase = ExitChase(
            command,
            account.trading,
            self._attempts,
            self._clock,
            tell=lambda event: self._report(command, event),
            may_change=lambda: self._may_chase(command, account),
        )
        follower = OrderFollower(
            command,
            account.trading,
            account.evidence,
            attempts=self._attempts,
            clock=self._clock,
            report=lambda report: self._report(command, OrderReported(intent_id, report)),
            chase=chase,
        )
        return OrderReported(intent_id, await follower.follow(placed))

    def _may_chase(self, command: OrderCommand, account: ExecutionAccount) -> bool:
        """Whether the market takes changes, and the account has not been seen to lack what the order would sell."""
        is_open = refusal(command, account.hours, self._clock.now(), Request.CHANGE) is None
        return is_open and not account.evidence.lacks(command.key)

    async def _report(self, command: OrderCommand, event: Event) -> None:
        """Progress is best effort: a strategy that restarts reads the book, and the last event is our reply."""
        try:
            async with asyncio.timeout(1):
                await self._exits.told(command.intent.id)
                await self._strategies.report(command.strategy_id, event)
        except (PeerUnavailable, TimeoutError) as error:
            log.warning("execution.report_lost", strategy_id=command.strategy_id, reason=str(error))

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background_done)

    def _background_done(self, task: "asyncio.Future[None]") -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("execution.background_failed", error=repr(error))


def _known_order(command: OrderCommand) -> OrderReport | None:
    """An order that an earlier incarnation placed: nothing is left to do but to follow it."""
    if command.order_id is None:
        return None
    intent = command.intent
    return OrderReport(command.order_id, intent.tag, OrderStage.PENDING, intent.quantity, 0, Decimal(0))
