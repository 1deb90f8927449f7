"""Order request caps, counted the way the broker counts them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from broker.paper.base.clock import NANOSECONDS, ist_date
from broker.paper.base.errors import KiteError, too_many_requests


@dataclass
class OrderRequestCaps:
    """Calendar-second, calendar-minute and day caps of one account; 0 means no cap.

    Windows are aligned to the server's clock, not sliding: ten requests at 10:00:00.990 and ten more at
    10:00:01.010 all pass. Every POST, PUT and DELETE counts, those that validation refuses included.
    """

    per_second: int
    per_minute: int
    per_day: int
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def admit(self, now_ns: int) -> KiteError | None:
        """Count one request; the error to answer when a cap is exceeded."""
        second = now_ns // NANOSECONDS
        windows = (
            ("second", str(second), self.per_second, "Too many requests"),
            ("minute", str(second // 60), self.per_minute, "Too many requests"),
            ("day", ist_date(now_ns), self.per_day, "Maximum allowed order requests exceeded."),
        )
        for kind, window, cap, message in windows:
            if cap and self._counts[(kind, window)] >= cap:
                return too_many_requests(message)
        current = {(kind, window) for kind, window, _, _ in windows}
        self._counts = Counter({key: count for key, count in self._counts.items() if key in current})
        self._counts.update(current)
        return None
