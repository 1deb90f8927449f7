"""What every node of the cluster says of itself, for `tradeactors doctor`: others may have started it."""

import os
import platform
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.runtime.hosts.actor_classes import ORDER_GATEWAY
from config.ray_settings import may_take_priority_back

_PROBE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node as a worker process there sees it.

    `cpus`: what it offers to actors. `environment`: the RAY_ variables of that process but the secrets.
    `clock_offset_s`: its clock minus ours, exact to half of `round_trip_s`. `source_address`: where its connections to
    the broker come from, before any NAT; empty if there is no way there. `fault`: why it did not answer.
    """

    node_id: str
    address: str
    gateway: bool
    cpus: float = 1
    niceness: int = 0
    environment: dict[str, str] | None = None
    versions: tuple[str, str] = ("", "")
    clock_offset_s: float = 0.0
    round_trip_s: float = 0.0
    source_address: str = ""
    fault: str = ""


def probe_nodes(broker_root: str) -> list[NodeReport]:
    """Ask every live node, one after the other."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [_probe(node, broker_root) for node in nodes if node["Alive"]]


def own_versions() -> tuple[str, str]:
    """Of Python and of Ray."""
    return platform.python_version(), ray.__version__


def _probe(node: dict[str, Any], broker_root: str) -> NodeReport:
    resources = node["Resources"]
    known = node["NodeID"], node["NodeManagerAddress"], ORDER_GATEWAY in resources, resources.get("CPU", 0.0)
    where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    asked = _look_around.options(scheduling_strategy=where)
    try:
        ray.get(asked.remote(broker_root), timeout=_PROBE_TIMEOUT_S)  # the first call may wait for a new process
        begun = time.time()
        seen = ray.get(asked.remote(broker_root), timeout=_PROBE_TIMEOUT_S)
        ended = time.time()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return NodeReport(*known, fault=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
    now = seen.pop("now")
    return NodeReport(*known, **seen, clock_offset_s=now - (begun + ended) / 2, round_trip_s=ended - begun)


@ray.remote(num_cpus=0, max_retries=0)
def _look_around(broker_root: str) -> dict[str, Any]:
    secret = ("TOKEN", "PASSWORD", "SECRET", "KEY")
    return {
        "niceness": 0 if may_take_priority_back() else os.nice(0),
        "environment": {
            name: value
            for name, value in os.environ.items()
            if name.startswith("RAY_") and not any(word in name.upper() for word in secret)
        },
        "versions": own_versions(),
        "source_address": _source_address(broker_root),
        "now": time.time(),
    }


def _source_address(root: str) -> str:
    """Which of this machine's addresses a connection to the broker would leave from. Nothing is sent."""
    address = urlsplit(root)
    try:
        found = socket.getaddrinfo(address.hostname, address.port or 443, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(where)
            return str(probe.getsockname()[0])
    except OSError:
        return ""
