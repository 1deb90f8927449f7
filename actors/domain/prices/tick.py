"""One price of one instrument, as it travels from the feed to the guards."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from actors.domain.money import Paise


@dataclass(frozen=True, slots=True)
class Tick:
    """One price of one instrument: that of its last trade, which the exchange has stamped with `exchange_time`.

    `low` and `high` are the extremes of what arrived since `extremes_since`, by our clock, so that a conflated tick
    loses no touch of the stop; the oldest trade among them is of `extremes_from`, by the exchange's clock. Prices in
    paise, times timezone-aware.
    """

    token: int
    price: Paise
    low: Paise
    high: Paise
    exchange_time: datetime
    received_at: datetime
    extremes_since: datetime
    extremes_from: datetime

    @classmethod
    def single(cls, token: int, price: Paise, exchange_time: datetime, received_at: datetime) -> Self:
        """A tick as the broker sent it, before any conflation."""
        return cls(token, price, price, price, exchange_time, received_at, received_at, exchange_time)
