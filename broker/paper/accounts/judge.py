"""The judge's view of an account, pure: how low each position ever went, who sold what, and what was asked and refused.

A position that was short for a moment and bought back shows nothing in the portfolio at the end of the day; here it
does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from broker.paper.base.clock import ist_date, ist_text
from broker.paper.orders.order import API, Trade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from broker.paper.accounts.ledger import OrderRequest
    from broker.paper.accounts.portfolio import PositionKey
    from broker.paper.orders.order import Order

KINDS = {"POST": "place", "PUT": "modify", "DELETE": "cancel"}


@dataclass(frozen=True)
class Opening:
    """Positions and holdings that were set from outside: from then on the account has exactly these shares.

    ``at_ns`` 0 is what the account was opened with.
    """

    at_ns: int
    key: PositionKey
    position: int
    holding: int = 0


@dataclass
class _Line:
    """One (exchange, symbol, product) over time. ``owned``: the net position, and for CNC the demat account too."""

    holding: int = 0
    traded: int = 0
    lowest: int = 0
    lowest_ns: int | None = None
    highest: int = 0
    highest_ns: int | None = None
    path: list[tuple[int, int]] = field(default_factory=list)
    bought: Counter[str] = field(default_factory=Counter)
    sold: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)

    @property
    def owned(self) -> int:
        return self.holding + self.traded

    def note(self, at_ns: int) -> None:
        self.path.append((at_ns, self.owned))
        if self.owned < self.lowest:
            self.lowest, self.lowest_ns = self.owned, at_ns
        if self.owned > self.highest:
            self.highest, self.highest_ns = self.owned, at_ns

    def trade(self, trade: Trade, order: Order | None) -> None:
        sells = trade.transaction_type == "SELL"
        self.traded += -trade.quantity if sells else trade.quantity
        who = order.source if order else API
        (self.sold if sells else self.bought)[who] += trade.quantity
        if sells and order is not None and order.terms.tag:
            self.tags[order.terms.tag] += trade.quantity
        self.note(trade.filled_ns)


def positions_over_time(events: Iterable[Trade | Opening], orders: Mapping[str, Order]) -> list[dict[str, Any]]:
    """One row per (exchange, symbol, product) that ever was; ``events`` in the order in which they happened.

    ``net_quantity``: bought less sold over all days, and for CNC with the shares in the demat account, so that below
    zero is always a short. ``lowest_quantity`` is the lowest that it ever was (0 when it never was below), with its
    time; ``sold`` and ``bought`` count shares by the source of their orders, ``sold_by_tag`` by tag.
    """
    lines: defaultdict[PositionKey, _Line] = defaultdict(_Line)
    for event in events:
        if isinstance(event, Opening):
            line = lines[event.key]
            line.holding, line.traded = event.holding, event.position
            line.note(event.at_ns)
        else:
            key = (event.exchange, event.symbol, event.product)
            lines[key].trade(event, orders.get(event.order_id))
    return [_row(key, line) for key, line in lines.items()]


def _row(key: PositionKey, line: _Line) -> dict[str, Any]:
    exchange, symbol, product = key
    return {
        "exchange": exchange,
        "tradingsymbol": symbol,
        "product": product,
        "net_quantity": line.owned,
        "lowest_quantity": line.lowest,
        "lowest_ns": line.lowest_ns,
        "lowest_at": ist_text(line.lowest_ns) if line.lowest_ns else None,
        "highest_quantity": line.highest,
        "highest_at": ist_text(line.highest_ns) if line.highest_ns else None,
        "net_over_time": line.path,
        "bought": dict(line.bought),
        "sold": dict(line.sold),
        "sold_by_tag": dict(line.tags),
    }


def requests_by_day(requests: Iterable[OrderRequest]) -> dict[str, dict[str, int]]:
    """Order requests of clients per trading date: ``place``, ``modify``, ``cancel``, ``all`` and ``refused``."""
    days: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for request in requests:
        if request.source != API:
            continue
        day = days[ist_date(request.received_ns)]
        day["all"] += 1
        day[KINDS.get(request.method, request.method)] += 1
        if request.order_id is None:
            day["refused"] += 1
    return {day: {name: counts[name] for name in (*KINDS.values(), "all", "refused")} for day, counts in days.items()}


def refusals(requests: Iterable[OrderRequest], orders: Iterable[Order]) -> dict[str, int]:
    """How often each reason was given, at arrival or later in the book, for orders of every source."""
    reasons = Counter(request.error for request in requests if request.order_id is None and request.error)
    reasons.update(o.status_message for o in orders if o.status == "REJECTED" and o.status_message)
    return {reason: count for reason, count in reasons.items() if reason}
