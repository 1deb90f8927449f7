"""The control API for what happens to an account from outside: its owner's hand, and the broker's square-off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter, HTTPException, Request

from broker.paper.base.errors import KiteError
from broker.paper.control import models  # noqa: TC001 - FastAPI reads annotations at run time
from broker.paper.control.accounts_and_prices import account_called
from broker.paper.kite_api.access import exchange_of
from broker.paper.orders.order import BY_HAND
from broker.paper.outside import trades as outside
from broker.paper.outside.square_off import close_positions

if TYPE_CHECKING:
    from broker.paper.accounts.accounts import Account
    from broker.paper.exchange import PaperExchange
    from broker.paper.orders.order import Order

router = APIRouter(prefix="/paper", tags=["control"])


@router.post("/orders", status_code=201)
async def foreign_order(request: Request, body: models.ForeignOrder) -> dict[str, str]:
    """Place an order for an account by hand. It has no tag unless one is given."""
    exchange = exchange_of(request)
    account = account_called(exchange, body.user_id)
    fields = body.model_dump(exclude={"user_id"}, exclude_none=True)
    form = {name: str(value) for name, value in fields.items()}
    try:
        order = outside.place(exchange, account, form, BY_HAND, request.url.path)
    except KiteError as error:
        raise HTTPException(error.status, error.message) from error
    return {"order_id": order.order_id}


@router.put("/orders/{order_id}")
async def edit_order(request: Request, order_id: str, body: models.HandEdit) -> dict[str, str]:
    """Change any live order as the account's owner does in the app, ours or not."""
    exchange = exchange_of(request)
    order, account = _order_called(exchange, order_id)
    form = {name: str(value) for name, value in body.model_dump(exclude_none=True).items()}
    try:
        outside.modify(exchange, account, order, form, request.url.path)
    except KiteError as error:
        raise HTTPException(error.status, error.message) from error
    return {"order_id": order_id}


@router.delete("/orders/{order_id}")
async def cancel_order(
    request: Request, order_id: str, by: Literal["exchange", "trader"] = "exchange"
) -> dict[str, str]:
    """Cancel a live order: from the exchange's side, or as the account's owner does in the app."""
    exchange = exchange_of(request)
    order, account = _order_called(exchange, order_id)
    try:
        if by == "trader":
            outside.cancel(exchange, account, order, request.url.path)
        else:
            exchange.book.cancel_by_exchange(order)
    except KiteError as error:
        raise HTTPException(error.status if by == "trader" else 409, error.message) from error
    return {"order_id": order_id}


@router.post("/square-off", status_code=201)
async def square_off(request: Request, body: models.SquareOff) -> dict[str, list[str]]:
    """Close the account's positions of a product as the broker does at the end of the day.

    First its live orders of that product are cancelled, then untagged MARKET orders close what is open.
    """
    exchange = exchange_of(request)
    account = account_called(exchange, body.user_id)
    placed, cancelled = close_positions(exchange, account, body.product, request.url.path)
    return {"order_ids": placed, "cancelled": cancelled}


def _order_called(exchange: PaperExchange, order_id: str) -> tuple[Order, Account]:
    order = exchange.book.find(order_id)
    if order is None:
        raise HTTPException(404, f"no order {order_id}")
    return order, account_called(exchange, order.user_id)
