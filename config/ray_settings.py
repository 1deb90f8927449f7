"""The settings of Ray that our measurements ask for, and the environment that they travel in."""

import importlib.util
import resource
from collections.abc import Mapping
from pathlib import Path

from config.settings import Settings

NAMESPACE = "tradeactors"

TOKEN_FILE = "ray_token"  # noqa: S105

PRELOADED_MODULE = "actors.runtime.hosts.actor_classes"

PRELOADED = ",".join(
    (PRELOADED_MODULE, "ray._common.pydantic_compat", "ray._private.arrow_serialization", "starlette.datastructures")
)
"""What idle workers import ahead: all that a strategy runs, and what Ray itself imports at a process's first call."""

WARM_WORKERS = 6

STARTING_NICENESS = 10
"""Of workers that are on their way: six that begin at once would take both cores from ticks, orders and the API."""

_CAP_SYS_NICE = 23

RESOURCES = {"order_gateway": 1000}

LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Despite its name: 0 makes a node's address 127.0.0.1 on Linux too, and Ray then listens nowhere else."""

RAY_SETTINGS: Mapping[str, str] = {
    "RAY_AUTH_MODE": "token",
    # Workers start at nice 15 by default, which makes a 4 ms chain 300 ms as soon as the cores are busy. Where they
    # may take their priority back, those of the embedded Ray start at STARTING_NICENESS.
    "RAY_worker_niceness": "0",
    # An actor that was killed is callable again after 0.1 s instead of 1.5 s.
    "RAY_timeout_ms_task_wait_for_death_info": "50",
    "RAY_core_worker_internal_heartbeat_ms": "100",
    "RAY_worker_maximum_startup_concurrency": str(WARM_WORKERS),
    # The first driver of the embedded Ray is the head itself, which runs no actors: no workers ahead for it.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without it, a worker's files grow without end; Ray's own programs turn theirs over at 512 MB, five times.
    "RAY_ROTATION_MAX_BYTES": "67108864",
    "RAY_ROTATION_BACKUP_COUNT": "2",
    "MALLOC_ARENA_MAX": "1",
    LOOPBACK_ONLY: "0",
}

CLUSTER_SETTINGS: Mapping[str, str] = {
    # A lost node is found in some two seconds instead of sixteen.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    # While the head is away, strategies go on; by default all of Ray would end itself after a minute.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "86400",
    # The head may come back with what it knew. In Redis a flush would end it, and the password is in an argument.
    "RAY_gcs_storage": "rocksdb",
}
"""Beside RAY_SETTINGS, for a cluster of several nodes. RAY_gcs_storage_path: a directory that the head keeps."""


def ray_environment(settings: Settings) -> dict[str, str]:
    """The environment that the local Ray, every driver of it and so every worker must run with.

    Ray reads most of it when it is imported: a driver needs RAY_SETTINGS in its environment *before* `import ray`.
    The token itself is not in it, only the path of its file (mode 0600). For a cluster of several machines set the
    same apart from RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER, and the health checks that docs/operations.md lists.
    """
    environment = {**RAY_SETTINGS, "RAY_AUTH_TOKEN_PATH": str(settings.data_dir / TOKEN_FILE)}
    if may_take_priority_back():
        environment["RAY_worker_niceness"] = str(STARTING_NICENESS)
    if _is_importable(PRELOADED_MODULE):
        environment["RAY_preload_python_modules"] = PRELOADED
    return environment


def may_take_priority_back() -> bool:
    """Whether a process here that has given way may go back to niceness 0: what root may, and few others."""
    status = Path("/proc/self/status")
    if not status.exists():
        return False
    lines = dict(line.partition(":")[::2] for line in status.read_text(encoding="ascii", errors="replace").splitlines())
    may_all = bool(int(lines.get("CapEff", "0").strip(), 16) >> _CAP_SYS_NICE & 1)
    return may_all or resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
