"""How a host becomes a Ray actor, argued.

All actors are detached (they outlive the API process that made them) and named (the name makes START idempotent).
`max_restarts=-1`: a crashed actor comes back and recovers. `max_task_retries=0`: Ray must never repeat a call that may
trade; the caller decides. Next to no CPU: they wait most of the time, the machine's cores bound them anyway; but
not none, so that a head node with `--num-cpus 0` carries none of them and its death harms no strategy.
"""

import functools
import importlib
import os
import shlex
import sys
from typing import Any

import ray

from actors.runtime import node_marks
from actors.runtime.names import NAMESPACE

_COMMON: dict[str, Any] = {
    "namespace": NAMESPACE,
    "lifetime": "detached",
    "get_if_exists": True,
    "max_restarts": -1,
    "max_task_retries": 0,
    "num_cpus": 0.001,
}

_IMPORTS = "WORKER_IMPORTS_AHEAD"

_NICENESS = "RAY_worker_niceness"
"""In the environment of a process that makes actors, on a machine where workers give way while they start."""

_remote_class = functools.cache(ray.remote)  # each new one would be exported to the cluster again


def actor_of(host: type, name: str, *arguments: Any, **options: Any) -> Any:
    """The actor of that name, made if there is none, and then on no node that is being emptied. It asks Ray's head."""
    where = node_marks.placement(node_marks.marked())
    return _remote_class(host).options(name=name, **(_COMMON | where | options)).remote(*arguments)


def environment_of(module: str) -> dict[str, Any]:
    """A Ray runtime environment whose idle workers have imported this module when they become an actor.

    Every idle worker imports `actor_classes`, and with it this module, before it is anybody's. Those of this
    environment do not give way while they start, as others do: without execution no stop-loss leaves.
    """
    environment: dict[str, Any] = {"env_vars": {_IMPORTS: module}}
    if gives_way := int(os.environ.get(_NICENESS, "0")):
        environment["py_executable"] = f"nice -n -{gives_way} {shlex.quote(sys.executable)}"
    return environment


if _module := os.environ.get(_IMPORTS):
    importlib.import_module(_module)
