"""Moving what strategies rely on away from a node, once no strategy is there (`tradeactors drain`).

A router or an execution actor is one process under one name, which is away for a second or two while it begins
elsewhere. So one moves only while no strategy of the cluster needs it: no order is on its way anywhere, no BUY or SELL
is near, and every position is guarded twice. The next one moves when that is so again. Execution comes last.

Ledgers stay. Who only tells a ledger something never learns that another actor has its name (`Peers.tell`), and that
would be lost; one that Ray itself starts again, when its node is stopped, is the same actor.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from actors.runtime.driver.drain import WELL_WITHIN_S, Drained, MoveFailed

TURN = {"router": 0, "feed": 1, "execution": 2}
"""Which kinds move, in this order."""

_LOOK_S = 0.2
_AGAIN_S = 1.0
_KEPT_S = 10.0


class Parts(Protocol):
    """The actors of the node that are no strategies, as far as they are moved."""

    async def here(self) -> Sequence[str]:
        """The names of those that are on the node that is to be emptied."""

    async def unready(self) -> str | None:
        """Which strategy of the cluster could not do without one of them now, and why; None if each could."""

    async def unguarded(self) -> str | None:
        """Which strategy of the cluster has a position that is not guarded twice, in half a sentence; None if none."""

    async def kept(self, name: str) -> str | None:
        """Why this one cannot move whatever strategies do, in half a sentence; None if it can."""

    async def prepare(self, name: str) -> None:
        """Do whatever makes its absence shorter."""

    async def replace(self, name: str) -> str | None:
        """End it, and have it begin elsewhere; else why it cannot be ended in this very moment. Raises MoveFailed."""


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
            try:
                hindered = await self._kept(name, until) or await self._move(name, until)
            except MoveFailed as failure:
                return Drained(moved, left, str(failure))
            if hindered is None:
                moved += 1
            else:
                left[name] = hindered
        return Drained(moved, left)

    async def _kept(self, name: str, until: float) -> str | None:
        """Why it cannot move: what passes soon, such as a stream that connects again, is waited for."""
        until = min(until, asyncio.get_running_loop().time() + _KEPT_S)
        while (kept := await self._parts.kept(name)) is not None:
            if asyncio.get_running_loop().time() >= until:
                return kept
            await asyncio.sleep(_AGAIN_S)
        return None

    async def _move(self, name: str, until: float) -> str | None:
        await self._parts.prepare(name)
        while True:
            if (unready := await self._until_ready(until)) is not None:
                return unready
            begun = asyncio.get_running_loop().time()
            if (hindered := await self._parts.replace(name)) is None:
                break
            if begun >= until:
                return hindered
            await asyncio.sleep(_LOOK_S)
        away_s = asyncio.get_running_loop().time() - begun
        await self._until_guarded(name)
        took_s = asyncio.get_running_loop().time() - begun
        self._say(f"{name} has moved in {away_s:.1f} s; every position is guarded twice again after {took_s:.1f} s.")
        return None

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
