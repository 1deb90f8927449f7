"""Routers as `tradeactors drain` moves them, over Ray, and what it leaves where it is.

Import it after `cluster.connect`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError
from ray.util import list_named_actors

from actors.runtime import names
from actors.runtime.driver.drain import MoveFailed
from actors.runtime.driver.drain_parts import kind
from actors.runtime.driver.moved_strategies import MovedStrategies, actors_on
from actors.runtime.names import Pools
from actors.strategy.moving import Standing

_ANSWER_S = 5.0
_GONE_S = 15.0
_FOLLOWED_S = 10.0
_POLL_S = 0.1

_ONE_GUARD = "it is not guarded twice"
_HOLDS = "it holds shares"

_STAY = {
    "feed": "shares are held, and both guards may hear it",
    "execution": "shares are held, and no order of its accounts leaves while it begins elsewhere",
}
"""What is not moved, with the reason."""


class MovedParts:
    """`drain_parts.Parts` over Ray, for one node."""

    def __init__(self, pools: Pools, node_id: str) -> None:
        self._node_id = node_id
        self._strategies = MovedStrategies(pools, node_id)

    async def here(self) -> Sequence[str]:
        """The routers; the feed and execution actors while shares are held: else they may be away for seconds."""
        there = await asyncio.to_thread(actors_on, self._node_id)
        held = await self._first(lambda one: _HOLDS if one.holds else None)
        return [name for name in there if kind(name) == "router" or (held is not None and kind(name) in _STAY)]

    async def unready(self) -> str | None:
        return await self._first(lambda one: one.hindered or (None if one.well else _ONE_GUARD))

    async def unguarded(self) -> str | None:
        return await self._first(lambda one: None if one.well else _ONE_GUARD)

    async def kept(self, name: str) -> str | None:
        return _STAY.get(kind(name))

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
        """The first strategy of the cluster of which something is found, with that."""
        ids = (names.strategy_id_of(name) for name in await asyncio.to_thread(list_named_actors))
        for strategy_id in sorted(one for one in ids if one is not None):
            standing = await self._strategies.standing(strategy_id)
            if standing is not None and (found := finding(standing)) is not None:
                return f"{names.strategy_name(strategy_id)}: {found}"
        return None


async def _answers(name: str) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_S):
            actor: Any = await asyncio.to_thread(ray.get_actor, name, names.NAMESPACE)
            await actor.process_id.remote()
    except (RayError, ValueError, TimeoutError):
        return False
    return True
