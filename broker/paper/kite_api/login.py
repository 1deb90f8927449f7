"""Session token, profile and margins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from broker.paper.base.amounts import rupees_of
from broker.paper.base.clock import ist_text
from broker.paper.base.envelope import success
from broker.paper.base.errors import input_error
from broker.paper.kite_api.access import account_of, check_version, exchange_of, form_of

if TYPE_CHECKING:
    from broker.paper.accounts.accounts import Account
    from broker.paper.exchange import PaperExchange

router = APIRouter(include_in_schema=False)


@router.post("/session/token")
async def open_session(request: Request) -> Response:
    """Exchange a request token for an access token."""
    check_version(request)
    exchange, form = exchange_of(request), await form_of(request)
    for name in ("api_key", "request_token", "checksum"):
        if not form.get(name):
            raise input_error(f"Missing or empty field `{name}`.")
    account = exchange.accounts.open_session(form["api_key"], form["request_token"], form["checksum"])
    return success(_session(account, exchange))


@router.delete("/session/token")
async def close_session(request: Request) -> Response:
    """Log out."""
    check_version(request)
    exchange, query = exchange_of(request), request.query_params
    account = exchange.accounts.close_session(query.get("api_key", ""), query.get("access_token", ""))
    exchange.hub.hang_up(account.user_id)
    return success(True)


@router.get("/user/profile")
async def profile(request: Request) -> Response:
    """The user that the token belongs to."""
    return success({**_user(account_of(request)), "meta": {"demat_consent": "physical"}})


@router.get("/user/margins")
async def margins(request: Request) -> Response:
    """Money of both segments."""
    account, exchange = account_of(request), exchange_of(request)
    return success({"equity": _margins(account, exchange), "commodity": _no_margins()})


@router.get("/user/margins/{segment}")
async def segment_margins(request: Request, segment: str) -> Response:
    """Money of one segment."""
    account, exchange = account_of(request), exchange_of(request)
    if segment not in ("equity", "commodity"):
        raise input_error("Invalid `segment`.")
    return success(_margins(account, exchange) if segment == "equity" else _no_margins())


def _user(account: Account) -> dict[str, Any]:
    return {
        "user_id": account.user_id,
        "user_type": "individual",
        "email": f"{account.user_id.lower()}@paper.invalid",
        "user_name": f"Paper {account.user_id}",
        "user_shortname": "Paper",
        "broker": "ZERODHA",
        "exchanges": ["NSE", "NFO"],
        "products": ["CNC", "NRML", "MIS"],
        "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
        "avatar_url": None,
    }


def _session(account: Account, exchange: PaperExchange) -> dict[str, Any]:
    return {
        **_user(account),
        "api_key": account.api_key,
        "access_token": account.access_token,
        "public_token": f"public-{account.user_id}",
        "enctoken": "",
        "refresh_token": "",
        "silo": "",
        # The client reads login_time without a check.
        "login_time": ist_text(exchange.clock.now_ns()),
        "meta": {"demat_consent": "physical"},
    }


def _margins(account: Account, exchange: PaperExchange) -> dict[str, Any]:
    net = exchange.book.available_margin(account)
    portfolio = exchange.book.portfolio(account.user_id)
    cash = account.cash_paise + portfolio.settled
    used = cash - net
    row = _no_margins()
    row |= {"enabled": True, "net": rupees_of(net)}
    row["available"] |= {
        "cash": rupees_of(cash),
        "opening_balance": rupees_of(cash),
        "live_balance": rupees_of(net),
    }
    row["utilised"] |= {"debits": rupees_of(used), "exposure": rupees_of(used)}
    return row


def _no_margins() -> dict[str, Any]:
    available = (
        "adhoc_margin",
        "cash",
        "opening_balance",
        "live_balance",
        "collateral",
        "intraday_payin",
    )
    utilised = (
        "debits",
        "exposure",
        "m2m_realised",
        "m2m_unrealised",
        "option_premium",
        "payout",
        "span",
        "holding_sales",
        "turnover",
        "liquid_collateral",
        "stock_collateral",
        "delivery",
    )
    return {
        "enabled": False,
        "net": 0,
        "available": dict.fromkeys(available, 0),
        "utilised": dict.fromkeys(utilised, 0),
    }
