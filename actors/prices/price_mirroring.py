"""What people see of one symbol's prices (row F4): often enough for a screen, not at every tick."""

from datetime import datetime, timedelta

from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus, PriceMirror

MIRROR_INTERVAL = timedelta(milliseconds=250)
"""The mirror is for people: it need not see every tick."""


class PriceMirroring:
    """Shows one symbol's price a few times a second, and its feed whenever that changes."""

    def __init__(self, mirror: PriceMirror, symbol: str) -> None:
        self._mirror, self._symbol = mirror, symbol
        self._priced_at: datetime | None = None
        self._feed: tuple[bool, datetime | None] | None = None

    def on_tick(self, tick: Tick, status: FeedStatus) -> None:
        """Show a price, unless one has just been shown."""
        if self._priced_at is None or tick.received_at - self._priced_at >= MIRROR_INTERVAL:
            self._priced_at = tick.received_at
            self._mirror.show_price(self._symbol, tick, status)

    def on_feed(self, status: FeedStatus) -> None:
        """Show how prices arrive, if that has changed."""
        if (feed := (status.live, status.late_since)) != self._feed:
            self._feed = feed
            self._mirror.show_feed(self._symbol, status)
