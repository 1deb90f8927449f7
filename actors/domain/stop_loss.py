"""The stop-loss check and the hygiene of the ticks that may trigger it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from actors.domain.money import Paise

FRESH_FOR = timedelta(seconds=5)
"""A tick whose exchange time is older never triggers: Kite replays the last tick at each subscribe (forum c/34446)."""

CLOCK_SKEW = timedelta(seconds=2)
"""A tick stamped further ahead of our clock is wrong, and would make every later one look old."""

SILENCE_LIMIT = timedelta(seconds=5)
"""Kite sends a heartbeat every second or two; a stream that is silent for longer is dead (design §2)."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One price of one instrument.

    `low` and `high` are the extremes since `extremes_since`, so that a conflated tick loses no touch of the stop.
    Prices in paise, times timezone-aware.
    """

    token: int
    price: Paise
    low: Paise
    high: Paise
    exchange_time: datetime
    received_at: datetime
    extremes_since: datetime

    @classmethod
    def single(cls, token: int, price: Paise, exchange_time: datetime, received_at: datetime) -> Self:
        """A tick as the broker sent it, before any conflation."""
        return cls(token, price, price, price, exchange_time, received_at, received_at)


def is_breached(stop_loss: Paise, tick: Tick, watched_since: datetime) -> bool:
    """Row F1: the price is at or below the stop-loss, or was at some time since it has been watched."""
    seen = min(tick.price, tick.low) if tick.extremes_since >= watched_since else tick.price
    return seen <= stop_loss


def is_fresh(exchange_time: datetime, now: datetime, fresh_for: timedelta = FRESH_FOR) -> bool:
    """Whether a tick of this exchange time may trigger a decision: neither old nor from the future."""
    return -CLOCK_SKEW <= now - exchange_time <= fresh_for


class TickFilter:
    """Drops what must not reach a decision: prices of zero or less, times of the future, ticks older than the newest.

    Ticks of the same exchange second pass, in the order of arrival: Kite stamps whole seconds.
    """

    def __init__(self) -> None:
        self._newest: dict[int, datetime] = {}
        self.dropped = 0

    def accepts(self, token: int, price: Paise, exchange_time: datetime, received_at: datetime) -> bool:
        """Whether the tick is usable; counts it in `dropped` if not."""
        newest = self._newest.get(token)
        older = newest is not None and exchange_time < newest
        if price <= 0 or older or exchange_time > received_at + CLOCK_SKEW:
            self.dropped += 1
            return False
        self._newest[token] = exchange_time
        return True
