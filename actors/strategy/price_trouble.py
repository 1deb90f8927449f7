"""What is wrong with the prices that guard a position: their stream is dead or late, or the share is not listed."""

from collections.abc import Callable
from datetime import datetime, timedelta

from actors.domain.strategy.events import FeedLost
from actors.domain.strategy.spec import StrategyRun
from actors.ports.prices import FeedStatus

UNHEARD_S = 8.0
"""A stream that has not reached the BUY for this long says nothing that counts for the stop-loss. A dead one is known
to be dead sooner."""


class PriceTrouble:
    """Judges what a router says of its stream. `watched_since` tells from when trades count (`StrategyState`)."""

    def __init__(self, run: StrategyRun, watched_since: Callable[[], datetime | None]) -> None:
        self._run, self._watched_since = run, watched_since
        self._behind_since: float | None = None
        self.feed_lag = timedelta(0)
        """How far the stream was last known to be behind our clock."""

    def found(self, status: FeedStatus, now: float) -> FeedLost | None:
        """What is wrong with the stream, if anything is. `now` is of the loop's clock."""
        self.feed_lag = self.feed_lag if status.lag is None else status.lag
        symbol, zone = self._run.instrument.symbol, self._run.buy_at.tzinfo
        if not status.listed:
            return FeedLost(f"the broker does not list {symbol} today", unlisted=True)
        if not status.live:
            return FeedLost("its connection is dead")
        if status.late_since is not None:
            since = f"since {status.late_since.astimezone(zone):%H:%M:%S}"
            return FeedLost(f"{self.feed_lag.total_seconds():.1f} s behind our clock {since}", late=True)
        watched = self._watched_since()
        if watched is None or status.stream_at is None or status.stream_at >= watched:
            self._behind_since = None
            return None
        self._behind_since = now if self._behind_since is None else self._behind_since
        if now - self._behind_since <= UNHEARD_S:
            return None
        return FeedLost(f"nothing stamped at or after {watched.astimezone(zone):%H:%M:%S} has come", late=True)
