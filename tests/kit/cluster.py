"""Several real Ray nodes on this machine, each with an address of its own in 127/8, and API processes beside them.

The databases and the paper exchange are the embedded ones; the nodes are started with `ray start`, as
docs/operations.md tells an operator to. A node's processes are found by a mark in their environment.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from config.ray_settings import CLUSTER_SETTINGS, TOKEN_FILE, ray_environment
from config.secret_store import write_once
from config.settings import PREFIX, Settings
from config.stack.guarded_process import answers_ok, free_ports, short_temporary_directory
from config.stack.paper import paper_token
from config.stack.stack import Part, Stack
from tests.kit.alerts import AlertInbox
from tests.kit.paper import PaperControl, eventually
from tests.kit.session import QUICK
from tests.kit.stack import environment, no_settings_in_environment, stack_settings, temporary_data_dir
from tests.kit.trader import Deployment

HEAD = "127.0.0.10"
"""Ray takes 127.0.0.1 for a word, not for an address: it would put the machine's own in its place."""

HOSTS = {"gateway": "127.0.0.11", "one": "127.0.0.12", "two": "127.0.0.13", "other": "127.0.0.14"}

_MARK = "TA_TEST_PROCESS"
_UP_WITHIN_S = 90


class Marked:
    """A command and every process that came of it, found by what their environment says."""

    def __init__(self, name: str, argv: list[str], variables: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._mark = f"{_MARK}={name}-{uuid.uuid4().hex}"
        key, _, value = self._mark.partition("=")
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                argv, env={**os.environ, **variables, key: value}, stdout=out, stderr=out, start_new_session=True
            )

    def pids(self) -> list[int]:
        """Its living processes."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if self._mark.encode() in (folder / "environ").read_bytes():
                        found.append(int(folder.name))
                except OSError:
                    continue
        return found

    def signal(self, how: signal.Signals) -> None:
        """Send a signal to all of it: SIGKILL is a machine that lost its power, SIGSTOP one that is cut off."""
        for pid in self.pids():
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue

    def kill(self) -> None:
        """Kill all of it, and wait until nothing is left."""
        eventually(self._killed, 20, f"{self.name} is gone")

    def _killed(self) -> bool:
        self.signal(signal.SIGKILL)
        self._process.poll()
        return not self.pids()


@dataclass
class Cluster:
    """See the head of this module."""

    deployment: Deployment
    variables: dict[str, str]
    head_address: str
    directory: Path
    nodes: dict[str, Marked] = field(default_factory=dict)
    _logs: dict[str, Path] = field(default_factory=dict)
    apis: list[Marked] = field(default_factory=list)
    api_urls: list[str] = field(default_factory=list)

    def start_head(self) -> None:
        """The head node, which carries no actors; also after it has died: its storage is still there."""
        host, _, port = self.head_address.rpartition(":")
        # Ray takes the other nodes of this machine for a head that still runs
        (self.directory / "ray" / "ray_current_cluster").unlink(missing_ok=True)
        self._start_node("head", host, "--head", "--port", port, "--num-cpus", "0", "--include-dashboard", "false")

    def start_node(self, name: str, *, gateway: bool = False, **variables: str) -> None:
        """A node for strategies, or one that orders may leave from. `variables`: of its environment alone."""
        host = HOSTS[name]
        resources = json.dumps({"order_gateway": 1000} if gateway else {})
        options = ("--address", self.head_address, "--num-cpus", "2", "--resources", resources)
        self._start_node(name, host, *options, **variables)

    def _start_node(self, name: str, host: str, *options: str, **variables: str) -> None:
        argv = [str(Path(sys.executable).with_name("ray")), "start", "--node-ip-address", host, *options]
        argv += ["--min-worker-port", "0", "--max-worker-port", "0", "--temp-dir", str(self.directory / "ray")]
        argv += ["--disable-usage-stats", "--block"]
        log = self.directory / f"{name}.log"
        log.unlink(missing_ok=True)
        self.nodes[name] = Marked(name, argv, {**self.variables, **variables}, log)
        self._logs[name] = log

    def await_node(self, name: str) -> None:
        """Wait until a node takes part."""
        log = self._logs[name]
        eventually(lambda: "Ray runtime started" in log.read_text(), _UP_WITHIN_S, f"{name} is up")

    def variables_at(self, node: str) -> dict[str, str]:
        """The environment of a command that an operator gives on that node's machine."""
        return {**os.environ, **self.variables, f"{PREFIX}RAY_NODE_ADDRESS": HOSTS[node]}

    def start_api(self, node: str) -> str:
        """One more API process, beside that node; its URL."""
        (port,) = free_ports(1)
        argv = [sys.executable, "-P", "-m", "config.commands.cli", "api"]
        variables = {**self.variables, f"{PREFIX}API_PORT": str(port), f"{PREFIX}RAY_NODE_ADDRESS": HOSTS[node]}
        self.apis.append(Marked(f"api{port}", argv, variables, self.directory / f"api{port}.log"))
        eventually(lambda: answers_ok("127.0.0.1", port, "/readyz"), _UP_WITHIN_S, "the API is ready")
        self.api_urls.append(f"http://127.0.0.1:{port}")
        self.deployment.api_url = self.api_urls[0]
        return self.api_urls[-1]

    def join(self, node: str) -> None:
        """Make this process a driver that belongs to that node."""
        from actors.runtime.driver import cluster

        cluster.connect(self.deployment.settings.model_copy(update={"ray_node_address": HOSTS[node]}))

    def node_of(self, actor: str) -> str:
        """The name of the node that a named actor runs on."""
        pid = self.deployment.actor_pid(actor)
        return next(name for name, node in self.nodes.items() if pid in node.pids())

    def kill_actor(self, name: str) -> None:
        """Kill the process of a named actor; one that is just being started again is left alone."""
        from ray.exceptions import GetTimeoutError, RayError

        with contextlib.suppress(RayError, ValueError, GetTimeoutError, ProcessLookupError):
            os.kill(self.deployment.actor_pid(name), signal.SIGKILL)

    def home_now(self, actor: str) -> str | None:
        """As `node_of`; None if it does not answer at once."""
        import ray
        from ray.exceptions import GetTimeoutError, RayError

        try:
            handle: Any = ray.get_actor(actor, namespace="tradeactors")
            pid = ray.get(handle.process_id.remote(), timeout=1)
        except (RayError, ValueError, GetTimeoutError):
            return None
        return next((name for name, node in self.nodes.items() if pid in node.pids()), None)

    def close(self) -> None:
        """Kill whatever is left."""
        for process in (*self.apis, *self.nodes.values()):
            process.kill()


@contextmanager
def running_cluster(**settings: Any) -> Iterator[Cluster]:
    """Databases, paper exchange and a head node; this process is a driver of its Ray. Start nodes and APIs yourself."""
    gcs, dashboard = free_ports(2)
    address = f"{HEAD}:{gcs}"
    with ExitStack() as everything:
        everything.enter_context(no_settings_in_environment())
        alerts = everything.enter_context(AlertInbox())
        everything.enter_context(environment({f"{PREFIX}ALERT_URLS": alerts.url}))
        data_dir = everything.enter_context(temporary_data_dir())
        directory = Path(tempfile.mkdtemp(prefix="ta-cl-", dir=short_temporary_directory()))
        everything.callback(shutil.rmtree, directory, ignore_errors=True)
        chosen = {**QUICK, "ray_address": address, "dashboard_port": dashboard, **settings}
        parts = (Part.POSTGRES, Part.VALKEY, Part.PAPER)
        stack = everything.enter_context(Stack(stack_settings(data_dir, **chosen), parts=parts))
        variables = {**stack.environment, **_ray_variables(stack.settings, directory / "gcs")}
        everything.enter_context(environment(variables))
        client = redis.Redis.from_url(stack.settings.redis_url, decode_responses=True, socket_timeout=30)
        everything.callback(client.close)
        exchange = PaperControl(stack.settings.broker_root("paper"), paper_token(data_dir))
        deployment = Deployment(stack.settings, "", exchange, client, alerts)
        cluster = Cluster(deployment, variables, address, directory)
        everything.callback(cluster.close)
        cluster.start_head()
        cluster.await_node("head")
        yield cluster


def _ray_variables(settings: Settings, storage: Path) -> dict[str, str]:
    write_once(settings.data_dir / TOKEN_FILE, secrets.token_hex(32))
    return {
        **ray_environment(settings),
        **CLUSTER_SETTINGS,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # several nodes
        "RAY_gcs_storage_path": str(storage),
    }
