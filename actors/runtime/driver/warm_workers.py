"""Idle workers kept ready on every node, so that a START finds a process which has imported everything already.

An actor that starts cold takes most of a second of both cores. Ray starts idle workers ahead when a node's raylet is
asked to, for the one job whose actors may have them, and keeps them for as long as it was asked. So each process that
creates strategies has its pools, and fills them up again after each START.
"""

import asyncio
from collections import Counter, deque
from typing import Any

import grpc
import ray
import structlog
from ray._private.state import state as ray_state
from ray.core.generated import common_pb2, gcs_pb2
from ray.exceptions import RayError

from actors.runtime import node_marks
from actors.runtime.driver import pool_size
from actors.runtime.idle_workers import prestart
from actors.runtime.names import is_execution
from actors.waiting import within
from config.capacity import available_memory

log = structlog.get_logger(__name__)

SETTLE_S = 0.3
"""STARTs often come together: they get their workers first."""

_KEEP_S = 8 * 3600
"""Longer than a session of the exchange: a pool is made again outside of it."""

_COUNT_S = 20.0
"""How long after the last START the idle workers are counted: restarts and routers take some unseen."""

_PACE_S = 1.0
"""Between two workers that are begun beyond those at rest: together they take half of a core at most."""


class WarmPool:
    """Keeps the pools of all nodes full.

    At rest that is one worker for each CPU that the node tells Ray of, at most eight; more while STARTs are to be
    expected (`pool_size`), as far as memory allows. Ray ends those by itself when no START has taken them.
    """

    def __init__(self) -> None:
        self._filled_at: dict[str, float] = {}
        self._idle: Counter[str] = Counter()
        """Those that are idle or on their way, as far as this process knows."""
        self._expected: dict[int, float] = {}
        self._starts: deque[float] = deque(maxlen=pool_size.MOST_AT_REST + 1)
        self._changed = asyncio.Event()
        self._duty: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Fill the pools, and keep them full from now on."""
        self._duty = asyncio.create_task(self._keep_full())

    def expect(self, strategy_id: int) -> None:
        """A strategy was made; it will be started soon."""
        self._expected[strategy_id] = asyncio.get_running_loop().time()
        self._changed.set()

    def taken(self, node_id: str, strategy_id: int) -> None:
        """A strategy has taken a worker of that node."""
        self._expected.pop(strategy_id, None)
        self._idle[node_id] = max(self._idle[node_id] - 1, 0)
        self._starts.append(asyncio.get_running_loop().time())
        self._changed.set()

    async def close(self) -> None:
        """Stop refilling; Ray ends idle workers with the job."""
        if self._duty is not None:
            self._duty.cancel()
            await asyncio.gather(self._duty, return_exceptions=True)

    async def _keep_full(self) -> None:
        counting = False
        while True:
            self._changed.clear()
            full = True
            try:
                full = await self._fill(counting=counting)
            except (RayError, ConnectionError, grpc.RpcError) as error:
                log.info("warm_pool.not_filled", reason=repr(error))
            if await within(self._changed, _COUNT_S if full else _PACE_S):
                counting = False
                await asyncio.sleep(SETTLE_S)
            else:
                counting = full

    async def _fill(self, *, counting: bool) -> bool:
        """Whether the pools are full when those that have been begun are there."""
        now = asyncio.get_running_loop().time()
        marked = await asyncio.to_thread(node_marks.marked)
        nodes: list[dict[str, Any]] = [
            node for node in await asyncio.to_thread(ray.nodes) if node["Alive"] and node["NodeID"] not in marked
        ]
        if counting:
            self._idle = await asyncio.to_thread(idle_workers)
        self._expected = {one: at for one, at in self._expected.items() if now - at < pool_size.EXPECTED_S}
        full = [await self._fill_node(node, now, len(nodes)) for node in nodes]
        return all(full)

    async def _fill_node(self, node: dict[str, Any], now: float, nodes: int) -> bool:
        node_id = node["NodeID"]
        at_rest = min(int(node["Resources"].get("CPU", 0)), pool_size.MOST_AT_REST)
        if not at_rest:
            return True
        if now - self._filled_at.get(node_id, -_KEEP_S) >= _KEEP_S:
            self._filled_at[node_id] = now
            self._idle[node_id] = 0
        wanted = pool_size.wanted(
            at_rest,
            expected=-(-len(self._expected) // nodes),
            recent=pool_size.still(self._starts, now, pool_size.BUSY_S),
            available=_available(node, self._idle[node_id]),
        )
        missing = pool_size.fill(self._idle[node_id], at_rest, wanted)
        for count, keep_s in ((missing.lasting, _KEEP_S), (missing.passing, int(pool_size.EXPECTED_S))):
            if count:
                await asyncio.to_thread(prestart, node, count, keep_s)
                self._idle[node_id] += count
        return self._idle[node_id] >= wanted


def _available(node: dict[str, Any], idle: int) -> int:
    """Memory of a node in bytes: what was free when Ray started there; of our own node, what is free now, if less."""
    at_start = int(node["Resources"].get("memory", 0))
    if node["NodeID"] != ray.get_runtime_context().get_node_id():
        return at_start
    return min(at_start, available_memory() + idle * pool_size.WORKER_BYTES)


def idle_workers() -> Counter[str]:
    """How many workers of each node are no actor's, whichever job they are for. Not counted are the spare processes
    that execution actors keep (`hosts.spare_process`): no strategy can have them."""
    accessor = ray_state._connect_and_get_accessor()  # noqa: SLF001 - as `ray.nodes` does
    idle: Counter[str] = Counter()
    for packed in accessor.get_worker_table():
        worker = gcs_pb2.WorkerTableData.FromString(packed)
        if worker.is_alive and worker.worker_type == common_pb2.WORKER:
            idle[worker.worker_address.node_id.hex()] += 1
    for actor in ray_state.actor_table(None).values():
        if actor["State"] == "ALIVE":
            idle[actor["Address"]["NodeID"]] -= 2 if is_execution(actor["Name"]) else 1
    return idle
