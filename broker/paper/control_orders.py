"""The control API for what happens to an account from outside: orders by hand, the broker's square-off, cancels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request

from broker.paper import control_models as models  # noqa: TC001 - FastAPI reads annotations at run time
from broker.paper.access import exchange_of
from broker.paper.control import account_called
from broker.paper.errors import KiteError
from broker.paper.ledger import OrderRequest
from broker.paper.order_form import read_new_order

if TYPE_CHECKING:
    from broker.paper.accounts import Account
    from broker.paper.exchange import PaperExchange

router = APIRouter(prefix="/paper", tags=["control"])

# Wide enough to fill at any price that a test moves to.
SQUARE_OFF_PROTECTION = "50"


@router.post("/orders", status_code=201)
async def foreign_order(request: Request, body: models.ForeignOrder) -> dict[str, str]:
    """Place an order for an account by hand. It has no tag unless one is given."""
    exchange = exchange_of(request)
    account = account_called(exchange, body.user_id)
    fields = body.model_dump(exclude={"user_id"}, exclude_none=True)
    form = {name: str(value) for name, value in fields.items()}
    return {"order_id": _place(exchange, account, form, "foreign", request.url.path)}


@router.post("/square-off", status_code=201)
async def square_off(request: Request, body: models.SquareOff) -> dict[str, list[str]]:
    """Close the account's positions of a product as the broker does at the end of the day.

    First its live orders of that product are cancelled, then untagged MARKET orders close what is open.
    """
    exchange = exchange_of(request)
    account = account_called(exchange, body.user_id)
    live = [
        order
        for order in exchange.book.orders(account.user_id, hidden_too=True)
        if order.terms.product == body.product and not order.is_terminal
    ]
    for order in live:
        exchange.book.cancel_by_exchange(order)
    placed = []
    for position in list(exchange.book.portfolio(account.user_id).positions.values()):
        if position.product != body.product or not position.quantity:
            continue
        form = {
            "exchange": position.exchange,
            "tradingsymbol": position.symbol,
            "transaction_type": "SELL" if position.quantity > 0 else "BUY",
            "quantity": str(abs(position.quantity)),
            "product": body.product,
            "order_type": "MARKET",
            "market_protection": SQUARE_OFF_PROTECTION,
        }
        placed.append(_place(exchange, account, form, "square-off", request.url.path))
    return {"order_ids": placed, "cancelled": [order.order_id for order in live]}


@router.delete("/orders/{order_id}")
async def cancel_by_exchange(request: Request, order_id: str) -> dict[str, str]:
    """Cancel a live order from the exchange's side."""
    exchange = exchange_of(request)
    order = exchange.book.find(order_id)
    if order is None:
        raise HTTPException(404, f"no order {order_id}")
    try:
        exchange.book.cancel_by_exchange(order)
    except KiteError as error:
        raise HTTPException(409, error.message) from error
    return {"order_id": order_id}


def _place(exchange: PaperExchange, account: Account, form: dict[str, str], source: str, path: str) -> str:
    entry = OrderRequest(
        received_ns=exchange.clock.now_ns(),
        method="POST",
        path=path,
        user_id=account.user_id,
        form=form,
        source=source,
    )
    try:
        order = exchange.book.place(account, read_new_order("regular", form, exchange.instruments))
    except KiteError as error:
        entry.status, entry.error = error.status, error.message
        exchange.requests.add(entry)
        raise HTTPException(error.status, error.message) from error
    entry.status, entry.order_id = 201, order.order_id
    exchange.requests.add(entry)
    return order.order_id
