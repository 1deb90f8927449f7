"""The paper exchange for tests: as a subprocess on a free port, and a clock for its parts alone."""

from __future__ import annotations

import heapq
import itertools
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 15.0
STOP_SECONDS = 5.0


def eventually(condition: Callable[[], T], timeout: float = 15.0, what: str = "condition") -> T:
    """The first truthy value of ``condition``; ``AssertionError`` when it stays false for ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout} s; last value: {value!r}")
        time.sleep(0.01)
    return value


@dataclass(frozen=True)
class PaperCredentials:
    """An account of the paper exchange, as a user would type it in."""

    user_id: str
    api_key: str
    api_secret: str
    access_token: str
    cash: float


class PaperControl:
    """The control API of a running exchange, one method per call. ``http`` is the client behind it."""

    def __init__(self, url: str, token: str | None = None) -> None:
        """``token``: what ``paper_token`` in DATA_DIR holds, for the exchange of a stack."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # The machine's proxy settings must not come between a test and 127.0.0.1.
        self.http = httpx.Client(base_url=f"{url}/paper", headers=headers, timeout=10.0, trust_env=False)

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        response = self.http.request(method, path, **arguments)
        if response.is_error:
            raise AssertionError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    def new_account(self, **fields: Any) -> PaperCredentials:
        """Open an account; fields of ``POST /paper/accounts``."""
        return PaperCredentials(**self._call("POST", "/accounts", json=fields))

    def expire_token(self, user_id: str) -> None:
        """Flush the access token of an account."""
        self._call("POST", f"/accounts/{user_id}/expire-token")

    def set_token(self, user_id: str, access_token: str) -> None:
        """Give an account a new access token."""
        self._call("POST", f"/accounts/{user_id}/token", json={"access_token": access_token})

    def request_token(self, user_id: str) -> str:
        """Log in as a user: a request token."""
        return str(self._call("POST", f"/accounts/{user_id}/request-token")["request_token"])

    def set_price(self, instrument: str, price: float, **fields: Any) -> dict[str, Any]:
        """Publish a price at once and hold it; the answer has ``published_ns``."""
        result: dict[str, Any] = self._call("POST", "/price", json={"instrument": instrument, "price": price, **fields})
        return result

    def set_source(self, instrument: str, kind: str, **fields: Any) -> dict[str, Any]:
        """Change what moves a price: walk, hold, script or recorded, with the fields of that kind."""
        body = {"instrument": instrument, "source": {"kind": kind, **fields}}
        result: dict[str, Any] = self._call("POST", "/market", json=body)
        return result

    def set_liquidity(self, instrument: str, per_tick: int | None) -> None:
        """Let `per_tick` shares trade per tick; ``None`` is no limit."""
        self._call("POST", "/market", json={"instrument": instrument, "liquidity_per_tick": per_tick})

    def fault(self, kind: str, match: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """Arm a fault; without ``match`` it hits the next order placement."""
        result: dict[str, Any] = self._call("POST", "/faults", json={"kind": kind, "match": match or {}, **fields})
        return result

    def faults(self) -> list[dict[str, Any]]:
        """Faults that still wait."""
        result: list[dict[str, Any]] = self._call("GET", "/faults")
        return result

    def fault_kinds(self) -> dict[str, dict[str, Any]]:
        """Every kind of fault by its name: stage, does, fields, seconds."""
        return {row["kind"]: row for row in self._call("GET", "/faults/kinds")}

    def clear_faults(self) -> None:
        """Take all faults away."""
        self._call("DELETE", "/faults")

    def outage(self, seconds: float | None = None, *, on: bool | None = None) -> None:
        """Take the REST side down for some seconds, or on and off."""
        self._call("POST", "/outage", json={"seconds": seconds, "on": on})

    def foreign_order(self, user_id: str, **fields: Any) -> str:
        """Place an order for an account by hand, without a tag unless one is given; its id."""
        return str(self._call("POST", "/orders", json={"user_id": user_id, **fields})["order_id"])

    def edit_order(self, order_id: str, **fields: Any) -> None:
        """Change a live order as its owner does in the app: quantity, price, order_type, trigger_price."""
        self._call("PUT", f"/orders/{order_id}", json=fields)

    def cancel_by_hand(self, order_id: str) -> None:
        """Cancel a live order as its owner does in the app."""
        self._call("DELETE", f"/orders/{order_id}", params={"by": "trader"})

    def set_rules(self, instrument: str, **fields: Any) -> dict[str, Any]:
        """Bands, buyers, sellers, freeze quantity and blocked MIS of an instrument; its row of the market."""
        result: dict[str, Any] = self._call("POST", "/market", json={"instrument": instrument, **fields})
        return result

    def set_holdings(self, user_id: str, *holdings: dict[str, Any]) -> list[dict[str, Any]]:
        """Let an account hold exactly these shares; Kite's rows of them."""
        body = {"holdings": holdings}
        result: list[dict[str, Any]] = self._call("PUT", f"/accounts/{user_id}/holdings", json=body)
        return result

    def set_positions(self, user_id: str, *positions: dict[str, Any]) -> list[dict[str, Any]]:
        """Let an account have exactly these positions; Kite's rows of them."""
        body = {"positions": positions}
        result: list[dict[str, Any]] = self._call("PUT", f"/accounts/{user_id}/positions", json=body)
        return result

    def require_tpin(self, user_id: str, *, required: bool = True) -> None:
        """Let CNC sales out of holdings need an authorisation."""
        self._call("POST", f"/accounts/{user_id}/tpin", json={"required": required})

    def clock(self, **fields: Any) -> dict[str, Any]:
        """Set the clock (``now``, ``advance_seconds``, ``factor``); without any, read it."""
        arguments = {"json": fields} if fields else {}
        result: dict[str, Any] = self._call("POST" if fields else "GET", "/clock", **arguments)
        return result

    def release_clock(self) -> None:
        """Let the exchange go with the machine's clock again."""
        self._call("DELETE", "/clock")

    def session(self, **fields: Any) -> dict[str, Any]:
        """Change the trading session; without any field, read it."""
        arguments = {"json": fields} if fields else {}
        result: dict[str, Any] = self._call("PUT" if fields else "GET", "/session", **arguments)
        return result

    def stamps(self, **fields: Any) -> dict[str, Any]:
        """Stamp ticks ``lag_seconds`` behind the clock, or ``frozen``, of one ``instrument`` or all."""
        result: dict[str, Any] = self._call("POST", "/feed", json=fields)
        return result

    def over_time(self, user_id: str) -> dict[tuple[str, str], dict[str, Any]]:
        """The judge's rows of an account by (symbol, product)."""
        rows = self.ledger(user_id)["accounts"][user_id]["over_time"]
        return {(row["tradingsymbol"], row["product"]): row for row in rows}

    def square_off(self, user_id: str, product: str = "MIS") -> dict[str, list[str]]:
        """Let the broker close the positions of a product: ``order_ids`` placed, and live ones ``cancelled``."""
        result: dict[str, list[str]] = self._call("POST", "/square-off", json={"user_id": user_id, "product": product})
        return result

    def register_ips(self, user_id: str, *ips: str, refusal_status: int = 403) -> None:
        """Take an account's order requests from these addresses only; without any, from anywhere."""
        self._call("POST", f"/accounts/{user_id}/ips", json={"ips": ips, "refusal_status": refusal_status})

    def cancel_by_exchange(self, order_id: str) -> None:
        """Cancel a live order from the exchange's side."""
        self._call("DELETE", f"/orders/{order_id}")

    def ledger(self, user_id: str | None = None, tag: str | None = None) -> dict[str, Any]:
        """All order requests, and orders, trades and positions per account."""
        wanted = {"user_id": user_id, "tag": tag}
        parameters = {name: value for name, value in wanted.items() if value is not None}
        result: dict[str, Any] = self._call("GET", "/ledger", params=parameters)
        return result

    def health(self) -> dict[str, Any]:
        """Whether it serves, since when, and to how many sockets."""
        result: dict[str, Any] = self._call("GET", "/health")
        return result


class PaperExchange:
    """A paper exchange in a process of its own. ``settings`` are fields of ``PaperConfig``.

    It listens on a port that the system chooses; ``restart`` keeps the port and, with a ``ledger_path``, the ledger.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = {"port": 0, **settings}
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.control: PaperControl

    @property
    def ws_url(self) -> str:
        """Where KiteTicker connects."""
        return self.url.replace("http", "ws", 1)

    @property
    def pid(self) -> int:
        """The process, for tests that stop or kill it themselves."""
        if self._process is None:
            raise RuntimeError("the paper exchange is not running")
        return self._process.pid

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self._settings.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "broker.paper", *options],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        # Printed once the socket is bound; an early end of the process ends the line too.
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"the paper exchange did not start: exit code {self._process.wait()}")
        self.url = json.loads(line)["url"]
        self._settings["port"] = int(self.url.rsplit(":", 1)[1])
        self.control = PaperControl(self.url)
        eventually(self._answers, START_SECONDS, "health of the paper exchange")
        return self

    def stop(self) -> None:
        """Stop it in an orderly way."""
        self._end(kill=False)

    def kill(self) -> None:
        """Stop it as ``kill -9`` does."""
        self._end(kill=True)

    def restart(self) -> Self:
        """Kill it and start it again on the same port."""
        self.kill()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            return bool(self.control.health()["status"] == "ok")
        except httpx.TransportError:
            return False

    def _end(self, *, kill: bool) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        self.control.http.close()
        process.kill() if kill else process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


class ManualClock:
    """A clock that stands still until it is moved; callbacks run in order of their time."""

    def __init__(self, now_ns: int = 1_795_000_000_000_000_000) -> None:
        self._start_ns = now_ns
        self._seconds = 0.0
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _Timer]] = []

    def now_ns(self) -> int:
        """Wall clock, nanoseconds since the epoch."""
        return self._start_ns + round(self._seconds * 1e9)

    def monotonic(self) -> float:
        """Seconds since the start of the test."""
        return self._seconds

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Timer:
        """Run ``callback`` when the clock has been moved that far."""
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self._seconds + seconds, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Move on, and run what falls due on the way."""
        target = self._seconds + seconds
        while self._timers and self._timers[0][0] <= target:
            self._seconds, _, timer = heapq.heappop(self._timers)
            timer.run()
        self._seconds = target


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not run."""
        self._callback = None

    def run(self) -> None:
        """Run unless cancelled."""
        if self._callback is not None:
            self._callback()
