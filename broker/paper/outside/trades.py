"""Orders of others at an account: of its owner by hand in the broker's app, and of the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.paper.accounts.ledger import OrderRequest
from broker.paper.base.errors import KiteError
from broker.paper.orders.order import BY_HAND
from broker.paper.orders.order_form import PROTECTED, read_new_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.paper.accounts.accounts import Account
    from broker.paper.orders.order import Order
    from broker.paper.outside.venue import Venue

# The app does not ask for market protection; the broker sets it by itself.
APP_PROTECTION = "-1"


def place(exchange: Venue, account: Account, form: dict[str, str], source: str, path: str) -> Order:
    """Place an order for an account; ``KiteError`` as its owner or the broker would see it. Either way it is logged."""

    def act() -> Order:
        terms = read_new_order("regular", form, exchange.instruments)
        return exchange.book.place(account, terms, source=source)

    return _logged(exchange, _request(exchange, account, "POST", path, form, source), act)


def modify(exchange: Venue, account: Account, order: Order, form: dict[str, str], path: str) -> Order:
    """Change a live order as its owner does in the app."""
    if form.get("order_type", order.terms.order_type) in PROTECTED:
        form.setdefault("market_protection", APP_PROTECTION)
    request = _request(exchange, account, "PUT", path, form, BY_HAND, order)
    return _logged(exchange, request, lambda: exchange.book.modify(account, order.order_id, form))


def cancel(exchange: Venue, account: Account, order: Order, path: str) -> Order:
    """Cancel a live order as its owner does in the app."""
    request = _request(exchange, account, "DELETE", path, {}, BY_HAND, order)
    return _logged(exchange, request, lambda: exchange.book.cancel(account, order.order_id))


def _request(
    exchange: Venue,
    account: Account,
    method: str,
    path: str,
    form: dict[str, str],
    source: str,
    order: Order | None = None,
) -> OrderRequest:
    return OrderRequest(
        received_ns=exchange.clock.now_ns(),
        method=method,
        path=path,
        user_id=account.user_id,
        form=form,
        source=source,
        transaction_type=order.terms.transaction_type if order else None,
        tag=order.terms.tag if order else None,
    )


def _logged(exchange: Venue, request: OrderRequest, act: Callable[[], Order]) -> Order:
    try:
        order = act()
    except KiteError as error:
        request.status, request.error = error.status, error.message
        raise
    else:
        request.status, request.order_id = 201 if request.method == "POST" else 200, order.order_id
        return order
    finally:
        exchange.requests.add(request)
