"""What a round trip in shares costs at Zerodha beside the price: an estimate, for the trader to see before.

Source of all rates: kite.md §8.1. The contract note has the last word: it rounds some of them to the rupee.
"""

from dataclasses import dataclass
from decimal import Decimal

from actors.domain.identifiers import Product
from actors.domain.money import round_rupees

_CRORE = Decimal(10_000_000)
_PERCENT = Decimal(100)

_MOST_BROKERAGE = Decimal(20)
"""Rupees of brokerage that one executed order costs at most."""

_EXCHANGE = {"NSE": Decimal("0.00307") / _PERCENT, "BSE": Decimal("0.00375") / _PERCENT}
_SEBI = 10 / _CRORE
_GST = Decimal(18) / _PERCENT


@dataclass(frozen=True, slots=True)
class _Rates:
    """Parts of the worth of an order: brokerage of each, transaction tax (STT) of each side, stamp duty of the BUY."""

    brokerage: Decimal
    tax_on_buy: Decimal
    tax_on_sell: Decimal
    stamp: Decimal


_RATES = {
    Product.MIS: _Rates(
        brokerage=Decimal("0.03") / _PERCENT,
        tax_on_buy=Decimal(0),
        tax_on_sell=Decimal("0.025") / _PERCENT,
        stamp=Decimal("0.003") / _PERCENT,
    ),
    Product.CNC: _Rates(
        brokerage=Decimal(0),
        tax_on_buy=Decimal("0.1") / _PERCENT,
        tax_on_sell=Decimal("0.1") / _PERCENT,
        stamp=Decimal("0.015") / _PERCENT,
    ),
}


@dataclass(frozen=True, slots=True)
class Charges:
    """Rupees, each rounded to the paisa. `total` is their sum."""

    brokerage: Decimal
    transaction_tax: Decimal
    exchange: Decimal
    sebi: Decimal
    stamp_duty: Decimal
    gst: Decimal

    @property
    def total(self) -> Decimal:
        """All of them."""
        return self.brokerage + self.transaction_tax + self.exchange + self.sebi + self.stamp_duty + self.gst


def round_trip_charges(exchange: str, product: Product, quantity: int, bought: Decimal, sold: Decimal) -> Charges:
    """Of one order that buys and one that sells `quantity` shares on NSE or BSE, at these prices in rupees.

    A price of 0 costs nothing. Raises KeyError for another exchange.
    """
    rates, buy, sell = _RATES[product], quantity * bought, quantity * sold
    turnover = buy + sell
    brokerage = sum((min(worth * rates.brokerage, _MOST_BROKERAGE) for worth in (buy, sell)), Decimal(0))
    at_exchange, sebi = turnover * _EXCHANGE[exchange], turnover * _SEBI
    return Charges(
        brokerage=round_rupees(brokerage),
        transaction_tax=round_rupees(buy * rates.tax_on_buy + sell * rates.tax_on_sell),
        exchange=round_rupees(at_exchange),
        sebi=round_rupees(sebi),
        stamp_duty=round_rupees(buy * rates.stamp),
        gst=round_rupees((brokerage + at_exchange + sebi) * _GST),
    )
