"""How often somebody may try a password: counters in Redis that forget by themselves."""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.stdlib.get_logger(__name__)

_IPV6_PREFIX = 64
"""The smallest network a provider gives to one customer, who may use any address of it."""

_TAKE_BACK = "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('DECR', KEYS[1]) end return 0"
"""KEYS counter. One that was forgotten meanwhile must not come back without an expiry."""


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """Attempts per account and failures per address within `window_s` seconds from the first; and registrations."""

    per_account: int = 10
    per_address: int = 100
    window_s: int = 300
    registrations_per_address: int = 120
    registration_window_s: int = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt that is one too many. `is_first`: nobody was told so in this window before."""

    limit: Literal["account", "address"]
    wait_s: int
    is_first: bool


class LoginThrottle:
    """Counts attempts before the password is looked at, so that many at once are no way around it.

    Without Redis nobody is throttled: a user who cannot stop a running strategy is the greater harm.
    """

    def __init__(self, redis: Redis, limits: ThrottleLimits | None = None) -> None:
        self._redis = redis
        self._limits = limits or ThrottleLimits()
        self._take_back = redis.register_script(_TAKE_BACK)

    async def attempt(self, account: str, address: str) -> Refusal | None:
        """Count an attempt on an account. None: it may go on, and counts as failed unless `succeeded` follows."""
        try:
            if await self._count(_address_key(address)) > self._limits.per_address:
                return await self._refusal("address", _address_key(address))
            if await self._count(_account_key(account)) > self._limits.per_account:
                return await self._refusal("account", _account_key(account))
        except RedisError:
            log.warning("login_throttle_unavailable")
        return None

    async def succeeded(self, account: str, address: str) -> None:
        """The password was right: the account's attempts are forgotten, and the address did not fail this time."""
        try:
            await self._redis.delete(_account_key(account))
            await self._take_back(keys=[_address_key(address)])
        except RedisError:
            log.warning("login_throttle_unavailable")

    async def failed(self, address: str) -> None:
        """The address used something else than a password that is not good."""
        try:
            await self._count(_address_key(address))
        except RedisError:
            log.warning("login_throttle_unavailable")

    async def registration(self, address: str) -> int:
        """Count a registration. 0: it may go on; otherwise the seconds until one may."""
        key, window_s = _registration_key(address), self._limits.registration_window_s
        try:
            if await self._count(key, window_s) > self._limits.registrations_per_address:
                return await self._remaining(key)
        except RedisError:
            log.warning("login_throttle_unavailable")
        return 0

    async def _refusal(self, limit: Literal["account", "address"], key: str) -> Refusal:
        wait_s = await self._remaining(key)
        is_first = await self._redis.set(f"{key}:refused", "1", nx=True, ex=wait_s)
        return Refusal(limit, wait_s, bool(is_first))

    async def _count(self, key: str, window_s: int | None = None) -> int:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, window_s or self._limits.window_s, nx=True)
            count, _ = await pipeline.execute()
        return int(count)

    async def _remaining(self, key: str) -> int:
        return max(1, int(await self._redis.ttl(key)))


def _account_key(account: str) -> str:
    return f"throttle:login:account:{hashlib.sha256(account.encode()).hexdigest()[:32]}"


def _address_key(address: str) -> str:
    return f"throttle:login:address:{network_of(address)}"


def _registration_key(address: str) -> str:
    return f"throttle:register:address:{network_of(address)}"


def network_of(address: str) -> str:
    """What is counted as one address: all of a customer's IPv6 network, and an IPv4 address in either notation."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket, or a test
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed.packed, _IPV6_PREFIX), strict=False))
