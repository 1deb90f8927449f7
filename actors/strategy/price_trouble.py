"""What is wrong with the prices that guard a position: their stream is dead or late, or the share is not listed."""

from collections.abc import Callable
from datetime import datetime, timedelta

from actors.domain.strategy.events import FeedLost
from actors.domain.strategy.spec import StrategyRun
from actors.ports.prices import FeedStatus, StreamFault
from actors.prices.stream_judge import StreamJudge


class PriceTrouble:
    """Judges what a router says of its stream. `watched_since` tells from when trades count (`StrategyState`)."""

    def __init__(self, run: StrategyRun, watched_since: Callable[[], datetime | None]) -> None:
        self._run, self._watched_since = run, watched_since
        self._judge = StreamJudge()
        self.feed_lag = timedelta(0)
        """How far the stream was last known to be behind our clock."""

    def found(self, status: FeedStatus, now: float) -> FeedLost | None:
        """What is wrong with the stream, if anything is. `now` is of the loop's clock."""
        self.feed_lag = self.feed_lag if status.lag is None else status.lag
        watched = self._watched_since()
        match self._judge.fault(status, watched, now):
            case None:
                return None
            case StreamFault.UNLISTED:
                return FeedLost(f"the broker does not list {self._run.instrument.symbol} today", unlisted=True)
            case StreamFault.DEAD:
                return FeedLost("its connection is dead")
            case StreamFault.LATE:
                lag = f"{self.feed_lag.total_seconds():.1f} s behind our clock"
                return FeedLost(f"{lag} since {self._clock_time(status.late_since)}", late=True)
            case StreamFault.BEHIND:
                return FeedLost(f"nothing stamped at or after {self._clock_time(watched)} has come", late=True)

    def _clock_time(self, instant: datetime | None) -> str:
        return f"{instant.astimezone(self._run.buy_at.tzinfo):%H:%M:%S}" if instant is not None else "then"
