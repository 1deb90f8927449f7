"""Reading Kite requests: credentials, version header and forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl

from broker.paper.accounts.accounts import credentials_of
from broker.paper.base.errors import input_error, missing_credentials, unregistered_ip

if TYPE_CHECKING:
    from fastapi import Request

    from broker.paper.accounts.accounts import Account
    from broker.paper.exchange import PaperExchange

KITE_VERSION = "3"


def exchange_of(request: Request) -> PaperExchange:
    """The exchange that serves this request."""
    return cast("PaperExchange", request.app.state.exchange)


def check_version(request: Request) -> None:
    """Refuse a request without ``X-Kite-Version: 3``."""
    if request.headers.get("x-kite-version") != KITE_VERSION:
        raise input_error("Invalid or missing `X-Kite-Version` header.")


def account_of(request: Request) -> Account:
    """The account whose valid credentials the request carries."""
    check_version(request)
    pair = credentials_of(request.headers.get("authorization"))
    if pair is None:
        raise missing_credentials()
    return exchange_of(request).accounts.authenticate(*pair)


def ordering_account_of(request: Request) -> Account:
    """The same for an order request: it counts against the account's caps and must come from a registered address."""
    exchange = exchange_of(request)
    account = account_of(request)
    refused = exchange.caps(account.user_id).admit(exchange.clock.now_ns())
    if refused is not None:
        raise refused
    ip = request.client.host if request.client else ""
    if account.ips and ip not in account.ips:
        raise unregistered_ip(ip, account.ip_refusal_status)
    return account


async def form_of(request: Request) -> dict[str, str]:
    """A form body as text fields; the last of repeated names wins."""
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
