"""The nodes of the cluster, what runs on them, and which of them are being emptied, as Ray's head tells.

Import it after `cluster.connect`. Every call may wait for the head, so make it in a thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray
from ray._private.state import state as ray_state

from actors.runtime import node_marks
from actors.runtime.hosts.actor_classes import ORDER_GATEWAY

_HEAD = "node:__internal_head__"
"""The resource that Ray gives the node of its head."""


@dataclass(frozen=True, slots=True)
class Node:
    """A live node of the cluster.

    `carries`: it may have actors; a head with `--num-cpus=0` may not. `marked`: no actor begins there.
    `gateway`: orders may leave from it. `head`: Ray's head is there.
    """

    node_id: str
    address: str
    host: str
    marked: bool = False
    carries: bool = True
    gateway: bool = False
    head: bool = False

    def is_called(self, name: str) -> bool:
        """Whether an operator may mean this node: by its address, its host's name, or how its id begins."""
        return name in {self.address, self.host} or (len(name) >= 6 and self.node_id.startswith(name))

    def __str__(self) -> str:
        return f"{self.address} ({self.host}, {self.node_id[:8]}{', being emptied' if self.marked else ''})"


class AnotherDrain(Exception):
    """Another `tradeactors drain` is at work; the message is a whole sentence."""


def nodes() -> list[Node]:
    """All that live. Forgets the marks of nodes that are gone: one that is started again is another one."""
    marked, alive = node_marks.marked(), [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    for node_id in marked - {node["NodeID"] for node in alive}:
        node_marks.unmark(node_id)
    return [
        Node(
            node["NodeID"],
            node["NodeManagerAddress"],
            node["NodeManagerHostname"],
            marked=node["NodeID"] in marked,
            carries=node["Resources"].get("CPU", 0) > 0,
            gateway=ORDER_GATEWAY in node["Resources"],
            head=_HEAD in node["Resources"],
        )
        for node in alive
    ]


def actors_on(node_id: str) -> list[str]:
    """The names of the actors that live there."""
    table = ray_state.actor_table(None).values()
    return sorted(a["Name"] for a in table if a["State"] == "ALIVE" and a["Address"]["NodeID"] == node_id and a["Name"])


def is_running(name: str) -> bool:
    """Whether an actor of this name is running, on any node."""
    table = ray_state.actor_table(None).values()
    return any(actor["State"] == "ALIVE" and actor["Name"] == name for actor in table)


@contextmanager
def only_drain(what: str) -> Iterator[None]:
    """Empty nodes in this block, unless another process does: two could take both guards of a position at once, and
    leave each other no node. One that has died does not count. Of two that begin in one moment both may be refused.

    Raises:
        AnotherDrain: another one is at work.
    """
    own: str = ray.get_runtime_context().get_job_id()
    node_marks.begin(own, what)
    try:
        jobs = ray_state.job_table()  # type: ignore[no-untyped-call]
        living = {job["JobID"] for job in jobs if not job["IsDead"]}
        for job_id, its in node_marks.at_work().items():
            if job_id not in living:
                node_marks.end(job_id)
            elif job_id != own:
                raise AnotherDrain(f"Another `tradeactors drain` is emptying {its}: one node at a time.")
        yield
    finally:
        node_marks.end(own)
