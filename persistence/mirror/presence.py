"""Which processes of the deployment run, as each of them says of itself every few seconds.

An operator must see them while Ray's head is down, and Ray's own list of actors is cut short. Ages are by the clock of
Redis alone.
"""

import asyncio
import contextlib
import json
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis

from persistence.errors import MirrorUnavailable
from persistence.mirror.figures import Figures
from persistence.mirror.keys import EMPTIED_NODES, PROCESSES
from persistence.mirror.prices import outages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PRESENT_EVERY_S = 3.0
"""How often a process says that it runs."""

SILENT_AFTER_S = 12.0
"""How long a process may say nothing before it counts as silent: three times, and a moment for a busy machine."""

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = resource.getpagesize()

_KEPT_S = 3600
"""How long a process that says nothing is remembered: those of the API have new names after each start."""

_EMPTIED_FOR_S = 60
"""How long a node that is being emptied is shown without being seen again."""

_PUT = """
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local seen = tonumber(string.match(flat[i + 1], '^(%d+) '))
  if not seen or now - seen > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], flat[i]) end
end
"""
"""KEYS processes; ARGV name, what it says of itself as JSON, how many seconds others are remembered."""

_GET = "return {redis.call('TIME')[1], redis.call('HGETALL', KEYS[1])}"


@dataclass(frozen=True, slots=True)
class Presence:
    """What a process last said of itself, `age_s` seconds ago. `host`: the address or the name of its machine.

    `figures`: rows for `persistence.mirror.figures.read_rows`.
    """

    name: str
    host: str
    pid: int
    age_s: float
    node: str = ""
    resident_bytes: int = 0
    figures: object = None

    @property
    def silent(self) -> bool:
        """Whether it has said nothing for too long."""
        return self.age_s > SILENT_AFTER_S


class MirroredPresence:
    """Processes of the deployment in Redis. Every method raises `MirrorUnavailable` when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._presence = redis
        self._put_presence = redis.register_script(_PUT)
        self._get_presences = redis.register_script(_GET)

    async def put_presence(
        self, name: str, host: str, pid: int, node: str = "", resident_bytes: int = 0, figures: object = None
    ) -> None:
        """Say that a process runs, and what it has counted. Another one of the same name takes its place."""
        said = {"host": host, "pid": pid, "node": node, "resident_bytes": resident_bytes, "figures": figures}
        with outages():
            await self._put_presence(keys=[PROCESSES], args=[name, json.dumps(said), _KEPT_S])

    async def forget_presence(self, name: str) -> None:
        """The process ends as it should: it is not missing."""
        with outages():
            await self._presence.hdel(PROCESSES, name)

    async def get_presences(self) -> list[Presence]:
        """Every process that has said something within the hour, by name."""
        with outages():
            now, flat = await self._get_presences(keys=[PROCESSES])
        found = [_presence(name, text, float(now)) for name, text in zip(flat[::2], flat[1::2], strict=True)]
        return sorted((presence for presence in found if presence is not None), key=lambda one: one.name)

    async def show_emptied(self, addresses: "Sequence[str]") -> None:
        """Show the nodes on which no actor begins (`tradeactors drain`), for a minute."""
        with outages():
            await self._presence.set(EMPTIED_NODES, json.dumps(list(addresses)), ex=_EMPTIED_FOR_S)

    async def emptied_nodes(self) -> list[str]:
        """Their addresses, as far as a process of the API has seen them within a minute."""
        with outages():
            text = await self._presence.get(EMPTIED_NODES)
        try:
            return [str(address) for address in json.loads(text or "[]")]
        except (ValueError, TypeError):  # no version of ours has written it
            return []


def _presence(name: str, text: str, now: float) -> Presence | None:
    """None for what no version of ours has written."""
    seen, _, said = text.partition(" ")
    try:
        fields: Mapping[str, Any] = json.loads(said)
        return Presence(
            name,
            str(fields["host"]),
            int(fields["pid"]),
            max(0.0, now - float(seen)),
            str(fields.get("node", "")),
            int(fields.get("resident_bytes", 0)),
            fields.get("figures"),
        )
    except (ValueError, TypeError, KeyError):
        return None


async def keep_present(
    mirror: MirroredPresence, name: str, host: str, pid: int, node: str = "", figures: Figures | None = None
) -> None:
    """Say that this process runs, and what it has counted, until cancelled. What Redis does not take is said again."""
    while True:
        with contextlib.suppress(MirrorUnavailable):
            rows = figures.as_rows() if figures is not None else None
            await mirror.put_presence(name, host, pid, node, _resident_bytes(), rows)
        await asyncio.sleep(PRESENT_EVERY_S)


def _resident_bytes() -> int:
    """The memory that this process has in the machine's; 0 where the system does not say."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
