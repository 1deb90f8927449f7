"""Hand-written fakes of our ports. They remember what they were asked, and answer what a test tells them to.

`trace`, where a fake has one, is shared by several of them, so that a test can see what came first.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from actors.account_desk import newest_by_tag
from actors.domain.cover import AccountPosition, Cover, PositionKey, position_key
from actors.domain.events import Event
from actors.domain.identifiers import Instrument, IntentId, Product, Side
from actors.domain.market_hours import ALWAYS_OPEN, MarketHours
from actors.domain.money import Paise
from actors.domain.order import OrderReport, OrderStage, OrderTerms
from actors.domain.price_band import PriceBand
from actors.domain.retry_policy import AttemptOutcome
from actors.ports import (
    Attempt,
    BrokerUnavailable,
    ClaimVerdict,
    Clock,
    FeedStatus,
    Holding,
    JournalEntry,
    KnownIntent,
    LoadedRun,
    OrderCommand,
    OrderGateway,
    OrderNote,
    PlaceResult,
)
from tests.kit.builders import INFY

PRICE = Decimal("1500.00")


@dataclass
class FakeDesk:
    """`OrderDesk`. `execute` waits for `answer`, or raises what `failures` holds."""

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
    covered: int | None = None
    cover_failures: list[Exception] = field(default_factory=list)
    _waiting: list[asyncio.Future[Event]] = field(default_factory=list)

    async def execute(self, command: OrderCommand) -> Event:
        """See `OrderDesk.execute`."""
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
        """See `OrderDesk.cancel`."""
        if self.cancel_failures:
            raise self.cancel_failures.pop(0)
        self.cancelled.append(order_id)

    async def withdraw(self, account_id: int, intent_id: IntentId) -> None:
        """See `OrderDesk.withdraw`."""
        self.withdrawn.append(intent_id)

    async def orders_by_tag(self, account_id: int, tags: Sequence[str]) -> Mapping[str, OrderReport]:
        """See `OrderDesk.orders_by_tag`."""
        self.asked_for.append(tags)
        self.trace.append("read book")
        if self.book_failures:
            raise self.book_failures.pop(0)
        return newest_by_tag(self.book, tags)

    async def probe(self, account_id: int) -> bool:
        """See `OrderDesk.probe`."""
        self.probes += 1
        return self.alive

    async def cover(self, holding: Holding) -> Cover:
        """See `OrderDesk.cover`: what `covered` says, else all of it."""
        if self.cover_failures:
            raise self.cover_failures.pop(0)
        key = position_key(holding.instrument, holding.product)
        staked = holding.quantity
        covered = staked if self.covered is None else min(staked, self.covered)
        runs = frozenset({holding.run_id})
        return Cover(
            key=key, staked=staked, covered=covered, held=covered, sold_outside=0, runs=runs, read_at=self.clock.now()
        )

    async def guard(self, holding: Holding) -> None:
        """See `OrderDesk.guard`."""
        self.guarded.append((self.clock.now(), holding))
        if self.guard_failures:
            raise self.guard_failures.pop(0)


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

    async def watch(self, strategy_id: int, instrument: Instrument, stop_loss: Paise | None) -> FeedStatus:
        """See `PriceWatch.watch`."""
        self.trace.append("watch")
        self.seen.append((self.clock.now(), stop_loss))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def unwatch(self, strategy_id: int, instrument: Instrument) -> None:
        """See `PriceWatch.unwatch`."""
        self.unwatched.append(strategy_id)


@dataclass(frozen=True)
class Placing:
    """What becomes of one request: its answer, whether the broker has the order, and what it does with it."""

    outcome: AttemptOutcome = AttemptOutcome.ACCEPTED
    lands: bool = True
    stage: OrderStage = OrderStage.COMPLETE
    filled: int | None = None
    listed_after_s: float = 0.0
    answers_after_s: float = 0.0
    reason: str = ""


LOST_ANSWER = Placing(AttemptOutcome.AMBIGUOUS, reason="the broker did not answer in time")
LOST_REQUEST = Placing(AttemptOutcome.AMBIGUOUS, lands=False, reason="the broker did not answer in time")
REFUSED = Placing(AttemptOutcome.REFUSED, lands=False, reason="insufficient funds")
NOT_SENT = Placing(AttemptOutcome.NOT_SENT, lands=False, reason="the broker cannot be reached")
THROTTLED = Placing(AttemptOutcome.RATE_LIMITED, lands=False, reason="too many requests")
EXPIRED = Placing(AttemptOutcome.SESSION_EXPIRED, lands=False, reason="token is invalid")
PARKED = Placing(stage=OrderStage.OPEN, filled=0)


class FakeGateway:
    """`OrderGateway` over a broker of our own: an order book, a net position, and a script of the next placings."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.script: list[Placing] = []
        self.down = False
        self.posts: list[tuple[datetime, OrderCommand]] = []
        self.reads: list[datetime] = []
        self.read_takes_s = 0.0
        self.position_reads = 0
        self.warmed: list[datetime] = []
        self.widened: list[tuple[datetime, Decimal]] = []
        self.widening_fills = True
        self.rested: list[tuple[datetime, str, Paise]] = []
        self.bands: dict[Instrument, PriceBand] = {}
        self.band_reads: list[datetime] = []
        self.refused_changes: list[str] = []
        self.cancels: list[str] = []
        self.refuses_cancels = False
        self.net: dict[tuple[Instrument, Product], int] = {}
        self.opening: dict[tuple[Instrument, Product], int] = {}
        self._book: dict[str, OrderReport] = {}
        self._listed_at: dict[str, datetime] = {}
        self._sold_as: dict[str, tuple[Instrument, Product, int]] = {}

    async def place(self, command: OrderCommand) -> PlaceResult:
        """See `OrderGateway.place`."""
        sent_at = self.clock.now()
        self.posts.append((sent_at, command))
        placing = self.script.pop(0) if self.script else Placing()
        order_id = self._enter(command, placing) if placing.lands else None
        if placing.answers_after_s:
            await asyncio.sleep(placing.answers_after_s)
        accepted = placing.outcome is AttemptOutcome.ACCEPTED
        return PlaceResult(placing.outcome, sent_at, order_id if accepted else None, placing.reason)

    async def orders(self) -> Sequence[OrderReport]:
        """See `OrderGateway.orders`."""
        self.reads.append(self.clock.now())
        if self.read_takes_s:
            await asyncio.sleep(self.read_takes_s)
        self._check()
        now = self.clock.now()
        return [report for report in self._book.values() if self._listed_at[report.order_id] <= now]

    async def widen_protection(self, order_id: str, percent: Decimal) -> None:
        """See `OrderGateway.widen_protection`."""
        self._check()
        report = self._book.get(order_id)
        if report is None or report.stage.terminal:
            raise BrokerUnavailable(f"order {order_id} cannot be modified")
        self.widened.append((self.clock.now(), percent))
        if self.refused_changes:
            raise BrokerUnavailable(self.refused_changes.pop(0))
        if self.widening_fills:
            self.fill(order_id, report.quantity)

    async def rest_at(self, order_id: str, limit: Paise) -> None:
        """See `OrderGateway.rest_at`."""
        self._check()
        report = self._book.get(order_id)
        if report is None or report.stage.terminal:
            raise BrokerUnavailable(f"order {order_id} cannot be modified")
        self.rested.append((self.clock.now(), order_id, limit))

    async def price_band(self, instrument: Instrument) -> PriceBand:
        """See `OrderGateway.price_band`."""
        self.band_reads.append(self.clock.now())
        self._check()
        if instrument not in self.bands:
            raise BrokerUnavailable("there is no such quote")
        return self.bands[instrument]

    async def cancel(self, order_id: str) -> None:
        """See `OrderGateway.cancel`."""
        self._check()
        self.cancels.append(order_id)
        report = self._book.get(order_id)
        if report is None or report.stage.terminal or self.refuses_cancels:
            raise BrokerUnavailable(f"order {order_id} cannot be cancelled")
        self._book[order_id] = replace(report, stage=OrderStage.CANCELLED)

    async def positions(self, *, demat: bool) -> Mapping[PositionKey, AccountPosition]:
        """See `OrderGateway.positions`."""
        self.position_reads += 1
        self._check()
        opening = self.opening if demat else {}
        return {
            position_key(*held): AccountPosition(self.net.get(held, 0), opening.get(held, 0))
            for held in self.net.keys() | opening.keys()
        }

    async def keep_warm(self) -> None:
        """See `OrderGateway.keep_warm`."""
        self.warmed.append(self.clock.now())
        self._check()

    def list(self, report: OrderReport) -> None:
        """Put an order of somebody else, or of an earlier incarnation, into the book, or take one further."""
        self._book[report.order_id] = report
        self._listed_at.setdefault(report.order_id, self.clock.now())

    def trade_by_hand(
        self, side: Side, quantity: int, product: Product = Product.MIS, *, filled: int | None = None
    ) -> str:
        """The trader's own order in the Kite app, without a tag."""
        order_id, done = f"9{len(self._book)}", quantity if filled is None else filled
        stage = OrderStage.COMPLETE if done == quantity else OrderStage.OPEN
        terms = self.terms(INFY, product, side)
        self._book[order_id] = OrderReport(
            order_id, None, stage, quantity, done, PRICE if done else Decimal(0), "", terms
        )
        self._listed_at[order_id] = self.clock.now()
        self._sold_as[order_id] = (INFY, product, 1 if side is Side.BUY else -1)
        self.net[INFY, product] = self.net.get((INFY, product), 0) + self._sold_as[order_id][2] * done
        return order_id

    def terms(self, instrument: Instrument, product: Product, side: Side) -> OrderTerms:
        """The terms of an order that the broker touches now."""
        now = self.clock.now().replace(microsecond=0)
        return OrderTerms(instrument.exchange, instrument.tradingsymbol, product.value, side.value, now, now)

    def fill(self, order_id: str, quantity: int, stage: OrderStage = OrderStage.COMPLETE) -> None:
        """Let an order trade until so much of it is filled."""
        report = self._book[order_id]
        instrument, product, sign = self._sold_as[order_id]
        held = self.net.get((instrument, product), 0)
        self.net[instrument, product] = held + sign * (quantity - report.filled_quantity)
        self._book[order_id] = replace(report, stage=stage, filled_quantity=quantity, average_price=PRICE)

    def reduce_by_hand(self, order_id: str, quantity: int) -> None:
        """The trader changes the quantity of an order in the Kite app."""
        self._book[order_id] = replace(self._book[order_id], quantity=quantity)

    def filled_sales(self) -> int:
        """Shares that our own orders have sold."""
        tags = {command.intent.tag for _, command in self.posts if command.intent.side is Side.SELL}
        return sum(report.filled_quantity for report in self._book.values() if report.tag in tags)

    def row(self, order_id: str) -> OrderReport:
        """An order as the book has it."""
        return self._book[order_id]

    def new_day(self) -> None:
        """The book is empty, and delivery has become holdings."""
        self._book.clear()
        for (instrument, product), quantity in list(self.net.items()):
            if product is Product.CNC:
                held = self.opening.get((instrument, product), 0)
                self.opening[instrument, product] = held + quantity
                self.net[instrument, product] = 0

    def expire(self, order_id: str) -> None:
        """End an order with the day: what is open of it is cancelled by the exchange."""
        self._book[order_id] = replace(self._book[order_id], stage=OrderStage.CANCELLED)

    def unlist(self, order_id: str) -> None:
        """Take an order out of the book, as the end of the day does."""
        del self._book[order_id]

    def _enter(self, command: OrderCommand, placing: Placing) -> str:
        order_id = str(len(self.posts))
        intent = command.intent
        self._book[order_id] = OrderReport(
            order_id,
            intent.tag,
            OrderStage.OPEN,
            intent.quantity,
            0,
            Decimal(0),
            placing.reason,
            self.terms(command.instrument, command.product, intent.side),
        )
        self._listed_at[order_id] = self.clock.now() + timedelta(seconds=placing.listed_after_s)
        sign = 1 if intent.side is Side.BUY else -1
        self._sold_as[order_id] = (command.instrument, command.product, sign)
        default = intent.quantity if placing.stage is OrderStage.COMPLETE else 0
        self.fill(order_id, default if placing.filled is None else placing.filled, placing.stage)
        return order_id

    def _check(self) -> None:
        if self.down:
            raise BrokerUnavailable("the broker does not answer")


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
    """`OrderClaims`. `verdict` is the answer to every claim, or what to raise; `ids` are those of the claims."""

    verdict: ClaimVerdict | Exception = ClaimVerdict.GRANTED
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
class FakeUpdates:
    """`OrderUpdates`: `hear` hands an update to whoever follows the account, `reconnect` says that the stream broke."""

    followed: dict[int, tuple[Callable[[OrderReport], None], Callable[[], None]]] = field(default_factory=dict)

    def follow(
        self, account_id: int, on_update: Callable[[OrderReport], None], on_connected: Callable[[], None]
    ) -> None:
        """See `OrderUpdates.follow`."""
        self.followed[account_id] = (on_update, on_connected)

    def leave(self, account_id: int) -> None:
        """See `OrderUpdates.leave`."""
        self.followed.pop(account_id, None)

    def hear(self, account_id: int, report: OrderReport) -> None:
        """One update of the broker."""
        self.followed[account_id][0](report)

    def reconnect(self, account_id: int) -> None:
        """The stream is connected anew."""
        self.followed[account_id][1]()
