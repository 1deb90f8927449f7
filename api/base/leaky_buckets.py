"""Work that is poured into buckets, which leak: how much of it a user may ask for in a time.

Counted in the memory of the process: a status poll must not cost another round trip to Redis.
"""

import time
from collections.abc import Callable, Hashable
from math import ceil

from cachetools import TTLCache

from api.base.errors import ApiError

BURST_S = 5.0
"""How many seconds of work may come at once: the rest is spread over the minute."""

LEAST_BURST = 20
"""Units that may come at once however low the limit is, within the limit of a whole minute."""

_REMEMBERED = 50_000
"""Users and addresses with a bucket that is not empty, at some 200 bytes each."""


class LeakyBuckets:
    """For each key a bucket that work is poured into; it leaks at a steady rate, and takes no more than it can hold.

    The library `limits` has windows of a time only, in which everything may come in the first instant.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic, burst_s: float = BURST_S) -> None:
        """`per_minute` is what leaks out in a minute; `clock` counts seconds."""
        self._per_s = per_minute / 60
        self._holds = max(self._per_s * burst_s, min(per_minute, LEAST_BURST))
        self._clock = clock
        self._empty_at: TTLCache[Hashable, float] = TTLCache(_REMEMBERED, self._holds / self._per_s, timer=clock)

    def pour(self, key: Hashable, units: float) -> float:
        """Take the work and return 0, or take nothing and return how many seconds it would have to wait.

        Work that no bucket could hold is taken by an empty one.
        """
        now = self._clock()
        filled = max(self._empty_at.get(key, now), now) + min(units, self._holds) / self._per_s
        too_much_s = filled - now - self._holds / self._per_s
        if too_much_s > 1e-6:  # seconds are floats
            return too_much_s
        self._empty_at[key] = filled
        return 0.0

    def give_back(self, key: Hashable, units: float) -> None:
        """Take out again what was poured in and has turned out to be less work."""
        if key in self._empty_at:
            self._empty_at[key] -= min(units, self._holds) / self._per_s


def rate_limited(sentence: str, wait_s: float) -> ApiError:
    """The answer to what is too much at the moment; nothing was done."""
    return ApiError(429, "rate_limited", sentence, {"Retry-After": str(max(1, ceil(wait_s)))})
