"""Fills the pool of warm workers at once, as a quiet minute would: a benchmark kills more often than life does."""

import time
from collections import Counter
from typing import Any

_ENOUGH_S = 20.0
_KEEP_S = 3600


def fill_pool(actor: Any) -> None:
    """Wait until each node has as many idle workers as CPUs for the job to which this actor belongs."""
    import ray

    job = actor._actor_id.job_id.binary()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    wanted = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]}
    addresses = {n["NodeID"]: f"{n['NodeManagerAddress']}:{n['NodeManagerPort']}" for n in nodes if n["Alive"]}
    idle = _idle(job)
    for node, count in wanted.items():
        if count > idle[node]:
            _prestart(addresses[node], job, count - idle[node])
    until = time.monotonic() + _ENOUGH_S
    while any(_idle(job)[node] < count for node, count in wanted.items()):
        assert time.monotonic() < until, "the pool of warm workers does not fill up"
        time.sleep(0.1)


def _idle(job: bytes) -> Counter[str]:
    """How many workers of a job are no actor's, by node."""
    from ray._private.state import state
    from ray.core.generated import common_pb2, gcs_pb2

    idle: Counter[str] = Counter()
    for row in state._connect_and_get_accessor().get_worker_table():
        worker = gcs_pb2.WorkerTableData.FromString(row)
        if worker.is_alive and worker.worker_type == common_pb2.WORKER:
            print(worker.job_id, job)
            idle[worker.worker_address.node_id.hex()] += 1
    for actor in state.actor_table(None).values():
        if actor["State"] == "ALIVE":
            idle[actor["Address"]["NodeID"]] -= 1
    return idle


def _prestart(address: str, job: bytes, count: int) -> None:
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc

    request = node_manager_pb2.PrestartWorkersRequest(
        language=common_pb2.PYTHON, job_id=job, num_workers=count, keep_alive_duration_secs=_KEEP_S
    )
    request.runtime_env_info.serialized_runtime_env = "{}"
    node_manager_pb2_grpc.NodeManagerServiceStub(init_grpc_channel(address)).PrestartWorkers(request, timeout=10)
