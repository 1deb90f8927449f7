"""A strategy's actor that serves one run after the other: a thousand stop-losses without a thousand processes.

Everything but that is the product's: the shell, the state machine, the links, the journal with its PostgreSQL.
"""

import asyncio
from typing import Any

from actors.domain.strategy.state import Phase
from actors.runtime import names
from actors.runtime.clock import SystemClock
from actors.runtime.hosts.actor_options import actor_of
from actors.runtime.hosts.router import create_router
from actors.runtime.hosts.strategy import StrategyActor
from actors.runtime.plane import linked_ticks
from actors.strategy.shell import StrategyShell

_LOOK_S = 0.25
"""How often a waiting actor looks whether it guards. A hundred of them that looked every 10 ms took both cores."""


class RepeatingHost(StrategyActor):
    """`StrategyActor` that hears from `begin` which run comes next."""

    async def begin(self, run_id: int) -> None:
        """Live this run; the one before it must have ended. Returns when it waits for its buy time."""
        self._run_id = run_id
        self._loaded = asyncio.get_running_loop().create_future()
        self._next.put_nowait(run_id)
        await asyncio.shield(self._loaded)

    async def guarding(self) -> bool:
        """Returns when both guard the position: the router knows that, and ticks come over the link. False: it never
        will, since the run has ended."""
        actor = await asyncio.shield(self._loaded)
        assert actor is not None
        subscription = self._prices._subscription
        while not (
            actor.state.phase is Phase.GUARDING
            and subscription._link.alive
            and subscription._asked_for == (actor.state.run.instrument, actor.state.stop_loss, True)
        ):
            if self._ended.is_set():
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    async def over(self) -> str:
        """Returns when the run has ended; how."""
        await self._ended.wait()
        actor = self._loaded.result()
        assert actor is not None
        return actor.state.position_status

    async def uss(self) -> int:
        """Unique memory of this process, in bytes."""
        import psutil

        return int(psutil.Process().memory_full_info().uss)

    async def _run(self) -> None:
        self._next: asyncio.Queue[int] = asyncio.Queue()
        self._ended = asyncio.Event()
        linking: asyncio.Task[None] | None = None
        while True:
            await self._next.get()
            self._ended.clear()
            loaded = await self._load()
            assert loaded is not None
            if linking is None:
                self._prices = linked_ticks.LinkedPriceWatch(
                    self._peers, self._pools, loaded.run.broker, self._on_tick, create_router
                )
                linking = asyncio.create_task(self._execution.keep_linked(loaded.run.account_id))
            actor = StrategyShell(
                loaded, execution=self._execution, journal=self._journal, prices=self._prices, clock=SystemClock()
            )
            self._loaded.set_result(actor)
            await actor.run()
            self._ended.set()


def create_repeating(strategy_id: int, pools: names.Pools) -> Any:
    """The actor of a strategy, under the name that its peers look for."""
    name = names.strategy_name(strategy_id)
    return actor_of(RepeatingHost, name, 0, strategy_id, pools, max_restarts=0)
