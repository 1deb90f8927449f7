"""Hand-written fakes of our ports. They remember what they were asked, and answer what a test tells them to.

`trace`, where a fake has one, is shared by several of them, so that a test can see what came first.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from actors.domain.identifiers import Instrument, IntentId
from actors.domain.market_hours import ALWAYS_OPEN, MarketHours
from actors.domain.money import Paise
from actors.domain.orders.cover import Cover, position_key
from actors.domain.orders.order import OrderReport
from actors.domain.prices.stop_loss import Tick
from actors.domain.strategy.events import Event
from actors.execution.account.trading_account import newest_by_tag
from actors.ports.common import Clock
from actors.ports.execution import (
    Attempt,
    BrokerUnavailable,
    ClaimVerdict,
    KnownIntent,
    OrderGateway,
    OrderNote,
    StreamCallbacks,
)
from actors.ports.prices import FeedStatus
from actors.ports.strategy import GuardAnswer, Holding, JournalEntry, LoadedRun, OrderCommand
from tests.kit.builders import INFY
from tests.kit.fake_gateway import (
    EXPIRED,
    LOST_ANSWER,
    LOST_REQUEST,
    NOT_SENT,
    PARKED,
    PRICE,
    REFUSED,
    THROTTLED,
    FakeGateway,
    Placing,
)

__all__ = [
    "EXPIRED",
    "LOST_ANSWER",
    "LOST_REQUEST",
    "NOT_SENT",
    "PARKED",
    "PRICE",
    "REFUSED",
    "THROTTLED",
    "FakeAttemptLog",
    "FakeClaims",
    "FakeExecution",
    "FakeGateway",
    "FakeGateways",
    "FakeJournal",
    "FakePriceWatch",
    "FakeRecords",
    "FakeStrategies",
    "FakeUpdates",
    "Placing",
]


@dataclass
class FakeExecution:
    """`OrderExecution`. `execute` waits for `answer`, or raises what `failures` holds."""

    clock: Clock
    trace: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    book_failures: list[Exception] = field(default_factory=list)
    cancel_failures: list[Exception] = field(default_factory=list)
    book: list[OrderReport] = field(default_factory=list)
    alive: bool = True
    commands: list[OrderCommand] = field(default_factory=list)
    arrived: list[datetime] = field(default_factory=list)
    asked_for: list[Sequence[str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    withdrawn: list[IntentId] = field(default_factory=list)
    probes: int = 0
    guarded: list[tuple[datetime, Holding]] = field(default_factory=list)
    guard_failures: list[Exception] = field(default_factory=list)
    arms: bool = True
    covered: int | None = None
    cover_failures: list[Exception] = field(default_factory=list)
    _waiting: list[asyncio.Future[Event]] = field(default_factory=list)

    async def execute(self, command: OrderCommand) -> Event:
        """See `OrderExecution.execute`."""
        self.commands.append(command)
        self.arrived.append(self.clock.now())
        self.trace.append(f"execute {command.intent.event}")
        if self.failures:
            raise self.failures.pop(0)
        reply: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting.append(reply)
        return await reply

    def answer(self, event: Event) -> None:
        """End the oldest `execute` that still waits."""
        self._waiting.pop(0).set_result(event)

    def die(self, error: Exception) -> None:
        """End every `execute` that still waits with an error."""
        while self._waiting:
            self._waiting.pop(0).set_exception(error)

    async def cancel(self, account_id: int, intent_id: IntentId, order_id: str) -> None:
        """See `OrderExecution.cancel`."""
        if self.cancel_failures:
            raise self.cancel_failures.pop(0)
        self.cancelled.append(order_id)

    async def withdraw(self, account_id: int, intent_id: IntentId) -> None:
        """See `OrderExecution.withdraw`."""
        self.withdrawn.append(intent_id)

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        """See `OrderExecution.orders_by_tag`."""
        self.asked_for.append(tags)
        self.trace.append("read book")
        if self.book_failures:
            raise self.book_failures.pop(0)
        return newest_by_tag(self.book, tags)

    async def probe(self, account_id: int) -> bool:
        """See `OrderExecution.probe`."""
        self.probes += 1
        return self.alive

    async def cover(self, holding: Holding) -> Cover:
        """See `OrderExecution.cover`: what `covered` says, else all of it."""
        if self.cover_failures:
            raise self.cover_failures.pop(0)
        key = position_key(holding.instrument, holding.product)
        staked = holding.quantity
        covered = staked if self.covered is None else min(staked, self.covered)
        runs = frozenset({holding.run_id})
        return Cover(
            key=key, staked=staked, covered=covered, held=covered, sold_outside=0, runs=runs, read_at=self.clock.now()
        )

    async def guard(self, holding: Holding) -> GuardAnswer:
        """See `OrderExecution.guard`."""
        self.guarded.append((self.clock.now(), holding))
        if self.guard_failures:
            raise self.guard_failures.pop(0)
        return GuardAnswer(armed=holding.stop is not None and self.arms, hears=holding.stop is not None)


@dataclass
class FakeJournal:
    """`Journal`. `failures` are raised by the next records; while `open` is cleared it does not answer."""

    trace: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    alert_failures: list[Exception] = field(default_factory=list)
    tried: list[JournalEntry] = field(default_factory=list)
    records: list[JournalEntry] = field(default_factory=list)
    alerts: list[tuple[str, str]] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    @property
    def logged(self) -> list[str]:
        """The names of all events in `order_logs`."""
        return [line.event.event for entry in self.records for line in entry.logs]

    async def load(self, run_id: int) -> LoadedRun | None:
        """See `Journal.load`."""
        return None

    async def record(self, entry: JournalEntry) -> None:
        """See `Journal.record`."""
        self.tried.append(entry)
        self.trace.append(f"record {entry.state.phase}")
        await asyncio.sleep(0.001)  # a commit takes time, in which other tasks run
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.records.append(entry)

    async def alert(self, user_id: int, strategy_id: int, code: str, message: str) -> None:
        """See `Journal.alert`."""
        if self.alert_failures:
            raise self.alert_failures.pop(0)
        self.alerts.append((code, message))


@dataclass
class FakePriceWatch:
    """`PriceWatch`. `answer` is a status, or what to raise; `seen` holds the instant and level of each renewal."""

    clock: Clock
    answer: FeedStatus | Exception = field(default_factory=lambda: FeedStatus(live=True))
    trace: list[str] = field(default_factory=list)
    seen: list[tuple[datetime, Paise | None]] = field(default_factory=list)
    unwatched: list[int] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None

    def when_changed(self, callback: Callable[[], None]) -> None:
        """See `PriceWatch.when_changed`."""
        self.changed = callback

    async def watch(
        self, strategy_id: int, instrument: Instrument, stop_loss: Paise | None, *, yields: bool = False
    ) -> FeedStatus:
        """See `PriceWatch.watch`."""
        self.trace.append("watch")
        self.seen.append((self.clock.now(), stop_loss))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def unwatch(self, strategy_id: int, instrument: Instrument) -> None:
        """See `PriceWatch.unwatch`."""
        self.unwatched.append(strategy_id)


@dataclass
class FakeGateways:
    """`OrderGateways`: the same gateway for every account, or none while `down`."""

    only: OrderGateway
    down: bool = False
    market: MarketHours = ALWAYS_OPEN

    async def hours(self, account_id: int) -> MarketHours:
        """See `OrderGateways.hours`."""
        return self.market

    async def gateway(self, account_id: int) -> OrderGateway:
        """See `OrderGateways.gateway`."""
        if self.down:
            raise BrokerUnavailable("the database does not answer")
        return self.only


@dataclass
class FakeClaims:
    """`OrderClaims`. `verdict` and `foreseen` are the answers, or what to raise; `ids` are those of the claims."""

    verdict: ClaimVerdict | Exception = ClaimVerdict.GRANTED
    foreseen: ClaimVerdict | Exception = ClaimVerdict.GRANTED
    leased: bool = True
    held: list[IntentId] = field(default_factory=list)
    claims: list[OrderCommand] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    renewals: int = 0
    releases: list[IntentId] = field(default_factory=list)

    async def claim(self, command: OrderCommand, claim_id: str) -> ClaimVerdict:
        """See `OrderClaims.claim`."""
        self.claims.append(command)
        self.ids.append(claim_id)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        if self.verdict is not ClaimVerdict.REFUSED:
            self.held.append(command.intent.id)
        return self.verdict

    def rehearse(self, command: OrderCommand) -> None:
        """See `OrderClaims.rehearse`."""

    def claim_now(self, command: OrderCommand, claim_id: str) -> Coroutine[Any, Any, ClaimVerdict] | None:
        """See `OrderClaims.claim_now`."""
        return self.claim(command, claim_id) if self.leased else None

    async def foresee(self, command: OrderCommand) -> ClaimVerdict:
        """See `OrderClaims.foresee`."""
        if isinstance(self.foreseen, Exception):
            raise self.foreseen
        return self.foreseen

    async def renew(self, command: OrderCommand) -> bool:
        """See `OrderClaims.renew`."""
        self.renewals += 1
        return True

    async def release(self, command: OrderCommand) -> None:
        """See `OrderClaims.release`."""
        self.releases.append(command.intent.id)
        if command.intent.id in self.held:
            self.held.remove(command.intent.id)


@dataclass
class FakeStrategies:
    """`StrategyEvents`: what was reported to the strategies; `failure` is raised instead."""

    events: list[Event] = field(default_factory=list)
    failure: Exception | None = None

    async def report(self, strategy_id: int, event: Event) -> None:
        """See `StrategyEvents.report`."""
        if self.failure is not None:
            raise self.failure
        self.events.append(event)


@dataclass
class FakeAttemptLog:
    """`AttemptLog`."""

    attempts: list[Attempt] = field(default_factory=list)
    notes: list[OrderNote] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)

    def log_attempt(self, attempt: Attempt) -> None:
        """See `AttemptLog.log_attempt`."""
        self.attempts.append(attempt)

    def log_note(self, note: OrderNote) -> None:
        """See `AttemptLog.log_note`."""
        self.notes.append(note)

    def alert(self, user_id: int, strategy_id: int, code: str, message: str) -> None:
        """See `AttemptLog.alert`."""
        self.alerts.append(code)


@dataclass
class FakeRecords:
    """`AccountRecords`; `failure` is raised instead."""

    intents: list[KnownIntent] = field(default_factory=list)
    failure: Exception | None = None

    async def known_intents(self, account_id: int) -> Sequence[KnownIntent]:
        """See `AccountRecords.known_intents`."""
        if self.failure is not None:
            raise self.failure
        return list(self.intents)

    async def accounts_in_use(self) -> Sequence[int]:
        """See `AccountRecords.accounts_in_use`."""
        if self.failure is not None:
            raise self.failure
        return [2] if self.intents else []


@dataclass
class FakeFeedTicks:
    """`FeedTicks`: `tick` hands a trade to whoever follows the instrument."""

    live: bool = True
    followed: dict[str, Callable[[Tick], None]] = field(default_factory=dict)

    def follow(self, broker: str, instrument: Instrument, on_tick: Callable[[Tick], None]) -> None:
        """See `FeedTicks.follow`."""
        self.followed.setdefault(instrument.key, on_tick)

    def leave(self, broker: str, key: str) -> None:
        """See `FeedTicks.leave`."""
        del self.followed[key]

    def status(self, broker: str, key: str) -> FeedStatus:
        """See `FeedTicks.status`."""
        return FeedStatus(self.live and key in self.followed)

    def tick(self, price: Paise, at: datetime) -> None:
        """A trade of INFY at this instant."""
        self.followed[INFY.key](self.a_tick(price, at))

    @staticmethod
    def a_tick(price: Paise, at: datetime) -> Tick:
        """A trade of INFY, as the feed hands it on."""
        return Tick.single(INFY.token, price, at, at)


@dataclass
class FakeUpdates:
    """`OrderUpdates`: `hear` hands an update to whoever follows the account, `reconnect` says that the stream broke."""

    followed: dict[int, StreamCallbacks] = field(default_factory=dict)
    tokens: dict[int, frozenset[int]] = field(default_factory=dict)

    def follow(self, account_id: int, callbacks: StreamCallbacks) -> None:
        """See `OrderUpdates.follow`."""
        self.followed[account_id] = callbacks

    def subscribe(self, account_id: int, tokens: frozenset[int]) -> None:
        """See `OrderUpdates.subscribe`."""
        self.tokens[account_id] = tokens

    def rehearse(self, then: Callable[[], None]) -> None:
        """See `OrderUpdates.rehearse`."""
        then()

    def leave(self, account_id: int) -> None:
        """See `OrderUpdates.leave`."""
        self.followed.pop(account_id, None)

    def hear(self, account_id: int, report: OrderReport) -> None:
        """One update of the broker."""
        self.followed[account_id].on_update(report)

    def reconnect(self, account_id: int) -> None:
        """The stream is connected anew."""
        self.followed[account_id].on_connected()

    def tick(self, account_id: int, price: Paise, at: datetime, token: int = INFY.token) -> None:
        """A trade at this instant, if the instrument is subscribed on the account's stream."""
        if token in self.tokens.get(account_id, frozenset()):
            self.followed[account_id].on_tick(token, price, at, at)
