"""Idle workers kept ready on every node, so that a START finds a process which has imported everything already.

An actor that starts cold takes most of a second of both cores. Ray starts idle workers ahead when a node's raylet is
asked to (`PrestartWorkers`), for the one job whose actors may have them, and keeps them for as long as it is told. So
each process that creates strategies has its pools, and fills them up again after each START.
"""

import asyncio
import functools
from collections import Counter
from typing import Any

import grpc
import ray
import structlog
from ray._private.grpc_utils import init_grpc_channel  # the one way to a raylet that knows the cluster's token
from ray._private.state import state as ray_state
from ray.core.generated import common_pb2, gcs_pb2, node_manager_pb2, node_manager_pb2_grpc
from ray.exceptions import RayError

log = structlog.get_logger(__name__)

SETTLE_S = 0.3
"""STARTs often come together: they get their workers first."""

_MOST_PER_NODE = 8
_KEEP_S = 8 * 3600
"""Longer than a session of the exchange: a pool is made anew while nobody trades."""

_COUNT_S = 20.0
"""How long nobody has taken one when the idle workers are counted: restarts and routers take some unseen."""

_TIMEOUT_S = 5.0


class WarmPool:
    """Keeps the pools of all nodes full, one worker for each CPU that the node tells Ray of, at most eight."""

    def __init__(self) -> None:
        self._filled_at: dict[str, float] = {}
        self._taken: Counter[str] = Counter()
        self._some_taken = asyncio.Event()
        self._duty: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Fill the pools, and keep them full from now on."""
        self._duty = asyncio.create_task(self._keep_full())

    def taken(self, node_id: str) -> None:
        """Somebody has taken a worker of that node."""
        self._taken[node_id] += 1
        self._some_taken.set()

    async def close(self) -> None:
        """Let go; Ray ends the workers with the job."""
        if self._duty is not None:
            self._duty.cancel()
            await asyncio.gather(self._duty, return_exceptions=True)

    async def _keep_full(self) -> None:
        counting = False
        while True:
            try:
                await self._fill(counting=counting)
            except (RayError, ConnectionError, grpc.RpcError) as error:
                log.info("warm_pool.not_filled", reason=repr(error))
            try:
                await asyncio.wait_for(self._some_taken.wait(), _COUNT_S)
            except TimeoutError:
                counting = True
                continue
            await asyncio.sleep(SETTLE_S)
            counting = False
            self._some_taken.clear()

    async def _fill(self, *, counting: bool) -> None:
        now = asyncio.get_running_loop().time()
        nodes: list[dict[str, Any]] = await asyncio.to_thread(ray.nodes)
        idle = await asyncio.to_thread(idle_workers) if counting else None
        for node in nodes:
            if node["Alive"]:
                await self._fill_node(node, now, idle[node["NodeID"]] if idle is not None else None)

    async def _fill_node(self, node: dict[str, Any], now: float, idle: int | None) -> None:
        node_id = node["NodeID"]
        size = min(int(node["Resources"].get("CPU", 0)), _MOST_PER_NODE)
        expired = now - self._filled_at.get(node_id, -_KEEP_S) >= _KEEP_S
        missing = size if expired else min(size, self._taken[node_id] if idle is None else max(0, size - idle))
        if missing:
            await asyncio.to_thread(prestart, node, missing)
        self._taken.pop(node_id, None)
        if expired:
            self._filled_at[node_id] = now


def idle_workers() -> Counter[str]:
    """How many workers of each node are no actor's, whichever job they are for."""
    accessor = ray_state._connect_and_get_accessor()  # noqa: SLF001 - as `ray.nodes` does
    idle: Counter[str] = Counter()
    for packed in accessor.get_worker_table():
        worker = gcs_pb2.WorkerTableData.FromString(packed)
        if worker.is_alive and worker.worker_type == common_pb2.WORKER:
            idle[worker.worker_address.node_id.hex()] += 1
    for actor in ray_state.actor_table(None).values():
        if actor["State"] == "ALIVE":
            idle[actor["Address"]["NodeID"]] -= 1
    return idle


@functools.lru_cache(maxsize=256)
def _raylet(address: str) -> Any:
    return node_manager_pb2_grpc.NodeManagerServiceStub(init_grpc_channel(address))


def prestart(node: dict[str, Any], count: int) -> None:
    """Ask a node's raylet for so many idle workers for this process's job. Raises grpc.RpcError."""
    request = node_manager_pb2.PrestartWorkersRequest(
        language=common_pb2.PYTHON,
        job_id=bytes.fromhex(ray.get_runtime_context().get_job_id()),
        num_workers=count,
        keep_alive_duration_secs=_KEEP_S,
    )
    request.runtime_env_info.serialized_runtime_env = "{}"
    _raylet(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}").PrestartWorkers(request, timeout=_TIMEOUT_S)
