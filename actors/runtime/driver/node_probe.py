"""What every node of the cluster says of itself, for `tradeactors doctor`: others may have started it."""

import os
import platform
import time
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.domain.orders.order_address import SeenAddress
from actors.runtime import node_marks
from actors.runtime.hosts.actor_classes import ORDER_GATEWAY
from broker.kite.order_address import seen_address, source_address
from config.ray_settings import may_take_priority_back

_PROBE_TIMEOUT_S = 30.0
_NOT_ASKED = SeenAddress("", unknown="it was not asked for")


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One node as a worker process there sees it.

    `cpus`: what it offers to actors. `environment`: the RAY_ variables of that process but the secrets.
    `clock_offset_s`: its clock minus ours, exact to half of `round_trip_s`. `source_address`: where its connections to
    the broker come from, before any NAT; empty if there is no way there. `seen`: what the broker sees, of a gateway.
    `emptied`: no actor begins there (`node_marks`). `fault`: why it did not answer.
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
    seen: SeenAddress = _NOT_ASKED
    emptied: bool = False
    fault: str = ""


def probe_nodes(broker_root: str, echo_url: str = "") -> list[NodeReport]:
    """Ask every live node, one after the other. `echo_url`: see `seen_address`."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    marked = node_marks.marked()
    reports = [_probe(node, broker_root, echo_url) for node in nodes if node["Alive"]]
    return [replace(report, emptied=report.node_id in marked) for report in reports]


def own_versions() -> tuple[str, str]:
    """Of Python and of Ray."""
    return platform.python_version(), ray.__version__


def _probe(node: dict[str, Any], broker_root: str, echo_url: str) -> NodeReport:
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
    if ORDER_GATEWAY in resources:  # apart: it takes its time, and the clock must not wait for it
        seen["seen"] = _leaving(known[1], where, broker_root, echo_url)
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
        "source_address": source_address(broker_root),
        "now": time.time(),
    }


def _leaving(address: str, where: NodeAffinitySchedulingStrategy, broker_root: str, echo_url: str) -> SeenAddress:
    asked = _see.options(scheduling_strategy=where).remote(address, broker_root, echo_url)
    try:
        seen: SeenAddress = ray.get(asked, timeout=_PROBE_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - whatever it is, the address is not known
        return SeenAddress(address, unknown=f"the node gave no answer ({type(error).__name__})")
    return seen


@ray.remote(num_cpus=0, max_retries=0)
def _see(address: str, broker_root: str, echo_url: str) -> SeenAddress:
    return seen_address(address, broker_root, echo_url)
