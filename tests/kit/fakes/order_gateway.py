"""A broker of our own behind `OrderGateway`: an order book, positions, and a script of what happens to requests."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from actors.domain.identifiers import Instrument, Product, Side
from actors.domain.money import Paise
from actors.domain.orders.cover import AccountPosition, PositionKey, position_key
from actors.domain.orders.order import OrderReport, OrderStage, OrderTerms
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.orders.price_band import PriceBand
from actors.ports.common import Clock
from actors.ports.execution import BrokerLoginExpired, BrokerUnavailable, PlaceResult
from actors.ports.strategy import OrderCommand
from tests.kit.builders import INFY

if TYPE_CHECKING:
    from datetime import datetime

PRICE = Decimal("1500.00")


@dataclass(frozen=True)
class Placing:
    """What happens to one request: its answer, whether the broker has the order, and what it does with it."""

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
        self.expired = False
        self.posts: list[tuple[datetime, OrderCommand]] = []
        self.rehearsed = 0
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
        self._listed_at: dict[str, float] = {}  # the broker's clock is not the one that is set
        self._sold_as: dict[str, tuple[Instrument, Product, int]] = {}

    def rehearse(self, command: OrderCommand) -> None:
        self.rehearsed += 1

    async def place(self, command: OrderCommand) -> PlaceResult:
        sent_at = self.clock.now()
        self.posts.append((sent_at, command))
        placing = self.script.pop(0) if self.script else Placing()
        order_id = self._enter(command, placing) if placing.lands else None
        if placing.answers_after_s:
            await asyncio.sleep(placing.answers_after_s)
        accepted = placing.outcome is AttemptOutcome.ACCEPTED
        return PlaceResult(placing.outcome, sent_at, order_id if accepted else None, placing.reason)

    async def orders(self) -> Sequence[OrderReport]:
        self.reads.append(self.clock.now())
        if self.read_takes_s:
            await asyncio.sleep(self.read_takes_s)
        self._check()
        now = self.clock.monotonic()
        return [report for report in self._book.values() if self._listed_at[report.order_id] <= now]

    async def widen_protection(self, order_id: str, percent: Decimal) -> None:
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
        self._check()
        report = self._book.get(order_id)
        if report is None or report.stage.terminal:
            raise BrokerUnavailable(f"order {order_id} cannot be modified")
        self.rested.append((self.clock.now(), order_id, limit))

    async def price_band(self, instrument: Instrument) -> PriceBand:
        self.band_reads.append(self.clock.now())
        self._check()
        if instrument not in self.bands:
            raise BrokerUnavailable("there is no such quote")
        return self.bands[instrument]

    async def cancel(self, order_id: str) -> None:
        self._check()
        self.cancels.append(order_id)
        report = self._book.get(order_id)
        if report is None or report.stage.terminal or self.refuses_cancels:
            raise BrokerUnavailable(f"order {order_id} cannot be cancelled")
        self._book[order_id] = replace(report, stage=OrderStage.CANCELLED)

    async def positions(self, *, demat: bool) -> Mapping[PositionKey, AccountPosition]:
        self.position_reads += 1
        self._check()
        opening = self.opening if demat else {}
        return {
            position_key(*held): AccountPosition(self.net.get(held, 0), opening.get(held, 0))
            for held in self.net.keys() | opening.keys()
        }

    async def keep_warm(self) -> None:
        self.warmed.append(self.clock.now())
        self._check()

    def list(self, report: OrderReport) -> None:
        """Put an order of another sender, or of an earlier incarnation, into the book, or take one further."""
        self._book[report.order_id] = report
        self._listed_at.setdefault(report.order_id, self.clock.monotonic())

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
        self._listed_at[order_id] = self.clock.monotonic()
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
        self._listed_at[order_id] = self.clock.monotonic() + placing.listed_after_s
        sign = 1 if intent.side is Side.BUY else -1
        self._sold_as[order_id] = (command.instrument, command.product, sign)
        default = intent.quantity if placing.stage is OrderStage.COMPLETE else 0
        self.fill(order_id, default if placing.filled is None else placing.filled, placing.stage)
        return order_id

    def _check(self) -> None:
        if self.expired:
            raise BrokerLoginExpired("token is invalid")
        if self.down:
            raise BrokerUnavailable("the broker does not answer")
