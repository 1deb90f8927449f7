"""What orders would need, asked before they are placed: `POST /margins/orders` (kite.md §1.10)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from broker.paper.base.amounts import rupees_of
from broker.paper.base.envelope import success
from broker.paper.base.errors import input_error
from broker.paper.kite_api.access import account_of, exchange_of
from broker.paper.orders.order_form import read_new_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.paper.accounts.accounts import Account
    from broker.paper.exchange import PaperExchange
    from broker.paper.orders.order import OrderTerms

router = APIRouter(include_in_schema=False)

MOST_ORDERS = 200
"""How many orders one request may name. Kite documents no number."""


@router.post("/margins/orders")
async def order_margins(request: Request) -> Response:
    """The margin of each order of a JSON list, each by itself, given the positions that there are."""
    account, exchange = account_of(request), exchange_of(request)
    try:
        orders = json.loads(await request.body())
    except ValueError:
        raise input_error("Invalid JSON.") from None
    if not isinstance(orders, list) or not orders or not all(isinstance(order, dict) for order in orders):
        raise input_error("Invalid request. A list of orders is expected.")
    if len(orders) > MOST_ORDERS:
        raise input_error(f"Invalid request. At most {MOST_ORDERS} orders are allowed.")
    return success([_margin(account, exchange, _terms(order, exchange)) for order in orders])


def _terms(order: Mapping[str, Any], exchange: PaperExchange) -> OrderTerms:
    # Nothing is placed, so a MARKET order needs no protection here.
    form = {name: str(value) for name, value in order.items() if value is not None} | {"market_protection": "-1"}
    return read_new_order(form.get("variety", ""), form, exchange.instruments)


def _margin(account: Account, exchange: PaperExchange, terms: OrderTerms) -> dict[str, Any]:
    total = rupees_of(exchange.book.margin_of(account, terms))
    parts = dict.fromkeys(("span", "exposure", "option_premium", "additional", "bo", "cash", "var"), 0)
    percent = exchange.config.intraday_margin_percent
    return {
        "type": "equity",
        "tradingsymbol": terms.symbol,
        "exchange": terms.exchange,
        **parts,
        "var": total,
        "pnl": {"realised": 0, "unrealised": 0},
        "leverage": 1 if terms.product == "CNC" else round(100 / percent, 2),
        "charges": _no_charges(),
        "total": total,
    }


def _no_charges() -> dict[str, Any]:
    """This exchange takes none."""
    parts = ("transaction_tax", "exchange_turnover_charge", "sebi_turnover_charge", "brokerage", "stamp_duty")
    gst = dict.fromkeys(("igst", "cgst", "sgst", "total"), 0)
    return dict.fromkeys(parts, 0) | {"transaction_tax_type": "stt", "gst": gst, "total": 0}
