"""Reading and checking the form of an order request: the refusals that come with HTTP 400 and no order id."""

from __future__ import annotations

import dataclasses
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from broker.paper.base.amounts import paise_of
from broker.paper.base.errors import input_error
from broker.paper.orders.order import OrderTerms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.paper.base.instruments import Instrument, InstrumentList

VARIETIES = ("regular", "amo")
ORDER_TYPES = ("MARKET", "LIMIT", "SL", "SL-M")
PRODUCTS = ("CNC", "MIS", "NRML")
VALIDITIES = ("DAY", "IOC", "TTL")
PRICED = frozenset({"LIMIT", "SL"})
TRIGGERED = frozenset({"SL", "SL-M"})
PROTECTED = frozenset({"MARKET", "SL-M"})
TAG_LENGTH = 20

UNPROTECTED_MARKET = (
    "Market orders without market protection are not allowed via API. "
    "Please set market protection or use a Limit order."
)
UNKNOWN_INSTRUMENT = "The instrument you are placing an order for has either expired or does not exist."


def read_new_order(variety: str, form: Mapping[str, str], instruments: InstrumentList) -> OrderTerms:
    """The terms of POST /orders/{variety}; ``KiteError`` when they would not pass the broker's first checks."""
    if variety not in VARIETIES:
        raise input_error("Invalid `variety`.")
    required = ("exchange", "tradingsymbol", "transaction_type", "quantity", "product", "order_type")
    for name in required:
        if not form.get(name):
            raise input_error(f"Missing or empty field `{name}`.")
    terms = OrderTerms(
        variety=variety,
        exchange=form["exchange"],
        symbol=form["tradingsymbol"],
        transaction_type=_one_of(form["transaction_type"], "transaction_type", ("BUY", "SELL")),
        order_type=_one_of(form["order_type"], "order_type", ORDER_TYPES),
        product=_one_of(form["product"], "product", PRODUCTS),
        quantity=_whole(form, "quantity"),
        price_paise=_paise(form, "price"),
        trigger_paise=_paise(form, "trigger_price"),
        validity=_one_of(form.get("validity") or "DAY", "validity", VALIDITIES),
        validity_ttl=_whole(form, "validity_ttl"),
        disclosed_quantity=_whole(form, "disclosed_quantity"),
        market_protection=_market_protection(form),
        tag=_tag(form),
    )
    check_terms(terms, tradable(terms.key, instruments))
    return terms


def read_changes(current: OrderTerms, form: Mapping[str, str], instrument: Instrument) -> OrderTerms:
    """The terms of PUT /orders/{variety}/{order_id}: those of the order, changed where the form says so."""
    order_type = _one_of(form.get("order_type") or current.order_type, "order_type", ORDER_TYPES)
    if order_type in TRIGGERED and current.order_type not in TRIGGERED:
        raise input_error(f"An order of type {current.order_type} cannot be modified to {order_type}.")
    changed = dataclasses.replace(
        current,
        order_type=order_type,
        quantity=_whole(form, "quantity", current.quantity),
        price_paise=_paise(form, "price", current.price_paise),
        trigger_paise=_paise(form, "trigger_price", current.trigger_paise),
        validity=_one_of(form.get("validity") or current.validity, "validity", VALIDITIES),
        disclosed_quantity=_whole(form, "disclosed_quantity", current.disclosed_quantity),
        market_protection=_market_protection(form, current.market_protection),
    )
    check_terms(changed, instrument)
    return changed


def as_resting(terms: OrderTerms, *, triggered: bool) -> OrderTerms:
    """The terms that the rules look at: a stop order that was woken rests as a limit order."""
    return dataclasses.replace(terms, order_type="LIMIT") if triggered and terms.order_type in TRIGGERED else terms


def tradable(key: str, instruments: InstrumentList) -> Instrument:
    """The instrument to trade; indices exist in the list but cannot be ordered."""
    instrument = instruments.find(key)
    if instrument is None or instrument.is_index:
        raise input_error(UNKNOWN_INSTRUMENT)
    return instrument


def check_terms(terms: OrderTerms, instrument: Instrument) -> None:
    """The rules that need the instrument: lots, products, ticks, and market protection."""
    if terms.quantity <= 0:
        raise input_error("Invalid `quantity`. Quantity should be greater than 0.")
    if terms.quantity % instrument.lot_size:
        raise input_error(f"Invalid `quantity`. Quantity should be in multiples of {instrument.lot_size}.")
    _check_product(terms, instrument)
    if terms.order_type in PROTECTED and not terms.market_protection:
        raise input_error(UNPROTECTED_MARKET)
    if terms.order_type in PRICED:
        _check_price(terms.price_paise, "price", instrument)
    if terms.order_type in TRIGGERED:
        _check_price(terms.trigger_paise, "trigger_price", instrument)


def _check_product(terms: OrderTerms, instrument: Instrument) -> None:
    wrong = "CNC" if instrument.is_derivative else "NRML"
    if terms.product == wrong:
        raise input_error(f"Invalid `product`. {wrong} is not allowed on {instrument.exchange}.")
    if terms.product == "MIS" and not instrument.takes_intraday:
        raise input_error(
            f"MIS orders are blocked for {instrument.symbol} as it is in the trade to trade segment or another one "
            "without intraday trading."
        )


def _check_price(paise: int, name: str, instrument: Instrument) -> None:
    if paise <= 0:
        raise input_error(f"Missing or empty field `{name}`.")
    if paise % instrument.tick_paise:
        tick = f"{instrument.tick_paise / 100:.2f}"
        raise input_error(
            f"Tick size for this script is {tick}. Kindly enter price in the multiple of tick size for this script."
        )


def _one_of(value: str, name: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise input_error(f"Invalid `{name}`.")
    return value


def _whole(form: Mapping[str, str], name: str, default: int = 0) -> int:
    text = form.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise input_error(f"Invalid `{name}`.")
    return int(text)


def _paise(form: Mapping[str, str], name: str, default: int = 0) -> int:
    text = form.get(name)
    if not text:
        return default
    try:
        rupees = Decimal(text)
        paise = paise_of(rupees)
    except (InvalidOperation, ValueError):
        raise input_error(f"Invalid `{name}`.") from None
    if paise < 0:
        raise input_error(f"Invalid `{name}`.")
    if rupees * 100 != paise:
        # A tenth of a paisa is no multiple of any tick; rounding it would hide the client's fault.
        raise input_error("Tick size for this script is not met by the given price.")
    return paise


def _market_protection(form: Mapping[str, str], default: float = 0) -> float:
    text = form.get("market_protection")
    if text is None or not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise input_error(
            f"Invalid request (failed to decode market_protection, got: {text} (expected decimal))"
        ) from None
    if value != -1 and not 0 <= value <= 100:
        raise input_error("Invalid `market_protection`. It should be -1 or between 0 and 100.")
    return value


def _tag(form: Mapping[str, str]) -> str | None:
    tag = form.get("tag") or None
    if tag and len(tag) > TAG_LENGTH:
        raise input_error(f"Invalid `tag`. It should be max {TAG_LENGTH} characters.")
    if tag and not (tag.isascii() and tag.isalnum()):
        raise input_error("Invalid `tag`. It should be alphanumeric.")
    return tag
