"""Asks a node's raylet for idle worker processes, kept until an actor needs one.

Ray offers this to no library: `PrestartWorkers` is what its own job server calls. An actor gets an idle worker of its
own job and of exactly its own runtime environment.
"""

import functools
from typing import Any

import ray
from ray._private.grpc_utils import init_grpc_channel  # the one way to a raylet that knows the cluster's token
from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc

NO_ENVIRONMENT = "{}"
"""The runtime environment of an actor that was given none, as Ray writes it."""

_TIMEOUT_S = 5.0


@functools.lru_cache(maxsize=256)
def _raylet(address: str) -> Any:
    return node_manager_pb2_grpc.NodeManagerServiceStub(init_grpc_channel(address))


def prestart(node: dict[str, Any], count: int, keep_s: int, environment: str = NO_ENVIRONMENT) -> None:
    """Have `count` idle workers begun on this node (a line of `ray.nodes`) for this process's job; Ray ends those that
    no actor has taken after `keep_s` seconds. They are on their way when this returns. Raises grpc.RpcError."""
    request = node_manager_pb2.PrestartWorkersRequest(
        language=common_pb2.PYTHON,
        job_id=bytes.fromhex(ray.get_runtime_context().get_job_id()),
        num_workers=count,
        keep_alive_duration_secs=keep_s,
    )
    request.runtime_env_info.serialized_runtime_env = environment
    _raylet(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}").PrestartWorkers(request, timeout=_TIMEOUT_S)
