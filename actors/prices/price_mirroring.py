"""What people see of one symbol's prices (row F4): often enough for a screen, not at every tick."""

from dataclasses import replace
from datetime import datetime, timedelta

from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus, PriceMirror

MIRROR_INTERVAL = timedelta(milliseconds=250)
"""The mirror is for people: it need not see every tick."""


class PriceMirroring:
    """Shows one symbol's price a few times a second, and its feed whenever that changes.

    A tick that is shown has the extremes of all since the last one that was, and those of one minute of the exchange
    only: the bars that are made of what is shown have the day's true highs and lows.
    """

    def __init__(self, mirror: PriceMirror, symbol: str) -> None:
        self._mirror, self._symbol = mirror, symbol
        self._priced_at: datetime | None = None
        self._waiting: Tick | None = None
        self._feed: tuple[bool, datetime | None] | None = None

    def on_tick(self, tick: Tick, status: FeedStatus) -> None:
        """Show a price, unless one has just been shown."""
        waiting = self._waiting
        if waiting is not None and _minute(waiting) != _minute(tick):
            self._show(waiting, tick.received_at, status)
            self._waiting = tick  # not at once as well: of two calls at once the older may arrive last
            return
        if waiting is not None:
            tick = replace(tick, low=min(waiting.low, tick.low), high=max(waiting.high, tick.high))
        if self._priced_at is None or tick.received_at - self._priced_at >= MIRROR_INTERVAL:
            self._show(tick, tick.received_at, status)
        else:
            self._waiting = tick

    def on_feed(self, status: FeedStatus) -> None:
        """Show how prices arrive, if that has changed, and a price that waits: it may be the last for long."""
        if self._waiting is not None:
            self._show(self._waiting, self._waiting.received_at, status)
        if (feed := (status.live, status.late_since)) != self._feed:
            self._feed = feed
            self._mirror.show_feed(self._symbol, status)

    def _show(self, tick: Tick, now: datetime, status: FeedStatus) -> None:
        self._priced_at, self._waiting = now, None
        self._mirror.show_price(self._symbol, tick, status)


def _minute(tick: Tick) -> int:
    return int(tick.exchange_time.timestamp()) // 60
