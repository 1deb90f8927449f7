"""Instruments and quotes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from broker.paper.base.amounts import rupees_of
from broker.paper.base.clock import ist_text
from broker.paper.base.envelope import success
from broker.paper.base.errors import input_error
from broker.paper.kite_api.access import account_of, check_version, exchange_of
from broker.paper.ticker.packets import depth

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.paper.market.market import Tick

router = APIRouter(include_in_schema=False)

QUOTE_LIMIT = 500
LTP_LIMIT = 1000
CIRCUIT_PERCENT = 20
EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX")


@router.get("/instruments")
async def instruments(request: Request) -> Response:
    """The dump of all exchanges. Kite serves it without credentials, so it is no test of a login."""
    return _dump(request, None)


@router.get("/instruments/{exchange}")
async def exchange_instruments(request: Request, exchange: str) -> Response:
    """The dump of one exchange."""
    if exchange not in EXCHANGES:
        raise input_error("Invalid `exchange`.")
    return _dump(request, exchange)


@router.get("/quote")
async def quote(request: Request) -> Response:
    """Full quotes."""
    rules = exchange_of(request).rules
    return _quotes(request, QUOTE_LIMIT, lambda tick: _full_quote(tick, rules.of(tick.instrument.token).band))


@router.get("/quote/ohlc")
async def ohlc(request: Request) -> Response:
    """Last price and the prices of the day."""
    return _quotes(request, LTP_LIMIT, lambda tick: {**_ltp(tick), "ohlc": _ohlc(tick)})


@router.get("/quote/ltp")
async def ltp(request: Request) -> Response:
    """Last prices."""
    return _quotes(request, LTP_LIMIT, _ltp)


def _dump(request: Request, exchange: str | None) -> Response:
    check_version(request)
    paper = exchange_of(request)
    content = paper.instruments.dump(exchange, paper.rules.freeze_quantities())
    return Response(content, media_type="text/csv", headers={"Content-Encoding": "gzip"})


def _quotes(request: Request, limit: int, row: Callable[[Tick], dict[str, Any]]) -> Response:
    account_of(request)
    exchange, keys = exchange_of(request), request.query_params.getlist("i")
    if not keys or len(keys) > limit:
        raise input_error(f"Invalid `i`. 1 to {limit} instruments are allowed.")
    # Unknown instruments are left out without an error.
    found = [instrument for key in keys if (instrument := exchange.instruments.find(key)) is not None]
    return success({instrument.key: row(exchange.market.tick(instrument.token)) for instrument in found})


def _ltp(tick: Tick) -> dict[str, Any]:
    return {"instrument_token": tick.instrument.token, "last_price": rupees_of(tick.last)}


def _ohlc(tick: Tick) -> dict[str, float]:
    return {name: rupees_of(getattr(tick, name)) for name in ("open", "high", "low", "close")}


def _full_quote(tick: Tick, band: tuple[int, int] | None) -> dict[str, Any]:
    bids, asks = depth(tick)
    stamp, offset = ist_text(tick.quote_ns or tick.exchange_ns), tick.close * CIRCUIT_PERCENT // 100
    # Shown for every instrument; orders are held to it once it has been set.
    lower, upper = band or (tick.close - offset, tick.close + offset)
    return {
        **_ltp(tick),
        "timestamp": stamp,
        "last_trade_time": stamp,
        "last_quantity": tick.last_quantity,
        "buy_quantity": sum(level[0] for level in bids),
        "sell_quantity": sum(level[0] for level in asks),
        "volume": tick.volume,
        "average_price": rupees_of(tick.average),
        "oi": 0,
        "oi_day_high": 0,
        "oi_day_low": 0,
        "net_change": rupees_of(tick.last - tick.close),
        "lower_circuit_limit": rupees_of(lower),
        "upper_circuit_limit": rupees_of(upper),
        "ohlc": _ohlc(tick),
        "depth": {"buy": _levels(bids), "sell": _levels(asks)},
    }


def _levels(levels: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
    return [{"quantity": q, "price": rupees_of(paise), "orders": orders} for q, paise, orders in levels]
