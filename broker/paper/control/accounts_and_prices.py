"""The control API: accounts, prices and the ledger. Not part of Kite; without credentials, for 127.0.0.1 only."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request

from broker.paper.accounts.accounts import Account
from broker.paper.accounts.judge import refusals, requests_by_day
from broker.paper.base.amounts import paise_of, rupees_of
from broker.paper.base.clock import NANOSECONDS
from broker.paper.base.config import DATA_DIRECTORY
from broker.paper.control import models
from broker.paper.kite_api.access import exchange_of
from broker.paper.kite_api.portfolio import net_positions
from broker.paper.market.price_sources import (
    HoldSource,
    PriceSource,
    StepsSource,
    read_bars,
    recorded_steps,
)

if TYPE_CHECKING:
    from broker.paper.base.instruments import Instrument
    from broker.paper.exchange import PaperExchange

router = APIRouter(prefix="/paper", tags=["control"])


@router.get("/health")
async def health(request: Request) -> dict[str, Any]:
    """Whether the exchange serves."""
    exchange = exchange_of(request)
    return {"status": "ok", "started_ns": exchange.started_ns, "sockets": len(exchange.hub)}


@router.get("/accounts")
async def list_accounts(request: Request) -> list[dict[str, Any]]:
    """All accounts with their paper credentials."""
    return [_credentials(account) for account in exchange_of(request).accounts]


@router.post("/accounts", status_code=201)
async def open_account(request: Request, body: models.NewAccount) -> dict[str, Any]:
    """Open an account."""
    exchange = exchange_of(request)
    cash = exchange.config.starting_cash_paise if body.cash is None else paise_of(body.cash)
    account = Account(
        user_id=body.user_id or f"PA{secrets.token_hex(4).upper()}",
        api_key=body.api_key or secrets.token_hex(8),
        api_secret=body.api_secret or secrets.token_hex(16),
        access_token=body.access_token or secrets.token_hex(16),
        cash_paise=cash,
        redirect_url=body.redirect_url,
        holdings=body.holdings,
    )
    for key in body.holdings:
        instrument_called(exchange, key)
    try:
        exchange.open_account(account)
    except ValueError as error:
        raise HTTPException(409, str(error)) from None
    return _credentials(account)


@router.post("/accounts/{user_id}/expire-token")
async def expire_token(request: Request, user_id: str) -> dict[str, Any]:
    """Flush the access token, as the broker does every morning, and close the account's sockets."""
    exchange = exchange_of(request)
    account = account_called(exchange, user_id)
    exchange.accounts.expire_token(account)
    exchange.hub.hang_up(user_id)
    return _credentials(account)


@router.post("/accounts/{user_id}/token")
async def set_token(request: Request, user_id: str, body: models.NewToken) -> dict[str, Any]:
    """Give the account a new access token without the login flow."""
    exchange = exchange_of(request)
    account = account_called(exchange, user_id)
    exchange.accounts.set_token(account, body.access_token or secrets.token_hex(16))
    return _credentials(account)


@router.post("/accounts/{user_id}/request-token")
async def request_token(request: Request, user_id: str) -> dict[str, str]:
    """What a login would hand out."""
    exchange = exchange_of(request)
    return {"request_token": exchange.accounts.issue_request_token(account_called(exchange, user_id))}


@router.post("/accounts/{user_id}/ips")
async def register_ips(request: Request, user_id: str, body: models.RegisteredIps) -> dict[str, Any]:
    """Take order requests of the account from these addresses only; none lifts the restriction."""
    exchange = exchange_of(request)
    account = account_called(exchange, user_id)
    exchange.accounts.register_ips(account, [str(ip) for ip in body.ips], body.refusal_status)
    return {"user_id": user_id, "ips": account.ips, "refusal_status": account.ip_refusal_status}


@router.get("/market")
async def market(request: Request) -> list[dict[str, Any]]:
    """Every instrument with its last price and what moves it."""
    exchange = exchange_of(request)
    return [_market_row(exchange, instrument) for instrument in exchange.instruments]


@router.post("/market")
async def set_market(request: Request, body: models.NamedMarketSetting) -> dict[str, Any]:
    """Change how an instrument's price moves."""
    exchange = exchange_of(request)
    return _set_market(exchange, instrument_called(exchange, body.instrument), body)


@router.put("/market/{exchange_name}/{symbol}")
async def put_market(request: Request, exchange_name: str, symbol: str, body: models.MarketSetting) -> dict[str, Any]:
    """The same with the instrument in the path."""
    exchange = exchange_of(request)
    return _set_market(exchange, instrument_called(exchange, f"{exchange_name}:{symbol}"), body)


@router.post("/price")
async def set_price(request: Request, body: models.NewPrice) -> dict[str, Any]:
    """Publish a price at once, and hold it. ``published_ns`` is the wall clock just before it went out."""
    exchange = exchange_of(request)
    instrument = instrument_called(exchange, body.instrument)
    stamp = None if body.exchange_time is None else body.exchange_time * NANOSECONDS
    published_ns = exchange.market.set_price(
        instrument.token, paise_of(body.price), exchange_ns=stamp, repeat=body.repeat
    )
    exchange.journal.append_sooner_or_later("price", {"instrument": instrument.key, "price": body.price})
    return {**_market_row(exchange, instrument), "published_ns": published_ns}


@router.get("/ledger")
async def ledger(request: Request, user_id: str | None = None, tag: str | None = None) -> dict[str, Any]:
    """What really happened: all order requests in order of arrival, and orders, trades, positions per account.

    ``over_time`` is the judge's view of every (exchange, symbol, product): how low its net position ever went and
    when, and who sold how much. It, ``requests_by_day`` and ``refusals`` are of the whole account, whatever the tag.
    """
    exchange = exchange_of(request)
    accounts = {
        account.user_id: _account_ledger(exchange, account, tag)
        for account in exchange.accounts
        if user_id in (None, account.user_id)
    }
    ids = frozenset(order["order_id"] for entry in accounts.values() for order in entry["orders"])
    return {
        "requests": exchange.requests.matching(user_id, tag, ids if tag else frozenset()),
        "accounts": accounts,
    }


def account_called(exchange: PaperExchange, user_id: str) -> Account:
    """The account of a user; 404 when there is none."""
    account = exchange.accounts.get(user_id)
    if account is None:
        raise HTTPException(404, f"no account {user_id}: GET /paper/accounts has all")
    return account


def instrument_called(exchange: PaperExchange, key: str) -> Instrument:
    """The instrument ``EXCHANGE:SYMBOL``; 404 when there is none."""
    instrument = exchange.instruments.find(key)
    if instrument is None:
        raise HTTPException(404, f"no instrument {key}: name one as GET /paper/market does, such as NSE:INFY")
    return instrument


def restore_market(exchange: PaperExchange, records: list[tuple[str, dict[str, Any]]]) -> None:
    """Apply the market settings of the ledger again; the times of scripts and recordings count from now."""
    for kind, record in records:
        if kind in ("session", "stamps"):
            continue
        instrument = instrument_called(exchange, record["instrument"])
        if kind == "price":
            exchange.market.set_price(instrument.token, paise_of(record["price"]))
        elif kind == "market":
            setting = models.NamedMarketSetting.model_validate(record)
            _apply(exchange, instrument, setting)


def _set_market(exchange: PaperExchange, instrument: Instrument, body: models.MarketSetting) -> dict[str, Any]:
    _apply(exchange, instrument, body)
    record = {"instrument": instrument.key, **body.model_dump(exclude_unset=True)}
    exchange.journal.append_sooner_or_later("market", record)
    return _market_row(exchange, instrument)


def _apply(exchange: PaperExchange, instrument: Instrument, body: models.MarketSetting) -> None:
    if "liquidity_per_tick" in body.model_fields_set:
        exchange.market.set_liquidity(instrument.token, body.liquidity_per_tick)
    _apply_rules(exchange, instrument, body)
    if body.source is None:
        return
    if isinstance(body.source, models.Hold) and body.source.price is not None:
        exchange.market.set_price(instrument.token, paise_of(body.source.price))
    exchange.market.set_source(instrument.token, body.source.kind, _source(exchange, instrument, body.source))


def _apply_rules(exchange: PaperExchange, instrument: Instrument, body: models.MarketSetting) -> None:
    rules, given = exchange.rules.of(instrument.token), body.model_fields_set
    for name in ("buyers", "sellers", "freeze_quantity", "mis_blocked", "outside_band"):
        if name in given:
            setattr(rules, name, getattr(body, name))
    if given & {"lower_circuit_limit", "upper_circuit_limit", "band_percent"}:
        rules.band = rules.band_percent = None
    if body.lower_circuit_limit is not None and body.upper_circuit_limit is not None:
        rules.band = (paise_of(body.lower_circuit_limit), paise_of(body.upper_circuit_limit))
    if body.band_percent is not None:
        close = exchange.market.tick(instrument.token).close
        rules.percent_band(body.band_percent, close, instrument.tick_paise)
    exchange.rules.refill(instrument.token, exchange.market.last_paise(instrument.token))
    exchange.market.show_depth(instrument.token)


def _source(exchange: PaperExchange, instrument: Instrument, source: models.Source) -> PriceSource:
    match source:
        case models.Hold():
            return HoldSource(silent=source.silent)
        case models.Script():
            steps = [(step.at_seconds, paise_of(step.price)) for step in source.steps]
            return StepsSource(steps, silent=source.silent)
        case models.Walk():
            last = exchange.market.last_paise(instrument.token)
            start = last if source.start is None else paise_of(source.start)
            return exchange.market.walk(instrument, start, source.seed)
        case models.Recorded():
            return StepsSource(_recorded(source))


def _recorded(source: models.Recorded) -> list[tuple[float, int]]:
    path = DATA_DIRECTORY / Path(source.file)
    try:
        return recorded_steps(read_bars(path), source.start_at, source.speed)
    except (OSError, ValueError, KeyError) as error:
        raise HTTPException(422, f"cannot play {source.file}: {error}") from error


def _credentials(account: Account) -> dict[str, Any]:
    return {
        "user_id": account.user_id,
        "api_key": account.api_key,
        "api_secret": account.api_secret,
        "access_token": account.access_token,
        "cash": rupees_of(account.cash_paise),
    }


def _market_row(exchange: PaperExchange, instrument: Instrument) -> dict[str, Any]:
    tick, rules = exchange.market.tick(instrument.token), exchange.rules.of(instrument.token)
    lower, upper = rules.band or (None, None)
    return {
        "instrument": instrument.key,
        "instrument_token": instrument.token,
        "last_price": rupees_of(tick.last),
        "exchange_ns": tick.exchange_ns,
        "source": exchange.market.source_name(instrument.token),
        "lower_circuit_limit": None if lower is None else rupees_of(lower),
        "upper_circuit_limit": None if upper is None else rupees_of(upper),
        "buyers": rules.takers(tick.last, is_buy=False),
        "sellers": rules.takers(tick.last, is_buy=True),
        "freeze_quantity": rules.freeze_quantity,
        "mis_blocked": rules.mis_blocked,
        "queue": [order.order_id for order in exchange.book.resting(instrument.token)],
    }


def _account_ledger(exchange: PaperExchange, account: Account, tag: str | None) -> dict[str, Any]:
    orders = [
        order for order in exchange.book.orders(account.user_id, hidden_too=True) if tag in (None, order.terms.tag)
    ]
    ids = {order.order_id for order in orders}
    requests = exchange.requests.of_user(account.user_id)
    trades = exchange.book.trades(account.user_id, earlier_too=True)
    return {
        "orders": [
            {**order.row(), "placed_ns": order.placed_ns, "visible_from_ns": order.visible_from_ns} for order in orders
        ],
        "trades": [{**trade.row(), **asdict(trade)} for trade in trades if trade.order_id in ids],
        "positions": net_positions(exchange, account.user_id),
        "over_time": exchange.book.positions_over_time(account.user_id),
        "requests_by_day": requests_by_day(requests),
        "refusals": refusals(requests, orders),
    }
