"""Orders as the broker reports them, merged so that what is known never goes backwards.

Updates arrive twice, late and out of order (Kite forum d/4217, c/33971), from polling and from the WebSocket, so a
report is evidence, not a command: `merge` keeps the furthest status and the largest filled quantity.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import IntentId, Leg, Side


class OrderEvent(StrEnum):
    """Why an order is sent, as `queue:orders` and `order_logs` name it (row G2)."""

    BUY = "BUY"
    SELL = "SELL"
    STOPLOSS = "STOPLOSS"

    @property
    def priority(self) -> int:
        """Smaller goes first: STOPLOSS before SELL before BUY (row G2)."""
        return _PRIORITY[self]


_PRIORITY = {OrderEvent.STOPLOSS: 0, OrderEvent.SELL: 1, OrderEvent.BUY: 2}


class OrderStage(StrEnum):
    """How far an order has come, in the few steps the engine tells apart."""

    PENDING = "pending"
    OPEN = "open"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def terminal(self) -> bool:
        """Whether the broker will do nothing more with it."""
        return self in _TERMINAL


_TERMINAL = frozenset({OrderStage.COMPLETE, OrderStage.CANCELLED, OrderStage.REJECTED})
_RANK = {
    OrderStage.PENDING: 0,
    OrderStage.OPEN: 1,
    OrderStage.REJECTED: 2,
    OrderStage.CANCELLED: 2,
    OrderStage.COMPLETE: 3,
}


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What an order of the book trades, ours or not. Times are the broker's, timezone-aware; None if not known.

    `updated_at`: when the broker last touched it. Kite stamps whole seconds.
    """

    exchange: str
    tradingsymbol: str
    product: str
    side: str
    placed_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the broker said of one order. `average_price` is in rupees over the filled quantity, 0 until a fill.

    `exchange_time`: when the exchange last changed it, by the exchange's clock, in whole seconds.
    """

    order_id: str
    tag: str | None
    stage: OrderStage
    quantity: int
    filled_quantity: int
    average_price: Decimal
    reason: str = ""
    terms: OrderTerms | None = None
    exchange_time: datetime | None = None

    @property
    def settled_stage(self) -> OrderStage:
        """The stage, once its fills are all there: those of a COMPLETE order may come after it (kite.md §3.4)."""
        lagging = self.stage is OrderStage.COMPLETE and self.filled_quantity < self.quantity
        return OrderStage.OPEN if lagging else self.stage

    @property
    def short_of_fills(self) -> bool:
        """Whether the broker calls it COMPLETE with less filled than ordered: its fills lag, or it was reduced."""
        return self.settled_stage is not self.stage

    def as_it_stands(self) -> "OrderReport":
        """The report of an order that the broker calls COMPLETE, with what has filled taken for all of it."""
        if not self.short_of_fills:
            return self
        if self.filled_quantity == 0:
            return replace(self, stage=OrderStage.CANCELLED, reason=self.reason or "complete without a fill")
        return replace(self, quantity=self.filled_quantity)

    def merged(self, later: "OrderReport") -> "OrderReport":
        """This report with another of the same order taken in: status by rank, filled quantity by maximum.

        The quantity is that of the newest: the trader may change it in the Kite app, up or down.
        """
        stage, filled, price, reason = _furthest(self, later, later.stage)
        quantity = self.quantity if self._outdates(later) else later.quantity
        return replace(
            self,
            tag=self.tag or later.tag,
            stage=stage,
            quantity=max(quantity, filled),
            filled_quantity=filled,
            average_price=price,
            reason=reason,
            terms=self.terms if later.terms is None or self._outdates(later) else later.terms,
            exchange_time=later.exchange_time if filled > self.filled_quantity else self.exchange_time,
        )

    def _outdates(self, later: "OrderReport") -> bool:
        """Whether what arrived later was said earlier: by the broker's stamps, or by a stage behind."""
        if self.stage.terminal and not later.stage.terminal:
            return True
        mine, its = (report.terms.updated_at if report.terms else None for report in (self, later))
        return mine is not None and its is not None and its < mine

    def __post_init__(self) -> None:
        if not 0 <= self.filled_quantity <= self.quantity:
            raise InvalidValue(f"order {self.order_id} reports {self.filled_quantity} of {self.quantity} filled")


@dataclass(frozen=True, slots=True)
class Intent:
    """One wish to trade. The same intent may be attempted several times, always with the same tag."""

    id: IntentId
    tag: str
    side: Side
    quantity: int
    event: OrderEvent

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise InvalidValue(f"intent {self.id} has quantity {self.quantity}")
        if (self.id.leg is Leg.ENTRY) != (self.side is Side.BUY):
            raise InvalidValue(f"intent {self.id} cannot {self.side}")


class FailureKind(StrEnum):
    """Why an intent is proven to have no order at the broker."""

    REFUSED = "refused"
    """The broker said no to the request (row H2)."""
    EXHAUSTED = "exhausted"
    """The first attempt and three more failed, and the order book has no trace (row H1, ruling 1)."""
    UNREACHABLE = "unreachable"
    """The broker could not be reached at all (row H3)."""
    SESSION_EXPIRED = "session_expired"
    """The account's access token is no longer valid."""
    NOTHING_TO_SELL = "nothing_to_sell"
    """The account no longer holds the shares: selling would open a short (mechanism 9)."""
    BUDGET_USED_UP = "budget_used_up"
    """The account may send no further such orders today (ruling 8, kite.md §4.5)."""
    HALTED = "halted"
    """We did not take the order on: no claim could be had (row J3), or a newer incarnation holds the lock."""
    ACCOUNT_SHORT = "account_short"
    """The account owes the shares that were to be bought: they would only cover that, and none would be the run's."""
    MISSED = "missed"
    """A BUY whose request could not leave in time, whatever process or machine stood still (row E4)."""
    MARKET_CLOSED = "market_closed"
    """Nothing was sent, since the market takes no such order now; the failure carries when it will."""
    FORBIDDEN = "forbidden"
    """A BUY was not sent, since its user has forbidden entries (row N8)."""


@dataclass(frozen=True, slots=True)
class Order:
    """An intent and its state at the broker.

    `sent` means a request may have left us; only a report says that it arrived. `failure` is set once it is proven
    that the broker holds no order for it. `first_fill_at`: the exchange's stamp of the first fill that was reported.
    """

    intent: Intent
    sent: bool = False
    order_id: str | None = None
    stage: OrderStage = OrderStage.PENDING
    filled_quantity: int = 0
    average_price: Decimal = Decimal(0)
    reason: str = ""
    failure: FailureKind | None = None
    first_fill_at: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether the broker may still fill it: sent, and neither final nor proven absent."""
        return self.sent and self.failure is None and not self.stage.terminal

    @property
    def value(self) -> Decimal:
        """Rupees of what was filled."""
        return self.average_price * self.filled_quantity

    def merged(self, report: OrderReport) -> "Order":
        """This order with one more report taken in: status by rank, filled quantity by maximum.

        The quantity is what the broker holds: another incarnation may have sent it for a different fill.

        Raises:
            InvalidValue: if the report is of another order.
        """
        if self.order_id not in {None, report.order_id}:
            raise InvalidValue(f"report of {report.order_id} given to order {self.order_id}")
        stage, filled, price, reason = _furthest(self, report, report.settled_stage)
        return replace(
            self,
            intent=replace(self.intent, quantity=report.quantity or self.intent.quantity),
            sent=True,
            failure=None,
            order_id=report.order_id,
            stage=stage,
            filled_quantity=filled,
            average_price=price,
            reason=reason,
            first_fill_at=self.first_fill_at or (report.exchange_time if report.filled_quantity else None),
        )


def _furthest(
    known: OrderReport | Order, report: OrderReport, stage: OrderStage
) -> tuple[OrderStage, int, Decimal, str]:
    """Of what is known and a report that came later, at `stage`: the furthest stage, the larger fill with its price,
    and the reason. A price may come after its fill.
    """
    ahead = _RANK[stage] > _RANK[known.stage]
    filled = max(known.filled_quantity, report.filled_quantity)
    priced = filled > known.filled_quantity or (report.filled_quantity == filled and not known.average_price)
    return (
        stage if ahead else known.stage,
        filled,
        report.average_price if priced else known.average_price,
        report.reason if ahead and report.reason else known.reason,
    )


def is_dead(report: OrderReport) -> bool:
    """Whether the order can have no effect any more, and had none."""
    return report.stage in {OrderStage.REJECTED, OrderStage.CANCELLED} and report.filled_quantity == 0


def precedence(report: OrderReport) -> tuple[bool, int, str]:
    """Of several orders under one tag, the one to hold on to sorts first: never a dead one before a live one."""
    return is_dead(report), len(report.order_id), report.order_id
