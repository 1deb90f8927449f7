"""The stop-loss check, which prices count for it, and the hygiene of the ticks that may trigger it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from actors.domain.money import Paise

AHEAD = timedelta(seconds=2)
"""A stamp that is further ahead of our clock, and of what its connection sends, is wrong."""

LARGEST_OFFSET = timedelta(minutes=30)
"""While nothing is known of a connection, its stamps are believed if our clock is off by no more than this."""

_NONE = timedelta(0)


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


def watch_start(filled_at: datetime | None, now: datetime) -> datetime:
    """The instant from which trades count for the stop-loss of a position: its first fill, by the exchange's clock.

    `filled_at` is the broker's stamp of the fill. Without one, our clock must do. Kite stamps trades and fills with
    whole seconds, so the whole second of the fill counts. A trade of that second from before the fill would have been
    made within the same second as the BUY and at or below its stop-loss: a BUY that rested in the book would have had
    that trade itself, since it bids more. To leave the second out would lose the trade after the fill, and in a share
    that trades once in ten minutes that is ten minutes without a guard.
    """
    return (filled_at or now).replace(microsecond=0)


def move_start(watched_since: datetime, now: datetime, lag: timedelta) -> datetime:
    """The same for a stop-loss that is moved at `now`, with the stream `lag` behind our clock.

    Neither a feed that is late nor a clock of ours that is ahead may keep the new level from being watched, so the
    instant is where the stream was at that moment.
    """
    return max(watched_since, (now - lag).replace(microsecond=0))


def is_breached(stop_loss: Paise, tick: Tick, watched_since: datetime, level_set_at: datetime | None = None) -> bool:
    """Row F1: a trade stamped at or after `watched_since` was at or below the stop-loss, however late it is heard.

    What was stamped before never counts: not even as the price that Kite repeats at each subscribe (forum c/34446), or
    that a quote shows. A low counts if all that it may stem from does, and if it arrived after the trader moved the
    level (`level_set_at`, our clock). `watched_since` is of the exchange's clock (`watch_start`, `move_start`).
    """
    if tick.exchange_time < watched_since:
        return False
    if tick.price <= stop_loss:
        return True
    if tick.low > stop_loss or tick.extremes_from < watched_since:
        return False
    return level_set_at is None or tick.extremes_since >= level_set_at


class TickFilter:
    """Drops what must not reach a decision: prices of zero or less, what is older than the newest, impossible stamps.

    Ticks of the same exchange second pass, in the order of arrival: Kite stamps whole seconds. What is possible, our
    clock and the stamps of the whole connection say together: a stamp must be ahead of both to be refused, so that
    neither an offset of our clock nor a feed that catches up loses a tick.
    """

    def __init__(self) -> None:
        self._newest: dict[int, datetime] = {}
        self.dropped = 0

    def accepts(
        self, token: int, price: Paise, stamped_at: datetime, received_at: datetime, lag: timedelta | None = None
    ) -> bool:
        """Whether the tick is usable; counts it in `dropped` if not. `lag` is that of its connection, if it is known.

        A newest stamp that was taken before anything was known of the connection, and that turns out to be impossible,
        makes nothing look old.
        """
        possible = received_at + AHEAD if lag is None else received_at + AHEAD - min(lag, _NONE)
        newest = self._newest.get(token)
        older = newest is not None and stamped_at < newest <= possible
        if price <= 0 or older or stamped_at > (received_at + LARGEST_OFFSET if lag is None else possible):
            self.dropped += 1
            return False
        self._newest[token] = stamped_at
        return True
