"""How often a password may be tried: counters in Redis that forget by themselves."""

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

_COUNT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
if count == tonumber(ARGV[1]) + 1 and ARGV[3] == '1' then
    local refused = redis.call('INCR', KEYS[2])
    redis.call('EXPIRE', KEYS[2], ARGV[4])
    local wait = tonumber(ARGV[2]) * math.min(3 ^ (refused - 1), tonumber(ARGV[5]))
    redis.call('EXPIRE', KEYS[1], string.format('%d', wait))
end
return {count, redis.call('TTL', KEYS[1])}
"""
"""KEYS counter, refusals; ARGV limit, window, whether windows grow, how long refusals are remembered, the most growth.

The count and the seconds that it lasts. The first attempt beyond the limit makes the window longer, three times as long
after each refusal that is remembered.
"""


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """Attempts within `window_s` seconds from the first: of one address on one account, on an account from all
    addresses that its owner never used, and failures per address; and registrations.

    Where a guesser was refused, the next windows are 3, 9 and at most `most_growth` times as long, until nothing was
    refused for `memory_s`.
    """

    per_pair: int = 10
    per_account: int = 30
    per_address: int = 100
    window_s: int = 300
    most_growth: int = 12
    memory_s: int = 86_400
    registrations_per_address: int = 120
    registration_window_s: int = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt that is one too many. `is_first`: the first one in this window."""

    limit: Literal["account", "address"]
    wait_s: int
    is_first: bool


class LoginThrottle:
    """Counts attempts before the password is looked at, so that many at once are no way around it.

    Without Redis no user is throttled: a user who cannot stop a running strategy is the greater harm. For the same
    reason the owner's own addresses are counted apart: what others do to the account never keeps its owner out there.
    """

    def __init__(self, redis: Redis, limits: ThrottleLimits | None = None) -> None:
        self._redis = redis
        self._limits = limits or ThrottleLimits()
        self._take_back = redis.register_script(_TAKE_BACK)
        self._add = redis.register_script(_COUNT)

    async def attempt(self, account: str, address: str, *, known: bool) -> Refusal | None:
        """Count an attempt on an account. None: it may go on, and counts as failed unless `succeeded` follows.

        `known`: the account was logged in to from this address before.
        """
        limits = self._limits
        counters: list[tuple[Literal["account", "address"], str, int, bool]] = [
            ("account", _pair_key(account, address), limits.per_pair, not known)
        ]
        if not known:
            counters = [
                ("address", _address_key(address), limits.per_address, False),
                *counters,
                ("account", _account_key(account), limits.per_account, True),
            ]
        try:
            for limit, key, most, grows in counters:
                count, wait_s = await self._count(key, most, grows=grows)
                if count > most:
                    return await self._refusal(limit, key, wait_s)
        except RedisError:
            log.warning("login_throttle_unavailable")
        return None

    async def succeeded(self, account: str, address: str, *, known: bool) -> None:
        """The password was right: the address has not failed on this account, and this attempt not on any count.

        What others have tried on the account is not forgotten: they would be given as many attempts again.
        """
        try:
            await self._redis.delete(_pair_key(account, address))
            for key in () if known else (_address_key(address), _account_key(account)):
                await self._take_back(keys=[key])
        except RedisError:
            log.warning("login_throttle_unavailable")

    async def take_back(self, account: str, address: str) -> None:
        """An attempt from an address that the account knows is not to count: nothing was found out by it."""
        try:
            await self._take_back(keys=[_pair_key(account, address)])
        except RedisError:
            log.warning("login_throttle_unavailable")

    async def failed(self, address: str) -> None:
        """The address used something else than a password that is not good."""
        try:
            await self._count(_address_key(address), self._limits.per_address)
        except RedisError:
            log.warning("login_throttle_unavailable")

    async def registration(self, address: str) -> int:
        """Count a registration. 0: it may go on; otherwise the seconds until one may."""
        key, window_s = _registration_key(address), self._limits.registration_window_s
        most = self._limits.registrations_per_address
        try:
            count, wait_s = await self._count(key, most, window_s=window_s)
            if count > most:
                return wait_s
        except RedisError:
            log.warning("login_throttle_unavailable")
        return 0

    async def _refusal(self, limit: Literal["account", "address"], key: str, wait_s: int) -> Refusal:
        is_first = await self._redis.set(f"{key}:refused", "1", nx=True, ex=wait_s)
        return Refusal(limit, wait_s, bool(is_first))

    async def _count(self, key: str, most: int, *, grows: bool = False, window_s: int | None = None) -> tuple[int, int]:
        """How often, and the seconds until it is forgotten."""
        limits = self._limits
        window = [window_s or limits.window_s, int(grows), limits.memory_s, limits.most_growth]
        count, wait_s = await self._add(keys=[key, f"{key}:refusals"], args=[most, *window])
        return int(count), max(1, int(wait_s))


def _account_key(account: str) -> str:
    return f"throttle:login:account:{hashlib.sha256(account.encode()).hexdigest()[:32]}"


def _pair_key(account: str, address: str) -> str:
    return f"{_account_key(account)}:{network_of(address)}"


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
