"""How often a password may be tried, and by which networks: counted before the password is looked at."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from persistence.throttle_counters import Counters, Limit, MemoryCounters, RedisCounters

log = structlog.stdlib.get_logger(__name__)

_Result = TypeVar("_Result")

_IPV6_PREFIXES = (64, 56, 48)
"""The networks that a provider gives to one customer, who may use any address of it: the smallest, the usual one of a
line, and the largest (RFC 6177)."""

_GROWTH = (1, 2, 4)
"""How many times as much is let through from each of them as from one address."""


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """Attempts on passwords: of one address on one account, on an account from all addresses that its owner never used,
    and failures per address. Registrations: per address, and in all.

    The windows are seconds; where a guesser was refused, the next one holds, until nothing was refused for `memory_s`.
    """

    per_pair: int = 10
    per_account: int = 30
    per_address: int = 100
    windows_s: tuple[int, ...] = (300, 900, 3600)
    memory_s: int = 86_400
    registrations_per_address: int = 120
    registrations_in_all: int = 600
    registration_window_s: int = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """An attempt that is one too many. `is_first`: the first one in this window."""

    limit: Literal["account", "address"]
    wait_s: int
    is_first: bool


@dataclass(frozen=True, slots=True)
class _Counted:
    kind: Literal["account", "address"]
    key: str
    limit: Limit


class LoginThrottle:
    """Counts attempts before the password is looked at, so that many at once are no way around it.

    All ways to try a password of an account share its counters. While Redis is away each process counts in its memory.
    The owner's own addresses are counted apart: what others do to the account never keeps its owner out there, since a
    user who cannot stop a running strategy is the greater harm.
    """

    def __init__(self, redis: Redis, limits: ThrottleLimits | None = None) -> None:
        self._limits = limits or ThrottleLimits()
        self._shared = RedisCounters(redis)
        self._own = MemoryCounters()

    async def attempt(self, account: str, address: str, *, known: bool) -> Refusal | None:
        """Count an attempt on an account. None: it may go on, and counts as failed unless `succeeded` follows.

        `known`: the account was logged in to from this address before.
        """
        counted = [self._pair(account, address, known=known)]
        if not known:
            growing = Limit(self._limits.per_account, self._limits.windows_s, self._limits.memory_s)
            counted = [*self._failures(address), *counted, _Counted("account", _account_key(account), growing)]
        return await self._on_counters(lambda counters: _first_refusal(counters, counted))

    async def succeeded(self, account: str, address: str, *, known: bool) -> None:
        """The password was right: the address has not failed on this account, and this attempt not on any count.

        What others have tried on the account is not forgotten: they would be given as many attempts again.
        """
        taken_back = [] if known else [*(one.key for one in self._failures(address)), _account_key(account)]

        async def forgive(counters: Counters) -> None:
            await counters.forget(_pair_key(account, address))
            for key in taken_back:
                await counters.take_back(key)

        await self._on_counters(forgive)

    async def take_back(self, account: str, address: str) -> None:
        """An attempt from an address that the account knows is not to count: nothing was found out by it."""
        await self._on_counters(lambda counters: counters.take_back(_pair_key(account, address)))

    async def failed(self, address: str) -> None:
        """The address used something else than a password that is not good."""

        async def count(counters: Counters) -> None:
            for one in self._failures(address):
                await counters.add(one.key, one.limit)

        await self._on_counters(count)

    async def registration(self, address: str) -> int:
        """Count a registration. 0: it may go on; otherwise the seconds until one may."""
        limits, windows = self._limits, (self._limits.registration_window_s,)
        most = limits.registrations_per_address
        counted = [
            _Counted("address", f"throttle:register:address:{network}", Limit(times * most, windows))
            for network, times in networks_of(address)
        ]
        # Last, so that one address that is refused does not use up what is left for all.
        counted.append(_Counted("address", "throttle:register:all", Limit(limits.registrations_in_all, windows)))
        refusal = await self._on_counters(lambda counters: _first_refusal(counters, counted))
        return refusal.wait_s if refusal else 0

    def _pair(self, account: str, address: str, *, known: bool) -> _Counted:
        windows = self._limits.windows_s[:1] if known else self._limits.windows_s
        return _Counted(
            "account", _pair_key(account, address), Limit(self._limits.per_pair, windows, self._limits.memory_s)
        )

    def _failures(self, address: str) -> Iterator[_Counted]:
        for network, times in networks_of(address):
            limit = Limit(times * self._limits.per_address, self._limits.windows_s[:1])
            yield _Counted("address", f"throttle:login:address:{network}", limit)

    async def _on_counters(self, count: Callable[[Counters], Awaitable[_Result]]) -> _Result:
        try:
            return await count(self._shared)
        except RedisError:
            log.warning("login_throttle_unavailable")
            return await count(self._own)


async def _first_refusal(counters: Counters, counted: list[_Counted]) -> Refusal | None:
    for one in counted:
        count, wait_s = await counters.add(one.key, one.limit)
        if count > one.limit.most:
            refused, _ = await counters.add(f"{one.key}:refused", Limit(1, (wait_s,)))
            return Refusal(one.kind, wait_s, refused == 1)
    return None


def _account_key(account: str) -> str:
    return f"throttle:login:account:{hashlib.sha256(account.encode()).hexdigest()[:32]}"


def _pair_key(account: str, address: str) -> str:
    return f"{_account_key(account)}:{network_of(address)}"


def network_of(address: str) -> str:
    """What is counted as one address: all of an IPv6 customer's /64, and an IPv4 address in either notation."""
    return networks_of(address)[0][0]


def networks_of(address: str) -> list[tuple[str, int]]:
    """The networks that an address is counted in, the smallest first, and how many times its limit each may have.

    A customer with a /48 has 65,536 networks of /64: limits on those alone would be none.
    """
    parsed = _parsed(address)
    if not isinstance(parsed, IPv6Address):
        return [(str(parsed), 1)]
    return [
        (str(ip_network((parsed.packed, prefix), strict=False)), times)
        for prefix, times in zip(_IPV6_PREFIXES, _GROWTH, strict=True)
    ]


def _parsed(address: str) -> IPv4Address | IPv6Address | str:
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket, or a test
        return address
    return (isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed
