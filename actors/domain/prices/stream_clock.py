"""How far the stamps of a tick stream are behind our clock, and whether that is too much.

The lag of a stamp is the instant at which it arrived, by our clock, less the stamp. It holds the lateness of the feed
and the offset of our clock, which cannot be told apart from here: both are worth knowing, and neither decides about a
stop-loss (`stop_loss.watch_start`).
"""

from datetime import datetime, timedelta

from actors.domain.prices.tick_filter import AHEAD

PERIOD = timedelta(seconds=5)
"""The lag is the least of this period and of the last one with a stamp: one late packet is no late feed."""

KNOWN_FOR = timedelta(seconds=60)
"""Without a new stamp for this long, at night for example, nothing is known of the lag."""

_BACK = 0.8
"""A feed that was late is so until its lag is below this part of the limit, so that one lag is one message."""

_AGREE = 2
"""How many impossible stamps in a row must agree with the first to prove that our clock was set back."""


class StreamClock:
    """The clock of one connection. The first stamp of an instrument after a (re)connect measures nothing: it is old."""

    def __init__(self, limit: timedelta) -> None:
        """`limit`: a lag above it is too much."""
        self._limit = limit
        self._seen: dict[int, datetime] = {}
        self._begun: datetime | None = None
        self._measured_at: datetime | None = None
        self._least: timedelta | None = None
        self._least_before: timedelta | None = None
        self._odd: tuple[timedelta, int] | None = None
        self.newest: datetime | None = None
        """The newest stamp that is possible."""
        self.late_since: datetime | None = None

    def reconnected(self) -> None:
        """What comes next is what the broker remembers."""
        self._seen.clear()

    def forget(self, token: int) -> None:
        """The instrument is no longer followed, or asked for again."""
        self._seen.pop(token, None)

    def note(self, token: int, stamped_at: datetime, received_at: datetime) -> timedelta | None:
        """Take in one stamp; the lag of the connection that it is to be judged by, or None if that is not known."""
        sample, known = received_at - stamped_at, self._known()
        if known is not None and sample < known - AHEAD and sample < -AHEAD:
            if not self._rebased(sample):
                return known
        else:
            self._odd = None
        before, self._seen[token] = self._seen.get(token), stamped_at
        if self.newest is None or stamped_at > self.newest:
            self.newest = stamped_at
        if before is not None and stamped_at > before:
            self._measure(sample, received_at)
        return self._known()

    def lag(self, now: datetime) -> timedelta | None:
        """The lag of the last seconds; None: no stamp has come for a while, or none that measures anything."""
        known = self._measured_at is not None and now - self._measured_at <= KNOWN_FOR
        return self._known() if known else None

    def judge(self, now: datetime) -> bool:
        """Whether the feed has become late, or is no longer late; `late_since` shows which."""
        lag = self.lag(now)
        late = lag is not None and lag > self._limit * (1.0 if self.late_since is None else _BACK)
        if late is (self.late_since is not None):
            return False
        self.late_since = now if late else None
        return True

    def _known(self) -> timedelta | None:
        if self._least is None or self._least_before is None:
            return self._least
        return min(self._least, self._least_before)

    def _measure(self, sample: timedelta, at: datetime) -> None:
        self._measured_at = at
        begun = self._begun
        if begun is None or not timedelta(0) <= at - begun < PERIOD:
            recent = begun is not None and timedelta(0) <= at - begun < KNOWN_FOR
            self._begun, self._least_before, self._least = at, self._least if recent else None, sample
        elif self._least is None or sample < self._least:
            self._least = sample

    def _rebased(self, sample: timedelta) -> bool:
        """Whether stamps that our clock and the connection held for impossible have agreed long enough."""
        first, times = self._odd or (sample, 0)
        if abs(sample - first) > AHEAD:
            first, times = sample, 0
        self._odd = first, times + 1
        if times < _AGREE:
            return False
        self._odd = self._begun = self._least = self._least_before = self.newest = None
        self._seen.clear()
        return True
