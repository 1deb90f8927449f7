"""Row J1 and ruling 7: a whole stack that dies and comes back, and the demo as a newcomer runs it."""

import json
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
from tests.kit.stack import temporary_data_dir

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


def _processes_of(data_dir: Path) -> list[int]:
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
    """The trader's app, which outlives the stack."""

    def __init__(self, urls: dict[str, str], data_dir: Path) -> None:
        self.token = ""
        self.reconnect(urls, data_dir)

    def reconnect(self, urls: dict[str, str], data_dir: Path) -> None:
        self.http = httpx.Client(base_url=urls["API"], timeout=45)
        if self.token:
            self.http.headers["Authorization"] = f"Bearer {self.token}"
        self.exchange = PaperControl(urls["paper exchange"], paper_token(data_dir))

    def ok(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        data: dict[str, Any] = answer.json()
        return data

    def sign_up(self) -> None:
        answer = self.ok("POST", "/auth/register", {"email": "a@example.com", "password": "correct horse battery"})
        self.token = answer["access_token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        keys = {"api_key": "paper", "api_secret": "paper-secret", "access_token": "paper-token"}
        self.ok("POST", "/broker/connect", {"broker": "paper", **keys})

    def status(self, strategy_id: int) -> dict[str, Any]:
        return self.ok("GET", f"/strategy/status/{strategy_id}")


def test_stack_that_is_killed_comes_back_with_its_strategies_guarded() -> None:
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    with temporary_data_dir() as data_dir:
        with up(data_dir) as (process, urls):
            app = App(urls, data_dir)
            app.sign_up()
            app.exchange.set_price("NSE:SBIN", 800.00)
            buy_at = datetime.now(ZoneInfo("Asia/Kolkata")) + timedelta(seconds=6)
            times = {"buy_time": f"{buy_at:%H:%M:%S}", "sell_time": "23:59:59"}
            wanted = {"symbol": "SBIN", "stop_loss": 790.0, "quantity": 5, **times}
            strategy_id = app.ok("POST", "/strategy/create", wanted)["strategy_id"]
            app.ok("POST", "/strategy/start", {"strategy_id": strategy_id})
            eventually(lambda: app.status(strategy_id)["position"] == "bought", 30, "bought")
            process.kill()
            process.wait(10)
        eventually(lambda: not _processes_of(data_dir), 20, "no process is left behind")

        with up(data_dir) as (_, urls):
            app.reconnect(urls, data_dir)
            log = data_dir / "logs" / "api.log"
            eventually(lambda: "Recovery Complete" in log.read_text(), 60, "Recovery Complete")
            sweeps = [json.loads(line) for line in log.read_text().splitlines() if '"found"' in line]
            assert sweeps[0]["found"] == 1, sweeps
            assert app.status(strategy_id)["position"] == "bought"
            app.exchange.set_price("NSE:SBIN", 789.00)
            eventually(lambda: app.status(strategy_id)["position"] == "exited_by_sl", 30, "stopped out")
            orders = app.exchange.ledger(user_id="PA0001")["accounts"]["PA0001"]["orders"]
            assert [order["transaction_type"] for order in orders] == ["BUY", "SELL"]
        assert not _processes_of(data_dir)


def test_demo_ends_with_every_strategy_as_it_should() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "RAY_"))}
    command = [sys.executable, "-P", "-m", "config.commands.cli", "demo"]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every strategy ended as it should." in done.stdout
