"""Ray on this machine: the plan of its head node, and its command."""

import contextlib
import json
import secrets
import shutil
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from config.ray_settings import RESOURCES, TOKEN_FILE, WARM_WORKERS
from config.secret_store import write_once
from config.settings import Settings
from config.stack.guarded_process import Command, GuardedProcess, short_temporary_directory

SESSION_PREFIX = "ta-ray-"

_READY_WITHIN_S = 120
"""Its dashboard included, which Ray gives 60 s, and then ends: that was not enough on a machine with other work."""


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
    session_root = Path(tempfile.mkdtemp(prefix=SESSION_PREFIX, dir=short_temporary_directory()))
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
        {
            **environment,
            "TMPDIR": str(plan.session_root),
            "RAY_DASHBOARD_STARTUP_TIMEOUT_S": str(_READY_WITHIN_S),
        },
        keep=((session_logs, kept_logs),),
        remove=(plan.session_root,),
    )


def await_ray(plan: RayPlan, head: GuardedProcess, cancelled: threading.Event) -> None:
    """Wait until the head takes connections and its dashboard is up.

    Raises:
        StackError: it ended or is not ready within two minutes.
    """
    head.wait_until(plan.ready_file.exists, timeout_s=_READY_WITHIN_S, cancelled=cancelled)


def _make_way(kept_logs: Path) -> None:
    """Keep the logs of the run before as `ray.previous`, and remove its session if it was killed before it could."""
    previous = kept_logs.with_name("ray.previous")
    if kept_logs.is_symlink():
        logs = kept_logs.readlink()
        kept_logs.unlink()
        session_root = logs.parent.parent
        if session_root.name.startswith(SESSION_PREFIX) and session_root.is_dir() and not _is_used(session_root):
            shutil.rmtree(previous, ignore_errors=True)
            with contextlib.suppress(OSError):  # there may be none yet, or no room for them
                shutil.copytree(logs, previous, ignore_dangling_symlinks=True)
            shutil.rmtree(session_root, ignore_errors=True)
    elif kept_logs.exists():
        shutil.rmtree(previous, ignore_errors=True)
        kept_logs.rename(previous)


def _is_used(session_root: Path) -> bool:
    """Whether a process still runs that was started for this session."""
    named = str(session_root).encode()
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
            if named in arguments.read_bytes():
                return True
    return False
