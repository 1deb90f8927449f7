"""One order of the book: its fields, its status table and its Kite row."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from broker.paper.base.amounts import average_rupees, rupees_of
from broker.paper.base.clock import ist_text
from broker.paper.base.errors import PaperError


class OrderStatus(StrEnum):
    """Kite's status texts."""

    RECEIVED = "PUT ORDER REQ RECEIVED"
    VALIDATION_PENDING = "VALIDATION PENDING"
    OPEN_PENDING = "OPEN PENDING"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER PENDING"
    MODIFY_VALIDATION_PENDING = "MODIFY VALIDATION PENDING"
    MODIFY_PENDING = "MODIFY PENDING"
    MODIFIED = "MODIFIED"
    CANCEL_PENDING = "CANCEL PENDING"
    COMPLETE = "COMPLETE"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


_S = OrderStatus
TERMINAL = frozenset({_S.COMPLETE, _S.REJECTED, _S.CANCELLED})
RESTING = frozenset({_S.OPEN, _S.TRIGGER_PENDING})

# A missing pair is an error. OPEN -> OPEN is a partial fill: Kite has no status of its own for it.
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.RECEIVED: frozenset({_S.VALIDATION_PENDING, _S.CANCELLED}),
    _S.VALIDATION_PENDING: frozenset({_S.OPEN_PENDING, _S.REJECTED, _S.CANCELLED}),
    _S.OPEN_PENDING: frozenset({_S.OPEN, _S.TRIGGER_PENDING, _S.REJECTED, _S.CANCELLED}),
    _S.TRIGGER_PENDING: frozenset(
        {_S.OPEN, _S.MODIFY_VALIDATION_PENDING, _S.CANCEL_PENDING, _S.CANCELLED, _S.REJECTED}
    ),
    _S.OPEN: frozenset({_S.OPEN, _S.COMPLETE, _S.MODIFY_VALIDATION_PENDING, _S.CANCEL_PENDING, _S.CANCELLED}),
    _S.MODIFY_VALIDATION_PENDING: frozenset({_S.MODIFY_PENDING, _S.CANCELLED}),
    # A refused modify goes back to where the order rested.
    _S.MODIFY_PENDING: frozenset({_S.MODIFIED, _S.OPEN, _S.TRIGGER_PENDING, _S.CANCELLED}),
    # COMPLETE: the quantity was reduced to what had filled.
    _S.MODIFIED: frozenset({_S.OPEN, _S.TRIGGER_PENDING, _S.COMPLETE, _S.CANCELLED}),
    _S.CANCEL_PENDING: frozenset({_S.CANCELLED}),
    _S.COMPLETE: frozenset(),
    _S.REJECTED: frozenset(),
    _S.CANCELLED: frozenset(),
}


class IllegalTransitionError(PaperError):
    """An order was asked to take a step that the table does not have."""


@dataclass(frozen=True, kw_only=True)
class OrderTerms:
    """What the client asked for; prices in paise, ``market_protection`` in percent (-1 = automatic band)."""

    variety: str
    exchange: str
    symbol: str
    transaction_type: str
    order_type: str
    product: str
    quantity: int
    price_paise: int = 0
    trigger_paise: int = 0
    validity: str = "DAY"
    validity_ttl: int = 0
    disclosed_quantity: int = 0
    market_protection: float = 0
    tag: str | None = None

    @property
    def key(self) -> str:
        """``EXCHANGE:SYMBOL``."""
        return f"{self.exchange}:{self.symbol}"

    @property
    def position_key(self) -> tuple[str, str, str]:
        """Exchange, symbol and product: the position that its fills change."""
        return self.exchange, self.symbol, self.product

    @property
    def is_buy(self) -> bool:
        """Whether the order takes shares in."""
        return self.transaction_type == "BUY"


@dataclass(frozen=True, kw_only=True)
class OrderEffects:
    """What injected faults do to one order after it was accepted; the default does nothing.

    ``hidden_seconds``: how long GET /orders does not list it. ``stalled_seconds``: how long it sits in
    PUT ORDER REQ RECEIVED. ``fill_cap``: shares that fill until the next modify (0 parks it). ``fill_delay_seconds``:
    how long it rests in OPEN before it may fill. ``cancel_after_seconds``: how long after ``fill_cap`` shares have
    filled the exchange cancels the rest; such a cap outlives every modify.
    """

    hidden_seconds: float = 0
    stalled_seconds: float = 0
    reject_message: str | None = None
    fill_cap: int | None = None
    fill_delay_seconds: float = 0
    cancel_after_seconds: float | None = None


NO_EFFECTS = OrderEffects()

# Who sent an order, in the words of the request log.
API, BY_HAND, BY_BROKER = "api", "foreign", "square-off"
# What the book shows as ``placed_by`` of the broker's own orders.
PLACED_BY_BROKER = "ADMINSQF"


@dataclass(kw_only=True)
class Order:
    """An accepted order. Only ``advance`` changes ``status``; fills are booked by the order book."""

    order_id: str
    user_id: str
    instrument_token: int
    placed_ns: int
    updated_ns: int
    guid: str
    terms: OrderTerms
    effects: OrderEffects = NO_EFFECTS
    source: str = API
    status: OrderStatus = OrderStatus.RECEIVED
    status_message: str | None = None
    status_message_raw: str | None = None
    exchange_order_id: str | None = None
    exchange_ns: int | None = None
    filled_quantity: int = 0
    filled_value_paise: int = 0
    cancelled_quantity: int = 0
    modifications: int = 0
    fill_cap: int | None = None
    fill_not_before_ns: int = 0
    triggered: bool = False  # a stop order that its trigger has woken rests as a limit order
    system_tags: list[str] = field(default_factory=list)
    pending_terms: OrderTerms | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    history_ns: list[int] = field(default_factory=list)  # when each snapshot of the history was made

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in TERMINAL

    @property
    def remaining(self) -> int:
        """Shares not yet filled."""
        return self.terms.quantity - self.filled_quantity

    @property
    def visible_from_ns(self) -> int:
        """When GET /orders begins to list it."""
        return self.placed_ns + int(self.effects.hidden_seconds * 1e9)

    def advance(self, status: OrderStatus, now_ns: int) -> None:
        """Take one step of the status table and add the snapshot that order history shows."""
        if status not in TRANSITIONS[self.status]:
            raise IllegalTransitionError(f"order {self.order_id}: {self.status} -> {status}")
        self.status = status
        self.updated_ns = now_ns
        if status is OrderStatus.CANCELLED:
            self.cancelled_quantity = self.remaining
        self.remember()

    def remember(self) -> None:
        """Add the order as it is to its history."""
        self.history.append(self.row())
        self.history_ns.append(self.updated_ns)

    def row_at(self, epoch_ns: int) -> dict[str, Any] | None:
        """The order as GET /orders showed it then; ``None`` before it was placed."""
        known = bisect_right(self.history_ns, epoch_ns)
        return self.history[known - 1] if known else None

    def row(self) -> dict[str, Any]:
        """The order as GET /orders shows it now."""
        terms = self.terms
        return {
            "account_id": self.user_id,
            "placed_by": PLACED_BY_BROKER if self.source == BY_BROKER else self.user_id,
            "order_id": self.order_id,
            "exchange_order_id": self.exchange_order_id,
            "parent_order_id": None,
            "status": str(self.status),
            "status_message": self.status_message,
            "status_message_raw": self.status_message_raw,
            "order_timestamp": ist_text(self.updated_ns),
            "exchange_update_timestamp": _text_or_none(self.exchange_ns and self.updated_ns),
            "exchange_timestamp": _text_or_none(self.exchange_ns),
            "variety": terms.variety,
            "modified": self.modifications > 0,
            "exchange": terms.exchange,
            "tradingsymbol": terms.symbol,
            "instrument_token": self.instrument_token,
            "order_type": terms.order_type,
            "transaction_type": terms.transaction_type,
            "validity": terms.validity,
            "validity_ttl": terms.validity_ttl,
            "product": terms.product,
            "quantity": terms.quantity,
            "disclosed_quantity": terms.disclosed_quantity,
            "price": rupees_of(terms.price_paise),
            "trigger_price": rupees_of(terms.trigger_paise),
            "average_price": average_rupees(self.filled_value_paise, self.filled_quantity),
            "filled_quantity": self.filled_quantity,
            "pending_quantity": 0 if self.status is OrderStatus.REJECTED else self.remaining,
            "cancelled_quantity": self.cancelled_quantity,
            "market_protection": terms.market_protection,
            "meta": {},
            "tag": terms.tag,
            "tags": [*([terms.tag] if terms.tag else []), *self.system_tags],
            "guid": self.guid,
        }

    def update_message(self, status: str) -> dict[str, Any]:
        """The order as a postback or socket update shows it: the row and a few fields of the app.

        The checksum is blank on the socket; ``status`` is UPDATE for partial fills and modifications.
        """
        row = self.row()
        del row["account_id"], row["tags"], row["modified"], row["validity_ttl"]
        return {
            "user_id": self.user_id,
            "unfilled_quantity": self.remaining,
            "app_id": 1,
            "checksum": "",
            **row,
            "status": status,
        }

    def to_record(self) -> dict[str, Any]:
        """The order as the journal keeps it, without the history (each record carries one new snapshot)."""
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NESTED}
        record["terms"] = asdict(self.terms)
        record["effects"] = asdict(self.effects)
        record["pending_terms"] = asdict(self.pending_terms) if self.pending_terms else None
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any], row: dict[str, Any], former: Order | None) -> Order:
        """The inverse of ``to_record``: ``row`` is the snapshot it added to those of the ``former`` record."""
        pending = record["pending_terms"]
        nested = {
            "terms": OrderTerms(**record["terms"]),
            "effects": OrderEffects(**record["effects"]),
            "pending_terms": OrderTerms(**pending) if pending else None,
            "status": OrderStatus(record["status"]),
            "history": [*(former.history if former else []), row],
            "history_ns": [*(former.history_ns if former else []), record["updated_ns"]],
        }
        return cls(**{**record, **nested})


_NESTED = frozenset({"terms", "effects", "pending_terms", "history", "history_ns"})


def _text_or_none(epoch_ns: int | None) -> str | None:
    return ist_text(epoch_ns) if epoch_ns else None


@dataclass(frozen=True, kw_only=True)
class Trade:
    """One fill; ``price_paise`` per share."""

    trade_id: str
    order_id: str
    exchange_order_id: str
    user_id: str
    exchange: str
    symbol: str
    instrument_token: int
    product: str
    transaction_type: str
    quantity: int
    price_paise: int
    filled_ns: int

    def row(self) -> dict[str, Any]:
        """The trade as GET /trades shows it. No tag: Kite has none on trades."""
        return {
            "trade_id": self.trade_id,
            "order_id": self.order_id,
            "exchange": self.exchange,
            "tradingsymbol": self.symbol,
            "instrument_token": self.instrument_token,
            "product": self.product,
            "average_price": rupees_of(self.price_paise),
            "quantity": self.quantity,
            "exchange_order_id": self.exchange_order_id,
            "transaction_type": self.transaction_type,
            "fill_timestamp": ist_text(self.filled_ns),
            "order_timestamp": ist_text(self.filled_ns)[11:],
            "exchange_timestamp": ist_text(self.filled_ns),
        }
