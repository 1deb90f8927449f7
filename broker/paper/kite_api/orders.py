"""Orders and trades."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from broker.paper.base.envelope import success
from broker.paper.faults.book_view import BOOK_FAULT, rows_seen
from broker.paper.kite_api.access import account_of, exchange_of, form_of, ordering_account_of
from broker.paper.kite_api.request_gate import EFFECTS
from broker.paper.orders.order import NO_EFFECTS
from broker.paper.orders.order_form import read_new_order

router = APIRouter(include_in_schema=False)


@router.post("/orders/{variety}")
async def place_order(request: Request, variety: str) -> Response:
    """Accept an order: its id says that the OMS has it, not that it trades."""
    account, exchange = ordering_account_of(request), exchange_of(request)
    terms = read_new_order(variety, await form_of(request), exchange.instruments)
    effects = request.scope["state"].get(EFFECTS, NO_EFFECTS)
    return success({"order_id": exchange.book.place(account, terms, effects).order_id})


@router.put("/orders/{variety}/{order_id}")
async def modify_order(request: Request, order_id: str) -> Response:
    """Change a resting order."""
    account, exchange = ordering_account_of(request), exchange_of(request)
    return success({"order_id": exchange.book.modify(account, order_id, await form_of(request)).order_id})


@router.delete("/orders/{variety}/{order_id}")
async def cancel_order(request: Request, order_id: str) -> Response:
    """Cancel a resting order."""
    account, exchange = ordering_account_of(request), exchange_of(request)
    return success({"order_id": exchange.book.cancel(account, order_id).order_id})


@router.get("/orders")
async def orders(request: Request) -> Response:
    """The order book of the day; an empty list, never null, which the client could not take."""
    account, exchange = account_of(request), exchange_of(request)
    fault = request.scope["state"].get(BOOK_FAULT)
    return success(rows_seen(exchange.book, account.user_id, exchange.clock.now_ns(), fault))


@router.get("/orders/{order_id}")
async def order_history(request: Request, order_id: str) -> Response:
    """Every status an order went through, oldest first."""
    account = account_of(request)
    return success(exchange_of(request).book.order(account.user_id, order_id).history)


@router.get("/orders/{order_id}/trades")
async def order_trades(request: Request, order_id: str) -> Response:
    """The fills of one order."""
    account, book = account_of(request), exchange_of(request).book
    order = book.order(account.user_id, order_id)
    fills = book.trades(account.user_id, earlier_too=True)
    return success([trade.row() for trade in fills if trade.order_id == order.order_id])


@router.get("/trades")
async def trades(request: Request) -> Response:
    """The fills of the day."""
    account = account_of(request)
    return success([trade.row() for trade in exchange_of(request).book.trades(account.user_id)])
