"""What GET /orders and GET /portfolio/positions list: the truth, or what a fault makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.paper.accounts.portfolio import Position
    from broker.paper.book.book import OrderBook
    from broker.paper.faults.faults import Fault

BOOK_FAULT = "paper_book_fault"


def rows_seen(book: OrderBook, user_id: str, now_ns: int, fault: Fault | None) -> list[dict[str, Any]]:
    """Rows of GET /orders, oldest first.

    A fault that is aimed at a side or a tag spoils the rows of those orders only.
    """
    orders = book.orders(user_id)
    if fault is None:
        return [order.row() for order in orders]
    aimed = [order.order_id for order in orders if fault.match.means(order.terms.transaction_type, order.terms.tag)]
    if fault.kind == "stale-book":
        as_of_ns = now_ns - int(fault.seconds * 1e9)
        seen = [order.row_at(as_of_ns) if order.order_id in aimed else order.row() for order in orders]
        return [row for row in seen if row is not None]
    # A body that breaks off does so on its way; what is in it is true.
    lost = [] if fault.cut else aimed[len(aimed) // 2 :]
    return [order.row() for order in orders if order.order_id not in lost]


def positions_seen(book: OrderBook, user_id: str, now_ns: int, fault: Fault | None) -> list[Position]:
    """The account's positions. A fault that is aimed at a side or a tag hides the fills of those orders only."""
    positions = book.portfolio(user_id).positions
    if fault is None:
        return list(positions.values())
    seen = {key: replace(position) for key, position in positions.items()}
    as_of_ns = now_ns - int(fault.seconds * 1e9)
    aimed = {o.order_id for o in book.orders(user_id) if fault.match.means(o.terms.transaction_type, o.terms.tag)}
    for trade in book.trades(user_id):
        if trade.filled_ns > as_of_ns and trade.order_id in aimed:
            seen[trade.exchange, trade.symbol, trade.product].apply(replace(trade, quantity=-trade.quantity))
    return list(seen.values())
