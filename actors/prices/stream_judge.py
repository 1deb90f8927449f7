"""Whether the prices of a stream guard a position: both guards judge it the same way (rows J2, M4)."""

from datetime import datetime

from actors.ports.prices import FeedStatus, StreamFault

UNHEARD_S = 8.0
"""A stream that has not reached the BUY for this long says nothing that counts for the stop-loss. A dead one is known
to be dead sooner."""


class StreamJudge:
    """Judges the stream of one position, time and again."""

    def __init__(self) -> None:
        self._behind_since: float | None = None

    def fault(self, status: FeedStatus, watched_since: datetime | None, now: float) -> StreamFault | None:
        """What is wrong with it, if anything is. `now` is of the monotonic clock; trades count from `watched_since`."""
        fault = status.fault(watched_since)
        if fault is None:
            self._behind_since = None
        if fault is not StreamFault.BEHIND:
            return fault
        self._behind_since = now if self._behind_since is None else self._behind_since
        return fault if now - self._behind_since > UNHEARD_S else None
