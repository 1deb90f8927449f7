"""Counters that forget by themselves: in Redis for all processes, and in the memory of one while Redis is away."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cachetools import TLRUCache
from redis.asyncio import Redis

_TAKE_BACK = "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('DECR', KEYS[1]) end return 0"
"""KEYS counter. One that was forgotten meanwhile must not come back without an expiry."""

_ADD = """
local count, windows = redis.call('INCR', KEYS[1]), #ARGV - 2
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
if count == tonumber(ARGV[1]) + 1 and windows > 1 then
    local refused = redis.call('INCR', KEYS[2])
    redis.call('EXPIRE', KEYS[2], ARGV[2])
    redis.call('EXPIRE', KEYS[1], ARGV[2 + math.min(refused, windows)])
end
return {count, redis.call('TTL', KEYS[1])}
"""
"""KEYS counter, refusals; ARGV limit, how long refusals are remembered, the windows."""

REMEMBERED = 10_000
"""How many counters are kept in memory, some 300 bytes each; beyond it the least recently used are forgotten."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` within the first of `windows_s`, reckoned from the first attempt.

    The first attempt beyond it begins the wait: of the first window, and after each further refusal that is remembered
    (for `memory_s` seconds) of the next, as far as there are any.
    """

    most: int
    windows_s: Sequence[int]
    memory_s: int = 86_400


class Counters(Protocol):
    """Where attempts are counted."""

    async def add(self, key: str, limit: Limit) -> tuple[int, int]:
        """Count one more: how many there are, and the seconds until they are forgotten."""
        ...

    async def take_back(self, key: str) -> None:
        """Count one less, if any are remembered."""
        ...

    async def forget(self, key: str) -> None:
        """Begin at zero."""
        ...


class RedisCounters:
    """Counts for all processes. Every method raises `RedisError` when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._add = redis.register_script(_ADD)
        self._take_back = redis.register_script(_TAKE_BACK)

    async def add(self, key: str, limit: Limit) -> tuple[int, int]:
        """As `Counters` says."""
        count, wait_s = await self._add(
            keys=[key, _refusals_of(key)], args=[limit.most, limit.memory_s, *limit.windows_s]
        )
        return int(count), max(1, int(wait_s))

    async def take_back(self, key: str) -> None:
        """As `Counters` says."""
        await self._take_back(keys=[key])

    async def forget(self, key: str) -> None:
        """As `Counters` says."""
        await self._redis.delete(key)


class MemoryCounters:
    """Counts for this process alone, in a bounded part of its memory."""

    def __init__(self, remembered: int = REMEMBERED, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._kept: TLRUCache[str, tuple[int, float]] = TLRUCache(
            remembered, lambda _key, kept, _now: kept[1], timer=clock
        )

    async def add(self, key: str, limit: Limit) -> tuple[int, int]:
        """As `Counters` says."""
        count, ends_at = self._one_more(key, limit.windows_s[0])
        if count == limit.most + 1 and len(limit.windows_s) > 1:
            refused, _ = self._one_more(_refusals_of(key), limit.memory_s, renewed=True)
            ends_at = self._clock() + limit.windows_s[min(refused, len(limit.windows_s)) - 1]
            self._kept[key] = (count, ends_at)
        return count, max(1, round(ends_at - self._clock()))

    async def take_back(self, key: str) -> None:
        """As `Counters` says."""
        if (kept := self._kept.get(key)) is not None:
            self._kept[key] = (kept[0] - 1, kept[1])

    async def forget(self, key: str) -> None:
        """As `Counters` says."""
        self._kept.pop(key, None)

    def _one_more(self, key: str, window_s: int, *, renewed: bool = False) -> tuple[int, float]:
        count, ends_at = self._kept.get(key, (0, self._clock() + window_s))
        kept = (count + 1, self._clock() + window_s if renewed else ends_at)
        self._kept[key] = kept
        return kept


def _refusals_of(key: str) -> str:
    return f"{key}:refusals"
