"""Positions and holdings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from broker.paper.base.amounts import average_rupees, rupees_of
from broker.paper.base.envelope import success
from broker.paper.faults.book_view import BOOK_FAULT, positions_seen
from broker.paper.kite_api.access import account_of, exchange_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from broker.paper.accounts.portfolio import Holding, Position
    from broker.paper.exchange import PaperExchange
    from broker.paper.market.market import Market

router = APIRouter(include_in_schema=False)


@router.get("/portfolio/positions")
async def positions(request: Request) -> Response:
    """Net positions, and the part of them that was traded today."""
    account, exchange = account_of(request), exchange_of(request)
    fault = request.scope["state"].get(BOOK_FAULT)
    seen = positions_seen(exchange.book, account.user_id, exchange.clock.now_ns(), fault)
    return success({"net": [_position_row(p, exchange.market) for p in seen], "day": _day(seen, exchange.market)})


@router.get("/portfolio/holdings")
async def holdings(request: Request) -> Response:
    """Shares in the demat account."""
    return success(holding_rows(exchange_of(request), account_of(request).user_id))


def holding_rows(exchange: PaperExchange, user_id: str) -> list[dict[str, Any]]:
    """Rows of all shares in the account's demat account."""
    portfolio = exchange.book.portfolio(user_id)
    return [
        _holding_row(holding, exchange.market, portfolio.used_quantity(holding.exchange, holding.symbol))
        for holding in portfolio.holdings.values()
        if holding.quantity
    ]


def net_positions(exchange: PaperExchange, user_id: str) -> list[dict[str, Any]]:
    """Rows of all net positions of an account, closed ones included, as Kite keeps them for the day."""
    portfolio = exchange.book.portfolio(user_id)
    return [_position_row(position, exchange.market) for position in portfolio.positions.values()]


def _day(seen: Iterable[Position], market: Market) -> list[dict[str, Any]]:
    return [
        _position_row(position.day_part(), market)
        for position in seen
        if position.day_buy_quantity or position.day_sell_quantity
    ]


def _position_row(position: Position, market: Market) -> dict[str, Any]:
    tick = market.tick(position.instrument_token)
    quantity, pnl = position.quantity, position.pnl(tick.last)
    row: dict[str, Any] = {
        "tradingsymbol": position.symbol,
        "exchange": position.exchange,
        "instrument_token": position.instrument_token,
        "product": position.product,
        "quantity": quantity,
        "overnight_quantity": position.overnight_quantity,
        "multiplier": 1,
        "average_price": average_rupees(position.open_value, quantity),
        "close_price": rupees_of(tick.close),
        "last_price": rupees_of(tick.last),
        "value": rupees_of(position.sell_value - position.buy_value),
        "pnl": rupees_of(pnl),
        "m2m": rupees_of(pnl),
        "unrealised": rupees_of(pnl - position.realised),
        "realised": rupees_of(position.realised),
    }
    for side in ("buy", "sell"):
        for prefix in (side, f"day_{side}"):
            shares, value = getattr(position, f"{prefix}_quantity"), getattr(position, f"{prefix}_value")
            row[f"{prefix}_quantity"] = shares
            row[f"{prefix}_price"] = average_rupees(value, shares)
            row[f"{prefix}_value"] = rupees_of(value)
        row[f"{side}_m2m"] = row[f"{side}_value"]
    return row


def _holding_row(holding: Holding, market: Market, used: int) -> dict[str, Any]:
    # ``quantity`` is net of what was sold out of the holding today; the same sale is a negative CNC day position.
    tick = market.tick(holding.instrument_token)
    change = tick.last - tick.close
    return {
        "tradingsymbol": holding.symbol,
        "exchange": holding.exchange,
        "instrument_token": holding.instrument_token,
        "isin": "",
        "product": "CNC",
        "price": 0,
        "quantity": holding.quantity - used,
        "used_quantity": used,
        "t1_quantity": holding.t1_quantity,
        "realised_quantity": max(holding.quantity - used - holding.t1_quantity, 0),
        "authorised_quantity": holding.authorised_quantity,
        "authorised_date": None,
        "opening_quantity": holding.quantity,
        "collateral_quantity": holding.collateral_quantity,
        "collateral_type": "",
        "discrepancy": False,
        "average_price": average_rupees(holding.value, holding.quantity),
        "last_price": rupees_of(tick.last),
        "close_price": rupees_of(tick.close),
        "pnl": rupees_of(holding.quantity * tick.last - holding.value),
        "day_change": rupees_of(change),
        "day_change_percentage": round(change * 100 / tick.close, 4) if tick.close else 0,
    }
