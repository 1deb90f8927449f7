"""The whole stack killed -> Recovery Complete."""

import contextlib
import json
import multiprocessing
import time
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
import psutil

from benchmarks.figures import Figure, met
from config.settings import Settings
from config.stack.stack import Stack
from tests.kit.stack import stack_settings, temporary_data_dir

STACK_OF = 50


def whole_stack() -> Figure:
    """A stack of its own, with `STACK_OF` strategies that wait; every process of it is killed at once."""
    with temporary_data_dir() as data_dir:
        mine, its = multiprocessing.Pipe()
        owner = multiprocessing.get_context("spawn").Process(target=_hold_stack, args=(its, data_dir))
        owner.start()
        _start_strategies(mine.recv(), STACK_OF)
        for process in (psutil.Process(owner.pid), *psutil.Process(owner.pid).children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # a guardian may have been quicker
                process.kill()
        owner.join()
        begun, log = time.time(), data_dir / "logs" / "api.log"
        with Stack(_settings(data_dir)):
            up = time.time() - begun
            at, found = _await_recovery(log, begun)
        whole = at - begun
    return Figure(
        f"Whole stack killed with {STACK_OF} running strategies, until Recovery Complete",
        "< 60 s",
        verdict=met(ok=whole < 60 and found == STACK_OF, said=f"{whole:.1f} s, {found} strategies found"),
        plain=[("databases, Ray and API up again", f"{up:.1f} s"),
               ("all strategies have their actors", f"{whole:.1f} s")],
    )  # fmt: skip


def _settings(data_dir: Path) -> Settings:
    room = {"max_running": 1000, "max_running_total": 1000}  # all of one user
    return stack_settings(data_dir, api_rate_per_minute=0, api_requests_at_once=0, auth_rate_per_minute=0, **room)


def _hold_stack(pipe: Connection, data_dir: Path) -> None:
    stack = Stack(_settings(data_dir))
    with stack:
        pipe.send(stack.urls["API"])
        pipe.recv()


def _start_strategies(url: str, count: int) -> None:
    with httpx.Client(base_url=url, timeout=120) as http:
        token = http.post("/auth/register", json={"email": "many@example.com", "password": "correct horse battery"})
        http.headers["Authorization"] = f"Bearer {token.raise_for_status().json()['access_token']}"
        keys = {"broker": "paper", "api_key": "paper", "api_secret": "paper-secret", "access_token": "paper-token"}
        http.post("/broker/connect", json=keys).raise_for_status()
        for _ in range(count):
            body = {"symbol": "TCS", "buy_time": "23:59:00", "sell_time": "23:59:59", "stop_loss": 1.0, "quantity": 1}
            strategy_id = http.post("/strategy/create", json=body).raise_for_status().json()["strategy_id"]
            http.post("/strategy/start", json={"strategy_id": strategy_id}).raise_for_status()


def _await_recovery(log: Path, since: float) -> tuple[float, int]:
    """When the log says so, by its own timestamp, and how many strategies were found."""
    while time.time() < since + 180:
        for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
            if '"Recovery Complete"' in line:
                entry = json.loads(line)
                at = datetime.fromisoformat(entry["timestamp"]).timestamp()
                if at > since:
                    return at, int(entry["found"])
        time.sleep(0.1)
    raise TimeoutError(f"no Recovery Complete in {log}")
