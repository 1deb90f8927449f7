"""Ray on this machine, with the settings that our measurements ask for."""

import importlib.util
import json
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.secret_store import write_once
from config.settings import Settings
from config.stack.guarded_process import Command, GuardedProcess
from config.stack.postgres import short_temporary_directory

NAMESPACE = "tradeactors"
TOKEN_FILE = "ray_token"  # noqa: S105
PRELOADED_MODULE = "actors.runtime.hosts.actor_classes"
PRELOADED = ",".join(
    (PRELOADED_MODULE, "ray._common.pydantic_compat", "ray._private.arrow_serialization", "starlette.datastructures")
)
"""What idle workers import ahead: all that a strategy runs, and what Ray itself imports at a process's first call."""

WARM_WORKERS = 6
RESOURCES = {"order_gateway": 1000}


LOOPBACK_ONLY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Despite its name: 0 makes a node's address 127.0.0.1 on Linux too, and Ray then listens nowhere else."""

RAY_SETTINGS: Mapping[str, str] = {
    "RAY_AUTH_MODE": "token",
    # Workers start at nice 15 by default, which makes a 4 ms chain 300 ms as soon as the cores are busy.
    "RAY_worker_niceness": "0",
    # An actor that was killed is callable again after 0.1 s instead of 1.5 s.
    "RAY_timeout_ms_task_wait_for_death_info": "50",
    "RAY_core_worker_internal_heartbeat_ms": "100",
    "RAY_worker_maximum_startup_concurrency": str(WARM_WORKERS),
    # The first driver of the embedded Ray is the head itself, which runs no actors: no workers ahead for it.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
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
    if _is_importable(PRELOADED_MODULE):
        environment["RAY_preload_python_modules"] = PRELOADED
    return environment


@dataclass(frozen=True)
class RayPlan:
    """Where the head node listens and keeps its session."""

    port: int
    dashboard_port: int
    session_root: Path
    logs: Path

    @property
    def address(self) -> str:
        """What `ray.init(address=...)` wants."""
        return f"127.0.0.1:{self.port}"

    @property
    def ready_file(self) -> Path:
        """Written by the head when it takes connections."""
        return self.session_root / "ready"


def plan_ray(port: int, dashboard_port: int, logs: Path) -> RayPlan:
    """Make the session directory: private, and short because unix sockets live in it."""
    session_root = Path(tempfile.mkdtemp(prefix="ta-ray-", dir=short_temporary_directory()))
    return RayPlan(port, dashboard_port, session_root, logs)


def ray_command(plan: RayPlan, settings: Settings, environment: dict[str, str]) -> Command:
    """The head node. DATA_DIR/logs/ray points to its session's logs, which move there when the session goes."""
    write_once(settings.data_dir / TOKEN_FILE, secrets.token_hex(32))
    session_logs, kept_logs = plan.session_root / "session_latest" / "logs", plan.logs / "ray"
    _make_way(kept_logs)
    kept_logs.symlink_to(session_logs)
    argv = (
        *(sys.executable, "-P", "-m", "config.stack.ray_head"),
        *("--port", str(plan.port), "--dashboard-port", str(plan.dashboard_port)),
        *("--temp-dir", str(plan.session_root), "--ready-file", str(plan.ready_file)),
        *("--num-cpus", str(WARM_WORKERS), "--resources", json.dumps(RESOURCES)),
    )
    return Command(
        "Ray",
        argv,
        plan.logs / "ray.log",
        # The dashboard's processes leave temporary directories when they are killed: let them go with the session.
        {**environment, "TMPDIR": str(plan.session_root)},
        keep=((session_logs, kept_logs),),
        remove=(plan.session_root,),
    )


def await_ray(plan: RayPlan, head: GuardedProcess, cancelled: threading.Event) -> None:
    """Wait until the head takes connections and its dashboard is up.

    Raises:
        StackError: it ended or is not ready within two minutes.
    """
    head.wait_until(plan.ready_file.exists, timeout_s=120, cancelled=cancelled)


def _make_way(kept_logs: Path) -> None:
    previous = kept_logs.with_name("ray.previous")
    if kept_logs.is_symlink():
        kept_logs.unlink()
    elif kept_logs.exists():
        shutil.rmtree(previous, ignore_errors=True)
        kept_logs.rename(previous)


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
