"""Routers, the feed and execution actors as `tradeactors drain` moves them, over Ray.

Import it after `cluster.connect`.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError
from ray.runtime_env import RuntimeEnv

from actors.ports.common import PeerUnavailable
from actors.runtime import names, node_marks
from actors.runtime.driver import named_strategies
from actors.runtime.driver.cluster_nodes import actors_on, is_running
from actors.runtime.driver.drain import MoveFailed
from actors.runtime.driver.drain_parts import TURN, kind
from actors.runtime.driver.moved_strategies import MovedStrategies
from actors.runtime.driver.warm_workers import idle_workers
from actors.runtime.hosts import actor_classes
from actors.runtime.hosts.actor_options import environment_of
from actors.runtime.idle_workers import prestart
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.strategy.moving import AT_WORK, Standing

_ANSWER_S = 5.0
_GONE_S = 15.0
_LEAVES_WITHIN, _LEFT_S = timedelta(seconds=3), 15.0
"""How long execution may take to begin to leave, and how long to have left or to say why it stays."""

_FOLLOWED_S = 10.0
_POLL_S = 0.1

_BACK_S = 20.0
"""How long what has left may need to begin elsewhere; then the node that it has left may have it again."""

_SPARE_S, _SPARE_KEPT_S = 20.0, 120
"""How long a process that has imported execution is waited for, and how long it is kept."""

_ONE_GUARD = "it is not guarded twice"
_AWAY = "it has no process now"


class MovedParts:
    """`drain_parts.Parts` over Ray, for one node. `gateways`: the ids of the others that orders may leave from."""

    def __init__(self, pools: Pools, node_id: str, gateways: Sequence[str]) -> None:
        self._pools, self._node_id, self._gateways, self._peers = pools, node_id, gateways, Peers()
        self._strategies = MovedStrategies(pools, node_id)

    async def here(self) -> Sequence[str]:
        """Of execution actors that no other node could have, only those that are needed now: else they may stay."""
        there = [name for name in await asyncio.to_thread(actors_on, self._node_id) if kind(name) in TURN]
        if self._gateways or await self._first(_need) is not None:
            return there
        return [name for name in there if not names.is_execution(name)]

    async def unready(self) -> str | None:
        return await self._first(lambda one: one.hindered or (None if one.well else _ONE_GUARD))

    async def unguarded(self) -> str | None:
        return await self._first(lambda one: None if one.well else _ONE_GUARD)

    async def kept(self, name: str) -> str | None:
        if names.is_execution(name) and not self._gateways:
            return "there is no other order gateway"
        if kind(name) == "feed" and (deaf := await self._deaf_without_feed()) is not None:
            return f"{deaf} guards by its prices alone"
        return None

    async def prepare(self, name: str) -> None:
        if names.is_execution(name):
            await self._have_spares()

    async def replace(self, name: str) -> str | None:
        if (hindered := await self.kept(name)) is not None:
            return hindered
        try:
            actor: Any = await asyncio.to_thread(ray.get_actor, name, names.NAMESPACE)
        except ValueError:
            actor = None  # it has ended
        if actor is not None:
            if not names.is_execution(name):
                await asyncio.to_thread(ray.kill, actor, no_restart=True)
            elif (hindered := await self._left(name, actor)) is not None:
                return hindered
            await self._gone(name, actor)
        if kind(name) != "router":
            await self._bring_back(name)
        elif actor is not None:  # one without a follower has ended for good
            await self._await_router(name)
        return None

    async def _deaf_without_feed(self) -> str | None:
        """An execution actor that would not hear some price without the feed, or does not say."""
        for name in names.pool_names(self._pools)[0]:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    if await self._peers.call(name, "needs_feed"):
                        return name
            except (PeerUnavailable, TimeoutError):
                return name
        return None

    async def _left(self, name: str, actor: Any) -> str | None:
        """Have execution end itself, unless an order is on its way: no strategy may know of it yet."""
        try:
            async with asyncio.timeout(_LEFT_S):
                hindered: str = await actor.leave.remote(datetime.now(UTC) + _LEAVES_WITHIN)
        except (ActorUnavailableError, TimeoutError):
            return f"{name} does not answer"
        except RayActorError:  # it has ended before it could answer
            return None
        except RayError as error:
            return f"{name} has answered with an error: {type(error).__name__}"
        return hindered

    async def _gone(self, name: str, actor: Any) -> None:
        try:
            async with asyncio.timeout(_GONE_S):
                while await _there(actor):  # noqa: ASYNC110 - Ray is asked
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise MoveFailed(f"{name} was ended, and its process is still there: see it in the dashboard.") from error

    async def _have_spares(self) -> None:
        """A process on each other gateway that has imported execution: with it execution is away for a moment only."""
        environment = RuntimeEnv(**environment_of(actor_classes.EXECUTION_HOST)).serialize()
        nodes = [node for node in await asyncio.to_thread(ray.nodes) if node["NodeID"] in self._gateways]
        before = await asyncio.to_thread(idle_workers)
        try:
            for node in nodes:
                await asyncio.to_thread(prestart, node, 1, _SPARE_KEPT_S, environment)
        except grpc.RpcError:
            return  # it then begins in a new process, which takes some seconds
        until = asyncio.get_running_loop().time() + _SPARE_S
        while asyncio.get_running_loop().time() < until:
            idle = await asyncio.to_thread(idle_workers)
            if all(idle[node["NodeID"]] > before[node["NodeID"]] for node in nodes):
                return
            await asyncio.sleep(_POLL_S)

    async def _await_router(self, name: str) -> None:
        """The strategies that follow a router have it begin again; one without a follower does not."""
        until = asyncio.get_running_loop().time() + _FOLLOWED_S
        while asyncio.get_running_loop().time() < until and not await _answers(name):  # noqa: ASYNC110 - Ray is asked
            await asyncio.sleep(_POLL_S)

    async def _bring_back(self, name: str) -> None:
        """The API's sweep does the same within five seconds, should this process die before."""
        if not await self._begun(name):
            if await asyncio.to_thread(is_running, name):  # it may have an order in hand
                raise MoveFailed(f"{name} has begun and does not answer: see the log of its node.")
            await asyncio.to_thread(node_marks.unmark, self._node_id)
            await self._end_pending(name)
            again = "has begun there again" if await self._begun(name, self._node_id) else "has not begun there either"
            raise MoveFailed(
                f"{name} has not begun elsewhere within {_BACK_S:.0f} s. So actors may begin on this node again, and "
                f"it {again}: see the log of the node that should have had it."
            )
        if name in await asyncio.to_thread(actors_on, self._node_id):
            raise MoveFailed(f"{name} has come back on this very node: no other node has taken it.")

    async def _begun(self, name: str, rather_on: str = "") -> bool:
        until = asyncio.get_running_loop().time() + _BACK_S
        while not await self._begins(name, rather_on):
            if asyncio.get_running_loop().time() >= until:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    async def _begins(self, name: str, rather_on: str) -> bool:
        try:
            async with asyncio.timeout(_ANSWER_S):
                await asyncio.to_thread(actor_classes.create_pools, self._pools, rather_on)
        except (RayError, ConnectionError, TimeoutError):
            return False
        return await _answers(name)

    async def _end_pending(self, name: str) -> None:
        """Free the name of one that waits for another node: where it may begin is fixed when it is made."""
        try:
            await asyncio.to_thread(named_strategies.end, name)
        except (ValueError, RayError):
            return  # it has just ended by itself

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


async def _there(actor: Any) -> bool:
    """Whether it has not ended, even if it cannot be reached."""
    try:
        await actor.process_id.remote()
    except ActorUnavailableError:
        return True
    except RayActorError:
        return False
    return True


async def _answers(name: str) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_S):
            actor: Any = await asyncio.to_thread(ray.get_actor, name, names.NAMESPACE)
            await actor.process_id.remote()
    except (RayError, ValueError, TimeoutError):
        return False
    return True
