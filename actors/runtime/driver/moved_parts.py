"""Routers as `tradeactors drain` moves them, over Ray, and what it leaves where it is.

Import it after `cluster.connect`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from actors.ports.common import PeerUnavailable
from actors.runtime import names
from actors.runtime.driver.cluster_nodes import actors_on
from actors.runtime.driver.drain import MoveFailed
from actors.runtime.driver.drain_parts import kind
from actors.runtime.driver.moved_strategies import MovedStrategies
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.strategy.moving import AT_WORK, Standing

_ANSWER_S = 5.0
_GONE_S = 15.0
_FOLLOWED_S = 10.0
_POLL_S = 0.1

_ONE_GUARD = "it is not guarded twice"
_AWAY = "it has no process now"

_STAY = {
    "feed": "both guards may hear it",
    "execution": "no order of its accounts leaves while it begins elsewhere",
}
"""What is not moved while it is needed, with the reason."""


class MovedParts:
    """`drain_parts.Parts` over Ray, for one node."""

    def __init__(self, pools: Pools, node_id: str) -> None:
        self._pools, self._node_id, self._peers = pools, node_id, Peers()
        self._strategies = MovedStrategies(pools, node_id)
        self._needed = ""

    async def here(self) -> Sequence[str]:
        """The routers; the feed and execution actors while one is needed: else they may be away for seconds."""
        there = await asyncio.to_thread(actors_on, self._node_id)
        self._needed = await self._first(_need) or ""
        return [name for name in there if kind(name) == "router" or (self._needed and kind(name) in _STAY)]

    async def unready(self) -> str | None:
        return await self._first(lambda one: one.hindered or (None if one.well else _ONE_GUARD))

    async def unguarded(self) -> str | None:
        return await self._first(lambda one: None if one.well else _ONE_GUARD)

    async def kept(self, name: str) -> str | None:
        stays = _STAY.get(kind(name))
        return None if stays is None else f"{self._needed}, and {stays}"

    async def replace(self, name: str) -> None:
        try:
            actor: Any = await asyncio.to_thread(ray.get_actor, name, names.NAMESPACE)
        except ValueError:
            return  # a router without a follower has ended
        await asyncio.to_thread(ray.kill, actor, no_restart=True)
        try:
            async with asyncio.timeout(_GONE_S):
                while True:
                    await actor.process_id.remote()
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise MoveFailed(f"{name} was ended, and its process is still there: see it in the dashboard.") from error
        except RayActorError:
            await self._await_router(name)

    async def _await_router(self, name: str) -> None:
        """The strategies that follow a router have it begin again; one without a follower does not."""
        until = asyncio.get_running_loop().time() + _FOLLOWED_S
        while asyncio.get_running_loop().time() < until and not await _answers(name):  # noqa: ASYNC110 - Ray is asked
            await asyncio.sleep(_POLL_S)

    async def _first(self, finding: Callable[[Standing], str | None]) -> str | None:
        """The first strategy with an open run of which something is found, with that; one without a process counts."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                runs = await self._peers.call(names.ledger_name(0, self._pools), "open_runs")
        except (PeerUnavailable, TimeoutError):
            return "the ledger does not answer, so it is not known what is guarded"
        for _, strategy_id in sorted(runs):
            standing = await self._strategies.standing(strategy_id)
            found = _AWAY if standing is None else finding(standing)
            if found is not None:
                return f"{names.strategy_name(strategy_id)}: {found}"
        return None


def _need(one: Standing) -> str | None:
    """What a strategy needs execution and the feed for now; recording alone needs neither."""
    if one.holds:
        return "it holds shares"
    return None if one.hindered == AT_WORK else one.hindered


async def _answers(name: str) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_S):
            actor: Any = await asyncio.to_thread(ray.get_actor, name, names.NAMESPACE)
            await actor.process_id.remote()
    except (RayError, ValueError, TimeoutError):
        return False
    return True
