"""How often a user may start: every START of a strategy makes a process, which takes most of a second of two cores.

A user who starts and stops in turn would take the machine from the others' orders with few requests.
"""

from math import ceil

from api.base.leaky_buckets import LeakyBuckets, rate_limited
from config.capacity import Capacity
from config.settings import Settings

STARTS_AT_ONCE = 60
"""Starts that may come at once in any case: all strategies of a morning, and some of them again."""

STARTS_IN_WORK = 2
"""Processes of one user that are made at the same time; the others wait for their turn."""


class StartRate:
    """Counts new runs in the memory of this process; a START of what runs already is none."""

    def __init__(self, settings: Settings, capacity: Capacity) -> None:
        """`STARTS_PER_MINUTE` in the long run, and as many at once as may run at once."""
        per_minute, at_once = settings.starts_per_minute, max(STARTS_AT_ONCE, capacity.running_of_user)
        self._starts = LeakyBuckets(per_minute, burst_s=at_once * 60 / per_minute) if per_minute else None

    def count(self, user_id: int) -> None:
        """Count a run that is about to begin.

        Raises:
            ApiError: 429 `rate_limited`, with the seconds to wait.
        """
        wait_s = self._starts.pour(user_id, 1) if self._starts else 0.0
        if wait_s:
            sentence = f"Many strategies were started in a short time. Please wait {ceil(wait_s)} s"
            raise rate_limited(sentence, wait_s)
