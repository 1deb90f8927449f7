"""Matching rules, pure: an order and a price in, a decision out.

The paper exchange has one price per instrument and, optionally, a quantity that can trade at it before the next
tick. A resting order fills at the market's price, never at its own worse limit.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.paper.base.instruments import Instrument
    from broker.paper.orders.order import Order, OrderTerms

AUTOMATIC = -1
# Zerodha's support table of the automatic band for shares and futures: price below (paise) -> percent.
AUTOMATIC_BANDS = ((100_00, Decimal("2.0")), (500_00, Decimal("1.0")))
AUTOMATIC_BAND_ABOVE = Decimal("0.5")


def protection_percent(market_protection: float, last_paise: int) -> Decimal:
    """The band in percent that a ``market_protection`` value stands for at this price."""
    if market_protection != AUTOMATIC:
        return Decimal(str(market_protection))
    for below, percent in AUTOMATIC_BANDS:
        if last_paise < below:
            return percent
    return AUTOMATIC_BAND_ABOVE


def protection_price(*, is_buy: bool, last_paise: int, percent: Decimal, tick_paise: int) -> int:
    """The limit price a protected market order becomes: the edge of the band, rounded to a tick inside it."""
    offset = Decimal(last_paise) * percent / 100
    if is_buy:
        edge = math.floor(last_paise + offset)
        return max(edge - edge % tick_paise, tick_paise)
    edge = math.ceil(last_paise - offset)
    return max(edge + -edge % tick_paise, tick_paise)


def as_limit(terms: OrderTerms, instrument: Instrument, last_paise: int) -> tuple[int, list[str]]:
    """Price and system tags of the LIMIT order that a protected MARKET or SL-M order turns into.

    Since April 2026 the book shows such orders as LIMIT with ``market_protection`` 0 and the tags ``mktp`` and
    ``mktp:<percent>``.
    """
    percent = protection_percent(terms.market_protection, last_paise)
    price = protection_price(
        is_buy=terms.is_buy, last_paise=last_paise, percent=percent, tick_paise=instrument.tick_paise
    )
    return price, ["mktp", f"mktp:{percent:.2f}"]


def is_triggered(terms: OrderTerms, last_paise: int) -> bool:
    """Whether a stop order wakes at this price: a buy on the way up, a sell on the way down."""
    if last_paise <= 0:
        return False
    return last_paise >= terms.trigger_paise if terms.is_buy else last_paise <= terms.trigger_paise


def is_marketable(terms: OrderTerms, last_paise: int) -> bool:
    """Whether the limit allows a trade at this price. A price of 0 or less is a bad print and never trades."""
    if last_paise <= 0:
        return False
    return last_paise <= terms.price_paise if terms.is_buy else last_paise >= terms.price_paise


def fill_quantity(order: Order, last_paise: int, liquidity: int | None, now_ns: int) -> int:
    """Shares of a resting OPEN order that trade now; 0 when it has to wait. ``liquidity=None`` is no limit."""
    if now_ns < order.fill_not_before_ns or not is_marketable(order.terms, last_paise):
        return 0
    quantity = order.remaining
    if liquidity is not None:
        quantity = min(quantity, liquidity)
    if order.fill_cap is not None:
        quantity = min(quantity, order.fill_cap)
    return max(quantity, 0)
