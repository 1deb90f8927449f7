"""Idle workers kept ready, so that a START finds a process which has imported everything already.

Ray starts a pool of workers with the node (`RAY_preload_python_modules`), but does not fill it up again when an actor
has taken one, and an actor that starts cold takes most of a second of both cores. So after each START the node's pool
is filled up: as many tasks as the node has places hold a worker each for a moment, which makes Ray start what is
missing.
"""

import asyncio
import time
from typing import Any

import ray
import structlog
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

log = structlog.get_logger(__name__)

SETTLE_S = 0.3
"""STARTs often come together: they get their workers first."""

_HOLD_S = 0.1
"""Long enough for all tasks to ask for a worker before the first is free again, and no longer: held workers are not
there for a START. A task that finds none makes Ray start one, whoever gets it in the end."""


@ray.remote(num_cpus=1, max_retries=0)
def _hold(seconds: float) -> None:
    time.sleep(seconds)


class WarmPool:
    """Fills the pools of all nodes up again. `taken()` never waits."""

    def __init__(self) -> None:
        self._filling: asyncio.Task[None] | None = None
        self._again = False

    def taken(self) -> None:
        """Somebody has taken a worker."""
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill())
        else:
            self._again = True

    async def close(self) -> None:
        """Let go; what Ray has been asked for goes on."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)

    async def _fill(self) -> None:
        while True:
            self._again = False
            await asyncio.sleep(SETTLE_S)
            try:
                nodes = [node for node in await asyncio.to_thread(ray.nodes) if node["Alive"]]
                held = [_hold_on(node["NodeID"]) for node in nodes for _ in range(int(_places(node)))]
                await asyncio.gather(*held)
            except RayError as error:
                log.info("warm_pool.not_filled", reason=str(error))
            if not self._again:
                return


def _places(node: dict[str, Any]) -> float:
    return float(node["Resources"].get("CPU", 0))


def _hold_on(node_id: str) -> Any:
    where = NodeAffinitySchedulingStrategy(node_id, soft=True)
    return _hold.options(scheduling_strategy=where).remote(_HOLD_S)
