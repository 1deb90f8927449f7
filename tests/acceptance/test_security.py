"""Issue-wide promises about secrets, tokens and live push, on the real stack. Named after the threat they answer."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from config.secret_store import read_secrets
from config.stack.stack import Stack
from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader, at_once


def test_secrets_in_logs_redis_database_processes_and_dashboard(
    deployment: Deployment, stack: Stack, trader: Trader
) -> None:
    secrets = _walk_with_secrets(deployment, trader)
    stored = read_secrets(stack.settings.data_dir)
    assert stored is not None
    secrets |= {"JWT secret": stored.jwt_secret, "Redis password": stored.redis_password}
    secrets |= {f"encryption key {n}": key for n, key in enumerate(stored.encryption_keys)}
    places = [
        *_files(stack.log_directory),
        *_redis(deployment),
        *_database(deployment),
        *_processes(stack),
        ("metrics", trader.http.get("/metrics").content),
        ("dashboard", _dashboard(stack)),
    ]
    assert len(places) > 50, "the scan must have found the stack's files, keys, tables and processes"
    found = [
        f"{name} in {place}" for place, content in places for name, value in secrets.items() if _in(value, content)
    ]
    assert found == []


def test_encryption_key_rotated_under_a_running_strategy(deployment: Deployment, stack: Stack, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
    strategy.until_position("bought")
    before = deployment.query("select key_version from broker_accounts")
    _rotate(stack)
    after = deployment.query("select key_version from broker_accounts")
    assert {row["key_version"] for row in after}.isdisjoint(row["key_version"] for row in before)
    _rotate(stack, "--drop-old")
    new_token = f"after-rotation-{trader.account.user_id}"
    deployment.exchange.set_token(trader.account.user_id, new_token)  # the execution must open the new box to sell
    trader.ok("POST", "/broker/connect", {"access_token": new_token})
    strategy.set_price(789.00)
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)


def test_broker_token_that_expires_while_a_position_is_held(
    deployment: Deployment, trader: Trader, without_login: Running
) -> None:
    strategy = without_login
    request_token = deployment.exchange.request_token(trader.account.user_id)
    trader.ok("POST", "/broker/connect", {"request_token": request_token})
    assert strategy.until_stopped(60)["position"] == "exited_by_sl"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)


def test_start_with_an_expired_broker_token_says_so(deployment: Deployment, trader: Trader) -> None:
    wanted = {"symbol": "INFY", "buy_time": "09:30", "sell_time": "15:10", "stop_loss": 1.0, "quantity": 1}
    strategy_id = trader.ok("POST", "/strategy/create", wanted)["strategy_id"]
    deployment.exchange.expire_token(trader.account.user_id)
    refused = trader.call("POST", "/strategy/start", {"strategy_id": strategy_id})
    assert (refused.status_code, refused.json()["code"]) == (409, "broker_token_expired")
    assert trader.ok("GET", f"/strategy/status/{strategy_id}")["strategy_status"] == "created"


def test_hundred_stops_sell_once(trader: Trader) -> None:
    strategy = trader.strategy("INFY", buy_in=2)
    strategy.until_position("bought")
    answers = at_once(strategy.stop, 100)
    assert {answer.status_code for answer in answers} <= {200, 202}
    strategy.until_stopped()
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)


def test_stolen_refresh_token_ends_the_login_for_both(deployment: Deployment) -> None:
    trader = Trader(deployment)
    stolen = trader.register()["refresh_token"]
    successor = trader.ok("POST", "/auth/refresh", {"refresh_token": stolen})
    assert trader.call("POST", "/auth/refresh", {"refresh_token": stolen}).status_code == 401
    assert trader.call("POST", "/auth/refresh", {"refresh_token": successor["refresh_token"]}).status_code == 401
    deployment.redis.flushall()
    refused = trader.call("GET", "/auth/validate")
    assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")


def test_password_guessing_is_throttled(deployment: Deployment) -> None:
    trader = Trader(deployment)
    trader.register()
    guess = {"email": trader.email, "password": "a wrong guess"}
    answers = at_once(lambda: trader.call("POST", "/auth/login", guess), 30)
    assert {answer.status_code for answer in answers} == {401, 429}
    assert sum(answer.status_code == 401 for answer in answers) <= 10
    throttled = next(answer for answer in answers if answer.status_code == 429)
    assert int(throttled.headers["Retry-After"]) > 0


def test_every_change_is_pushed_and_a_cut_stream_loses_none(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    stranger = deployment.trader()
    with _Stream(trader) as stream, _Stream(stranger) as others:
        strategy = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
        eventually(lambda: "bought" in stream.positions(strategy.id), 30, "the BUY is pushed")
        last_id = stream.last_id()
    strategy.set_price(789.00)
    strategy.until_stopped()
    with _Stream(trader, last_id) as resumed:
        eventually(lambda: "exited_by_sl" in resumed.positions(strategy.id), 15, "what was missed is pushed")
        assert "snapshot" not in resumed.kinds()
    assert others.positions(strategy.id) == []


class _Stream:
    """`GET /strategy/events`, read in a thread."""

    def __init__(self, trader: Trader, last_id: str | None = None) -> None:
        self._headers = dict(trader.http.headers) | ({"Last-Event-ID": last_id} if last_id else {})
        self._url = f"{trader.deployment.api_url}/strategy/events"
        self._events: list[dict[str, str]] = []
        self._open = threading.Event()
        self._client = httpx.Client(timeout=60)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "_Stream":
        self._thread.start()
        assert self._open.wait(10), "the stream did not open"
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._client.close()

    def _read(self) -> None:
        event: dict[str, str] = {}
        try:
            with self._client.stream("GET", self._url, headers=self._headers) as answer:
                assert answer.status_code == 200, answer.read()
                self._open.set()
                for line in answer.iter_lines():
                    name, _, value = line.partition(":")
                    if not line and event:
                        self._events.append(event)
                        event = {}
                    elif name:
                        event[name] = value.strip()
        except (httpx.StreamError, httpx.TransportError, RuntimeError):
            return  # the test has closed the stream under the reader: a test ends it this way

    def positions(self, strategy_id: int) -> list[str]:
        """The positions that were pushed for a strategy, in order."""
        states = [json.loads(event["data"]) for event in self._events if event.get("data")]
        return [
            state["position"] for state in states if state.get("strategy_id") == strategy_id and "position" in state
        ]

    def kinds(self) -> set[str]:
        """The kinds of events so far."""
        return {event["event"] for event in self._events if "event" in event}

    def last_id(self) -> str:
        """The id to resume after."""
        return [event["id"] for event in self._events if event.get("id")][-1]


def _walk_with_secrets(deployment: Deployment, trader: Trader) -> dict[str, str]:
    """Everything a user does with secrets, right and wrong; the secrets by name."""
    tokens = trader.ok("POST", "/auth/login", {"email": trader.email, "password": trader.password})
    wrong = {"password": "canary-wrong-password-91", "api_secret": "canary-wrong-secret-92", "token": "canary-token-93"}
    trader.call("POST", "/auth/login", {"email": trader.email, "password": wrong["password"]})
    trader.call("POST", "/auth/register", {"email": "no address", "password": wrong["password"]})
    keys = {name: getattr(trader.account, name) for name in ("api_key", "api_secret", "access_token")}
    trader.call("POST", "/broker/connect", {**keys, "api_secret": wrong["api_secret"]})
    trader.call("POST", "/broker/connect", {**keys, "access_token": wrong["token"]})
    trader.call("POST", "/broker/connect", {**keys, "nonsense": wrong["token"]})
    strategy = trader.strategy("INFY", buy_in=8)  # the first strategy of a session starts cold
    strategy.until_position("bought")
    deployment.exchange.expire_token(trader.account.user_id)
    strategy.stop()  # the broker refuses the access token: the error path of the execution
    strategy.until(lambda s: s["status_detail"] == "broker_session_expired")
    fresh = f"canary-fresh-token-{trader.account.user_id}"
    deployment.exchange.set_token(trader.account.user_id, fresh)
    trader.ok("POST", "/broker/connect", {**keys, "access_token": fresh})
    strategy.until_stopped(60)
    refreshed = trader.ok("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    new_password = "canary-new-password-94"
    changed = trader.ok("POST", "/auth/password", {"current_password": trader.password, "new_password": new_password})
    return {
        "password": trader.password,
        "new password": new_password,
        "API secret": trader.account.api_secret,
        "broker token": trader.account.access_token,
        "fresh broker token": fresh,
        "access token": tokens["access_token"].rpartition(".")[2],
        "refresh token": refreshed["refresh_token"],
        "last refresh token": changed["refresh_token"],
        **wrong,
    }


def _in(secret: str, content: bytes) -> bool:
    return secret.encode() in content


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for directory, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = Path(directory) / name
            if path.is_file() and path.name != "paper.log":  # the exchange is the broker: it knows its own secrets
                yield str(path), path.read_bytes()


def _redis(deployment: Deployment) -> Iterator[tuple[str, bytes]]:
    client: Any = deployment.redis
    for key in client.scan_iter(count=1000):
        kind = client.type(key)
        reads = {"hash": client.hgetall, "set": client.smembers, "string": client.get, "stream": client.xrange}
        value = client.lrange(key, 0, -1) if kind == "list" else reads[kind](key)
        yield f"Redis {key}", f"{key} {value}".encode()


def _database(deployment: Deployment) -> Iterator[tuple[str, bytes]]:
    tables = deployment.query("select tablename from pg_tables where schemaname = 'public'")
    for table in (row["tablename"] for row in tables):
        for row in deployment.query(f"select * from {table}"):  # noqa: S608 - a name out of the catalogue
            yield f"table {table}", repr(row).encode() + b"".join(v for v in row.values() if isinstance(v, bytes))


def _processes(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Arguments and environment of every process of this stack but the paper exchange."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            arguments, variables = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if str(stack.settings.data_dir).encode() in variables and b"broker.paper" not in arguments:
            yield f"process {arguments[:80]!r}", arguments + variables


def _dashboard(stack: Stack) -> bytes:
    token = (stack.settings.data_dir / "ray_token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    calls = ("/api/v0/actors?detail=1&limit=1000", "/api/v0/tasks?detail=1&limit=1000", "/api/v0/workers?detail=1")
    answers = [httpx.get(stack.urls["dashboard"] + call, headers=headers, timeout=30) for call in calls]
    assert all(answer.is_success for answer in answers), [answer.status_code for answer in answers]
    return b"".join(answer.content for answer in answers)


def _rotate(stack: Stack, *options: str) -> None:
    """`tradeactors rotate-keys` as an operator runs it."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "config.commands.cli",
        "rotate-keys",
        "--data-dir",
        str(stack.settings.data_dir),
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
