"""Fills the pool of warm workers at once, as a quiet minute would: a benchmark kills more often than life does."""

import time
from typing import Any

_ENOUGH_S = 20.0
_KEEP_S = 3600


def fill_pool(actor: Any) -> None:
    """Wait until there are as many idle workers as CPUs, new ones for the job to which this actor belongs."""
    import ray

    wanted = int(ray.cluster_resources()["CPU"])  # type: ignore[no-untyped-call]
    if (missing := wanted - idle_workers()) > 0:
        prestart(actor, missing)
    until = time.monotonic() + _ENOUGH_S
    while idle_workers() < wanted:
        assert time.monotonic() < until, "the pool of warm workers does not fill up"
        time.sleep(0.1)


def idle_workers() -> int:
    """How many workers are no actor's, whichever job they are for."""
    from ray._private.state import state
    from ray.core.generated import common_pb2, gcs_pb2

    rows = state._connect_and_get_accessor().get_worker_table()
    workers = [gcs_pb2.WorkerTableData.FromString(row) for row in rows]
    actors = {actor["Pid"] for actor in state.actor_table(None).values() if actor["State"] == "ALIVE"}
    return sum(
        worker.is_alive and worker.worker_type == common_pb2.WORKER and worker.pid not in actors for worker in workers
    )


def prestart(actor: Any, count: int) -> None:
    """Ask the one node for `count` idle workers for the job of this actor."""
    import ray
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc

    (node,) = (node for node in ray.nodes() if node["Alive"])  # type: ignore[no-untyped-call]
    request = node_manager_pb2.PrestartWorkersRequest(
        language=common_pb2.PYTHON,
        job_id=actor._actor_id.job_id.binary(),
        num_workers=count,
        keep_alive_duration_secs=_KEEP_S,
    )
    request.runtime_env_info.serialized_runtime_env = "{}"
    channel = init_grpc_channel(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}")
    node_manager_pb2_grpc.NodeManagerServiceStub(channel).PrestartWorkers(request, timeout=_ENOUGH_S)
    channel.close()
