"""Emptying a node of its strategies, one by one (`tradeactors drain`): what is asked in which order, and when to stop.

Nothing is forced. A strategy leaves by itself, in a moment in which it may (`actors.strategy.moving`), and the next one
is asked only when both guards watch again what this one holds.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.runtime import names
from actors.strategy.moving import Standing

WELL_WITHIN_S = 60.0
"""How long a strategy that has moved may need until both guards watch its position."""

_LOOK_S = 0.2
_AGAIN_S = 2.0


class MoveFailed(Exception):
    """A strategy has left its process, and how it stands is not known; the message is a whole sentence."""


class Strategies(Protocol):
    """The strategies of the cluster, as far as they are moved."""

    async def here(self) -> Sequence[int]:
        """The ids of those that run on the node that is to be emptied."""

    async def away(self) -> Sequence[tuple[int, int]]:
        """Run and strategy of what has no actor anywhere, though its run is open. Raises MoveFailed: not known."""

    async def standing(self, strategy_id: int) -> Standing | None:
        """How it stands; None: it has no actor."""

    async def leave(self, run_id: int, strategy_id: int) -> str | None:
        """Have it end its process, if it serves this run; why it does not, or None when the process is gone.

        Raises MoveFailed.
        """

    async def bring_up(self, run_id: int, strategy_id: int) -> None:
        """Have it in a new process; nothing happens if its run is over. Raises MoveFailed."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The result. `left`: the actors that are still there, by name, each with the reason in half a sentence.

    `failed`: why it was stopped before its time, a whole sentence; empty if it was not.
    """

    moved: int
    left: Mapping[str, str]
    failed: str = ""

    @property
    def done(self) -> bool:
        """Whether none is there any more."""
        return not self.left and not self.failed


class NodeDrain:
    """One node. `say` gets a sentence for each strategy that has moved."""

    def __init__(self, strategies: Strategies, node_id: str, say: Callable[[str], None]) -> None:
        self._strategies, self._node_id, self._say = strategies, node_id, say
        self._moved = 0

    async def run(self, within_s: float) -> Drained:
        """Move what can be moved within this time; one that has left is always seen through to its end.

        What an earlier drain, which was killed, has had leave comes first: it has no process.
        """
        until = asyncio.get_running_loop().time() + within_s
        left: dict[str, str] = {}
        try:
            for run_id, strategy_id in await self._strategies.away():
                await self._see_through(run_id, strategy_id, holds=False)
        except MoveFailed as failure:
            return Drained(self._moved, left, str(failure))
        while here := await self._strategies.here():
            try:
                left = await self._round(here)
            except MoveFailed as failure:
                return Drained(self._moved, left, str(failure))
            if asyncio.get_running_loop().time() >= until:
                begun = {names.strategy_name(one): "it has just begun" for one in await self._strategies.here()}
                return Drained(self._moved, left or begun)
            await asyncio.sleep(_AGAIN_S if left else _LOOK_S)
        return Drained(self._moved, {})

    async def _round(self, here: Sequence[int]) -> dict[str, str]:
        """Ask each of these once: first those that hold nothing, which show whether the other nodes work."""
        left, there = dict[str, str](), dict[int, Standing]()
        for strategy_id in here:
            if (standing := await self._strategies.standing(strategy_id)) is not None:
                there[strategy_id] = standing
        for strategy_id in sorted(there, key=lambda one: (there[one].holds, one)):
            hindered = await self._move(strategy_id, there[strategy_id])
            if hindered is not None:
                left[names.strategy_name(strategy_id)] = hindered
        return left

    async def _move(self, strategy_id: int, standing: Standing) -> str | None:
        hindered = standing.hindered or await self._strategies.leave(standing.run_id, strategy_id)
        if hindered is None:
            await self._see_through(standing.run_id, strategy_id, holds=standing.holds)
        return hindered

    async def _see_through(self, run_id: int, strategy_id: int, *, holds: bool) -> None:
        begun = asyncio.get_running_loop().time()
        await self._strategies.bring_up(run_id, strategy_id)
        await self._until_well(strategy_id)
        self._moved += 1
        took_s = asyncio.get_running_loop().time() - begun
        guards = ", guarded twice again" if holds else ""
        self._say(f"{names.strategy_name(strategy_id)} has moved in {took_s:.1f} s{guards}.")

    async def _until_well(self, strategy_id: int) -> None:
        """Return when it runs elsewhere and both guards have what it holds, or its run has ended meanwhile."""
        until, name = asyncio.get_running_loop().time() + WELL_WITHIN_S, names.strategy_name(strategy_id)
        while (standing := await self._strategies.standing(strategy_id)) is not None:
            if standing.well and standing.node_id == self._node_id:
                raise MoveFailed(f"{name} has come back on this very node: no other has taken it, or it had crashed.")
            if standing.well:
                return
            if asyncio.get_running_loop().time() >= until:
                raise MoveFailed(f"{name} has moved, and {WELL_WITHIN_S:.0f} s later it is not guarded twice.")
            await asyncio.sleep(_LOOK_S)
