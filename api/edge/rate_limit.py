"""How many requests a minute: per user, with STOP counted apart, and per address where there is no user yet.

Counted in the memory of the process: a status poll must not cost another round trip to Redis.
"""

import time
from math import ceil

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from api.base.errors import ApiError
from persistence.login_throttle import networks_of

STOP_OPERATION = "stop_strategy"


class RateLimits:
    """Counts the requests of this process; a limit of 0 lets any number through."""

    def __init__(self, per_user: int, per_address: int) -> None:
        self._user_item = RateLimitItemPerMinute(per_user, namespace="user") if per_user else None
        self._per_address = per_address
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count_user(self, user_id: int, operation: str | None) -> None:
        """Count a request of a user. STOP has a limit of its own: a flood of polls must not keep anyone from stopping.

        Raises:
            ApiError: 429 `rate_limited`, with the seconds to wait.
        """
        self._count(self._user_item, str(user_id), "stop" if operation == STOP_OPERATION else "any")

    def count_address(self, address: str) -> None:
        """Count a request of an address, and of the larger IPv6 networks that it is in. Raises as `count_user`."""
        for network, times in networks_of(address) if self._per_address else ():
            self._count(RateLimitItemPerMinute(times * self._per_address, namespace="address"), network)

    def _count(self, item: RateLimitItemPerMinute | None, *key: str) -> None:
        if item is None or self._limiter.hit(item, *key):
            return
        seconds = max(1, ceil(self._limiter.get_window_stats(item, *key).reset_time - time.time()))
        raise ApiError(429, "rate_limited", "Too many requests. Please wait.", {"Retry-After": str(seconds)})
