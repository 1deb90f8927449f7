"""What people see of one symbol's prices (row F4): often enough for a screen, not at every tick."""

from collections.abc import Callable
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

    def __init__(self, mirror: PriceMirror, symbol: str, status: Callable[[], FeedStatus]) -> None:
        """`status` tells how prices arrive; it is asked only when something is shown."""
        self._mirror, self._symbol, self._status = mirror, symbol, status
        self._priced_at: datetime | None = None
        self._waiting: Tick | None = None
        self._low = self._high = self._minute = 0
        """Of what waits; `_minute` is the exchange's, since the epoch."""
        self._feed: tuple[bool, datetime | None] | None = None

    def on_tick(self, tick: Tick) -> None:
        """Show a price, unless one has just been shown."""
        minute = int(tick.exchange_time.timestamp()) // 60
        if self._waiting is None:
            self._low, self._high = tick.low, tick.high
        elif minute != self._minute:
            self._show(tick.received_at)
            self._low, self._high = tick.low, tick.high
        else:
            self._low, self._high = min(self._low, tick.low), max(self._high, tick.high)
        self._waiting, self._minute = tick, minute
        # A price that follows that of another minute waits: of two calls at once the older may arrive last.
        if self._priced_at is None or tick.received_at - self._priced_at >= MIRROR_INTERVAL:
            self._show(tick.received_at)

    def on_feed(self) -> None:
        """Show how prices arrive, if that has changed, and a price that waits: it may be the last for long."""
        if self._waiting is not None:
            self._show(self._waiting.received_at)
        status = self._status()
        if (feed := (status.live, status.late_since)) != self._feed:
            self._feed = feed
            self._mirror.show_feed(self._symbol, status)

    def _show(self, now: datetime) -> None:
        """Show the price that waits."""
        tick, self._waiting, self._priced_at = self._waiting, None, now
        if tick is not None:
            shown = replace(tick, low=self._low, high=self._high)
            self._mirror.show_price(self._symbol, shown, self._status())
