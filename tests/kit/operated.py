"""`tradeactors up` as an operator runs it, and a trader's app that outlives the stack."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from config.settings import PREFIX
from config.stack.data_directory import find_running_stack
from config.stack.paper import paper_token
from tests.kit.paper import PaperControl, eventually

UP_WITHIN_S = 90


@contextmanager
def up(data_dir: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """`tradeactors up` as an operator runs it, and where its parts are."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "RAY_"))}
    command = [sys.executable, "-P", "-m", "config.commands.cli", "up", "--data-dir", str(data_dir)]
    ports = ["--api-port", "0", "--paper-port", "0", "--dashboard-port", "0"]
    process = subprocess.Popen([*command, *ports], env=clean | settings, stdout=subprocess.DEVNULL, text=True)
    try:
        eventually(lambda: process.poll() is not None or _urls(data_dir), UP_WITHIN_S, "the stack is up")
        yield process, _urls(data_dir)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(60)


def _urls(data_dir: Path) -> dict[str, str]:
    running = find_running_stack(data_dir)
    return dict(running.urls) if running is not None else {}


def processes_of(data_dir: Path) -> list[int]:
    """Every process whose command line or environment names the data directory."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(data_dir).encode() in text:
                found.append(int(folder.name))
    return found


class App:
    """The trader's app, which outlives the stack; the exchange is that of the stack unless another one is given."""

    def __init__(self, urls: dict[str, str], data_dir: Path, exchange: PaperControl | None = None) -> None:
        self.token = ""
        self.reconnect(urls, data_dir, exchange)

    def reconnect(self, urls: dict[str, str], data_dir: Path, exchange: PaperControl | None = None) -> None:
        self.http = httpx.Client(base_url=urls["API"], timeout=45)
        if self.token:
            self.http.headers["Authorization"] = f"Bearer {self.token}"
        self.exchange = exchange or PaperControl(urls["paper exchange"], paper_token(data_dir))

    def ok(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        data: dict[str, Any] = answer.json()
        return data

    def sign_up(self) -> None:
        self._authenticate("/auth/register")
        keys = {"api_key": "paper", "api_secret": "paper-secret", "access_token": "paper-token"}
        self.ok("POST", "/broker/connect", {"broker": "paper", **keys})

    def log_in(self) -> None:
        self.http.headers.pop("Authorization", None)
        self._authenticate("/auth/login")

    def _authenticate(self, path: str) -> None:
        answer = self.ok("POST", path, {"email": "a@example.com", "password": "correct horse battery"})
        self.token = answer["access_token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    def status(self, strategy_id: int) -> dict[str, Any]:
        return self.ok("GET", f"/strategy/status/{strategy_id}")
