"""How often somebody may try a password: counters in Redis that forget by themselves."""

import hashlib
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """Attempts per account, and failed attempts per address, within a window of seconds from the first."""

    per_account: int = 10
    per_address: int = 100
    window_s: int = 300


class LoginThrottle:
    """Counts attempts on an account before the password is looked at, and failures of an address after.

    Without Redis nobody is throttled: a user who cannot stop a running strategy is the greater harm.
    """

    def __init__(self, redis: Redis, limits: ThrottleLimits | None = None) -> None:
        self._redis = redis
        self._limits = limits or ThrottleLimits()

    async def seconds_to_wait(self, email: str, address: str) -> int:
        """Count an attempt. 0: it may go on; otherwise the seconds until one may."""
        try:
            attempts = await self._increase(_account_key(email))
            failures = int(await self._redis.get(_address_key(address)) or 0)
            if attempts > self._limits.per_account:
                return await self._remaining(_account_key(email))
            if failures >= self._limits.per_address:
                return await self._remaining(_address_key(address))
        except RedisError:
            log.warning("login_throttle_unavailable")
        return 0

    async def succeeded(self, email: str) -> None:
        """The password was right: the account's attempts are forgotten."""
        try:
            await self._redis.delete(_account_key(email))
        except RedisError:
            log.warning("login_throttle_unavailable")

    async def failed(self, address: str) -> None:
        """The password was wrong."""
        try:
            await self._increase(_address_key(address))
        except RedisError:
            log.warning("login_throttle_unavailable")

    async def _increase(self, key: str) -> int:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, self._limits.window_s, nx=True)
            count, _ = await pipeline.execute()
        return int(count)

    async def _remaining(self, key: str) -> int:
        return max(1, int(await self._redis.ttl(key)))


def _account_key(email: str) -> str:
    return f"throttle:login:account:{hashlib.sha256(email.encode()).hexdigest()[:32]}"


def _address_key(address: str) -> str:
    return f"throttle:login:address:{address}"
