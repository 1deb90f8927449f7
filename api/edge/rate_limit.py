"""How much work a user may ask for in a time, and how often an address may call where there is no user yet.

Counted in the memory of the process: a status poll must not cost another round trip to Redis.
"""

import time
from collections.abc import Callable, Hashable

from api.base.leaky_buckets import LeakyBuckets, rate_limited
from persistence.login_throttle import networks_of

ADDRESS_BURST_S = 15.0
"""How many seconds of requests of an address may come at once: all phones of an office come back when its network does.
"""


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
