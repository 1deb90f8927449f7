"""The control API for what an account has when the day begins, and what it needs to sell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request

from broker.paper.accounts.portfolio import Holding, Position
from broker.paper.base.amounts import paise_of
from broker.paper.control import models  # noqa: TC001 - FastAPI reads annotations at run time
from broker.paper.control.accounts_and_prices import account_called, instrument_called
from broker.paper.kite_api.access import exchange_of
from broker.paper.kite_api.portfolio import holding_rows, net_positions

if TYPE_CHECKING:
    from broker.paper.base.instruments import Instrument
    from broker.paper.exchange import PaperExchange

router = APIRouter(prefix="/paper", tags=["control"])


@router.put("/accounts/{user_id}/holdings")
async def set_holdings(request: Request, user_id: str, body: models.Holdings) -> list[dict[str, Any]]:
    """Let an account hold exactly these shares, as if it had held them when the day began; Kite's rows of them."""
    exchange = exchange_of(request)
    account_called(exchange, user_id)
    holdings = []
    for row in body.holdings:
        instrument = _share(exchange, row.instrument)
        holdings.append(
            Holding(
                instrument.exchange,
                instrument.symbol,
                instrument.token,
                quantity=row.opening_quantity,
                value=row.opening_quantity * _price(exchange, instrument, row.average_price),
                t1_quantity=row.t1_quantity,
                collateral_quantity=row.collateral_quantity,
                authorised_quantity=row.authorised_quantity,
            )
        )
    exchange.book.set_holdings(user_id, holdings)
    return holding_rows(exchange, user_id)


@router.put("/accounts/{user_id}/positions")
async def set_positions(request: Request, user_id: str, body: models.Positions) -> list[dict[str, Any]]:
    """Let an account have exactly these positions, carried over from earlier days; Kite's rows of them."""
    exchange = exchange_of(request)
    account_called(exchange, user_id)
    positions = []
    for row in body.positions:
        instrument = _share(exchange, row.instrument)
        value = row.quantity * _price(exchange, instrument, row.average_price)
        positions.append(
            Position(
                instrument.exchange,
                instrument.symbol,
                row.product,
                instrument.token,
                overnight_quantity=row.quantity,
                overnight_value=value,
            )
        )
    exchange.book.set_positions(user_id, positions)
    return net_positions(exchange, user_id)


@router.post("/accounts/{user_id}/tpin")
async def require_tpin(request: Request, user_id: str, body: models.Tpin) -> dict[str, Any]:
    """Let CNC sales out of the account's holdings need an authorisation, or not."""
    exchange = exchange_of(request)
    account = account_called(exchange, user_id)
    exchange.accounts.require_tpin(account, required=body.required)
    return {"user_id": user_id, "required": account.tpin_required}


def _share(exchange: PaperExchange, key: str) -> Instrument:
    instrument = instrument_called(exchange, key)
    if instrument.is_index:
        raise HTTPException(422, f"{key} is an index: nobody can hold it")
    return instrument


def _price(exchange: PaperExchange, instrument: Instrument, rupees: float | None) -> int:
    return exchange.market.last_paise(instrument.token) if rupees is None else paise_of(rupees)
