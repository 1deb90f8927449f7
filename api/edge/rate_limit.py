"""How much work a user may ask for in a time, and how often an address may call where there is no user yet.

Counted in the memory of the process: a status poll must not cost another round trip to Redis.
"""

import time
from collections.abc import Callable, Hashable
from math import ceil

from cachetools import TTLCache

from api.base.errors import ApiError
from persistence.login_throttle import networks_of

BURST_S = 5.0
"""How many seconds of work may come at once: the rest is spread over the minute."""

ADDRESS_BURST_S = 15.0
"""The same of the requests of an address: all phones of an office come back at once when its network does."""

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


class RateLimits:
    """Limits of this process; one of 0 lets any number through."""

    def __init__(self, per_user: int, per_address: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Units of work of a user, and requests of an address, a minute."""
        self._users = LeakyBuckets(per_user, clock) if per_user else None
        self._urgent = LeakyBuckets(per_user, clock) if per_user else None
        self._networks: dict[int, LeakyBuckets] = {}
        self._per_address, self._clock = per_address, clock

    def count_user(self, user_id: int, units: int = 1, *, urgent: bool = False) -> None:
        """Count work of a user. STOP has a limit of its own: a flood of polls must not keep anyone from stopping.

        Raises:
            ApiError: 429 `rate_limited`, with the seconds to wait.
        """
        _count(self._urgent if urgent else self._users, user_id, units)

    def give_back(self, user_id: int, units: int) -> None:
        """What a user's request was counted for, beyond what it has turned out to be."""
        if self._users:
            self._users.give_back(user_id, units)

    def count_address(self, address: str) -> None:
        """Count a request of an address, and of the larger IPv6 networks that it is in. Raises as `count_user`."""
        for network, times in networks_of(address) if self._per_address else ():
            _count(self._buckets(times), network, 1)

    def _buckets(self, times: int) -> LeakyBuckets:
        """Those of networks that may make `times` the requests of an address."""
        if times not in self._networks:
            self._networks[times] = LeakyBuckets(times * self._per_address, self._clock, ADDRESS_BURST_S)
        return self._networks[times]


def _count(buckets: LeakyBuckets | None, key: Hashable, units: int) -> None:
    wait_s = buckets.pour(key, units) if buckets else 0.0
    if wait_s:
        raise rate_limited("Too many requests. Please wait.", wait_s)


def rate_limited(sentence: str, wait_s: float) -> ApiError:
    """The answer to what is too much at the moment; nothing was done."""
    return ApiError(429, "rate_limited", sentence, {"Retry-After": str(max(1, ceil(wait_s)))})
