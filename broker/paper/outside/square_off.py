"""The broker's square-off: it closes the positions of a product that are still open before the market ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.paper.base.errors import KiteError
from broker.paper.orders.order import BY_BROKER
from broker.paper.outside.trades import place

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.paper.accounts.accounts import Account
    from broker.paper.accounts.portfolio import Position
    from broker.paper.outside.venue import Venue

# Wide enough to fill at any price that a test moves to.
SQUARE_OFF_PROTECTION = "50"


def close_positions(
    exchange: Venue,
    account: Account,
    product: str,
    path: str,
    concerns: Callable[[int], bool] = lambda _token: True,
) -> tuple[list[str], list[str]]:
    """Close an account's positions of a product as the broker does; ids of orders placed, and of cancelled ones.

    Pending orders of the product are cancelled first, then MARKET orders of the broker close what is open.
    ``concerns`` picks instruments by token. A position that the broker's order is refused for stays open.
    """
    live = [
        order
        for order in exchange.book.working(account.user_id)
        if order.terms.product == product and concerns(order.instrument_token)
    ]
    for order in live:
        exchange.book.cancel_by_exchange(order)
    placed = []
    for position in list(exchange.book.portfolio(account.user_id).positions.values()):
        if position.product != product or not position.quantity or not concerns(position.instrument_token):
            continue
        placed += _close(exchange, account, position, path)
    return placed, [order.order_id for order in live]


def _close(exchange: Venue, account: Account, position: Position, path: str) -> list[str]:
    left = abs(position.quantity)
    slice_of = exchange.rules.of(position.instrument_token).freeze_quantity or left
    placed = []
    while left > 0:
        form = {
            "exchange": position.exchange,
            "tradingsymbol": position.symbol,
            "transaction_type": "SELL" if position.quantity > 0 else "BUY",
            "quantity": str(min(left, slice_of)),
            "product": position.product,
            "order_type": "MARKET",
            "market_protection": SQUARE_OFF_PROTECTION,
        }
        left -= slice_of
        try:
            placed.append(place(exchange, account, form, BY_BROKER, path).order_id)
        except KiteError:
            # Logged with its reason; the next one follows.
            continue
    return placed
