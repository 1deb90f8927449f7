"""Moving what strategies rely on away from a node, once no strategy is there (`tradeactors drain`).

A router is one process under one name, which is away for a second or two while it begins elsewhere. So one moves only
while no strategy of the cluster needs it: no order is on its way anywhere, no BUY or SELL is near, and every position
is guarded twice. The next one moves when that is so again.

The feed and execution actors do not move: `Parts.kept` says why. Ledgers stay, too. A process that only sends messages
to a ledger (`Peers.tell`) never learns that another actor has its name, and they would be lost; one that Ray starts
again, since its node was stopped, is the same actor.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from actors.runtime.driver.drain import WELL_WITHIN_S, Drained, MoveFailed

TURN = {"router": 0, "feed": 1, "execution": 2}
"""Which kinds move, in this order."""

_LOOK_S = 0.2
_AGAIN_S = 1.0


class Parts(Protocol):
    """The actors of the node that are no strategies, as far as they are moved."""

    async def here(self) -> Sequence[str]:
        """The names of those that are on the node that is to be emptied."""

    async def unready(self) -> str | None:
        """Which strategy of the cluster could not do without one of them now, and why; None if each could."""

    async def unguarded(self) -> str | None:
        """Which strategy of the cluster has a position that is not guarded twice, in half a sentence; None if none."""

    async def kept(self, name: str) -> str | None:
        """Why this one cannot move at all, in half a sentence; None if it can."""

    async def replace(self, name: str) -> None:
        """End it, and have it begin elsewhere. Raises MoveFailed."""


def kind(name: str) -> str:
    """What an actor of this name is."""
    return name.partition(":")[0]


def in_turn(here: Sequence[str]) -> list[str]:
    """Those whose absence costs least first; execution, without which no order leaves, last."""
    return sorted(here, key=lambda name: (TURN[kind(name)], name))


class PartsDrain:
    """One node. `say` gets a sentence for each actor that has moved."""

    def __init__(self, parts: Parts, say: Callable[[str], None]) -> None:
        self._parts, self._say = parts, say

    async def run(self, within_s: float) -> Drained:
        """Move what can be moved within this time."""
        until = asyncio.get_running_loop().time() + within_s
        moved, left = 0, dict[str, str]()
        for name in in_turn(await self._parts.here()):
            hindered = await self._parts.kept(name) or await self._until_ready(until)
            if hindered is not None:
                left[name] = hindered
                continue
            begun = asyncio.get_running_loop().time()
            try:
                await self._parts.replace(name)
                await self._until_guarded(name)
            except MoveFailed as failure:
                return Drained(moved, left, str(failure))
            moved += 1
            self._say(f"{name} has moved in {asyncio.get_running_loop().time() - begun:.1f} s.")
        return Drained(moved, left)

    async def _until_ready(self, until: float) -> str | None:
        """None as soon as each strategy could do without a part; else, in the end, which one could not, and why."""
        while (unready := await self._parts.unready()) is not None:
            if asyncio.get_running_loop().time() >= until:
                return unready
            await asyncio.sleep(_AGAIN_S)
        return None

    async def _until_guarded(self, name: str) -> None:
        until = asyncio.get_running_loop().time() + WELL_WITHIN_S
        while (unguarded := await self._parts.unguarded()) is not None:
            if asyncio.get_running_loop().time() >= until:
                raise MoveFailed(f"{name} has moved, and {WELL_WITHIN_S:.0f} s later {unguarded}.")
            await asyncio.sleep(_LOOK_S)
