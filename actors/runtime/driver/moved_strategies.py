"""The strategies of the cluster as `tradeactors drain` sees and moves them, over Ray.

Import it after `cluster.connect`.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayError
from ray.util import list_named_actors

from actors.ports.common import PeerUnavailable
from actors.ports.engine import EngineUnavailable
from actors.runtime import names
from actors.runtime.driver.cluster_nodes import actors_on
from actors.runtime.driver.drain import MoveFailed
from actors.runtime.driver.engine import RayEngine
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.strategy.moving import Standing

T = TypeVar("T")

_ANSWER_S = 5.0
_RECORD_S = 4.0
"""How long the guard and the ledger may take to confirm what a strategy leaves behind."""

_LEAVE_S = 10.0
_GONE_S = 15.0

_SILENT = Standing(0, "", holds=True, well=False, hindered="its actor does not answer")


class MovedStrategies:
    """`drain.Strategies` over Ray, for one node."""

    def __init__(self, pools: Pools, node_id: str) -> None:
        self._pools, self._node_id = pools, node_id
        self._engine, self._peers = RayEngine(pools), Peers()

    async def here(self) -> Sequence[int]:
        there = (names.strategy_id_of(name) for name in await asyncio.to_thread(actors_on, self._node_id))
        return [strategy_id for strategy_id in there if strategy_id is not None]

    async def away(self) -> Sequence[tuple[int, int]]:
        try:
            runs = await _within(_ANSWER_S, self._peers.call(names.ledger_name(0, self._pools), "open_runs"))
            alive = set(await _within(_ANSWER_S, asyncio.to_thread(list_named_actors)))
        except (PeerUnavailable, TimeoutError, RayError) as error:
            raise MoveFailed(f"it cannot be known which strategies have a process ({error!r}).") from error
        return [(run_id, strategy_id) for run_id, strategy_id in runs if names.strategy_name(strategy_id) not in alive]

    async def standing(self, strategy_id: int) -> Standing | None:
        try:
            actor = await asyncio.to_thread(_actor, strategy_id)
            if actor is None:
                return None
            standing: Standing = await _within(_ANSWER_S, actor.standing.remote())
        except (TimeoutError, RayError):
            return _SILENT
        return standing

    async def leave(self, run_id: int, strategy_id: int) -> str | None:
        try:
            actor = await asyncio.to_thread(_actor, strategy_id)
            if actor is None:
                return "it has just ended"
            hindered: str | None = await _within(_LEAVE_S, actor.leave.remote(run_id, _RECORD_S))
        except RayActorError:  # its process has ended before the answer was here
            hindered = None
        except (TimeoutError, RayError):
            return _SILENT.hindered
        if hindered is None:
            await self._gone(strategy_id, actor)
        return hindered

    async def _gone(self, strategy_id: int, actor: Any) -> None:
        try:
            await _within(_GONE_S, actor.until_gone.remote())
        except RayActorError:
            return
        except TimeoutError:
            pass
        raise MoveFailed(
            f"strategy:{strategy_id} has left, and its process has not ended: look at it in the dashboard."
        )

    async def bring_up(self, run_id: int, strategy_id: int) -> None:
        """The API's sweep does the same within five seconds, should this process die before."""
        try:
            labels = await _within(_ANSWER_S, self._peers.call(names.ledger_name(0, self._pools), "open_run_labels"))
        except (PeerUnavailable, TimeoutError):
            labels = {}  # only the dashboard shows it
        try:
            await self._engine.ensure_running(run_id, strategy_id, labels.get(run_id, ""))
        except EngineUnavailable as error:
            raise MoveFailed(
                f"strategy:{strategy_id} has left, and could not be started elsewhere ({error}): the processes of the "
                "API go on trying, and until then execution alone guards what it holds."
            ) from error


def _actor(strategy_id: int) -> Any:
    try:
        return ray.get_actor(names.strategy_name(strategy_id), namespace=names.NAMESPACE)
    except ValueError:
        return None


async def _within(seconds: float, answer: Awaitable[T]) -> T:
    async with asyncio.timeout(seconds):
        return await answer
