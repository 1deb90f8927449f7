"""A trader with an app: everything over REST, against a running stack. Also what a test may look at behind it."""

import json
import os
import signal
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import httpx
import psycopg
from redis import Redis

from config.settings import Settings
from tests.kit.alerts import AlertInbox
from tests.kit.paper import PaperControl, PaperCredentials, eventually

FAR_STOP = 1.00
ENOUGH_S = 30.0


@dataclass
class Deployment:
    """A running stack, as seen by a test: its API, its exchange, its databases and its Ray actors."""

    settings: Settings
    api_url: str
    exchange: PaperControl
    redis: Redis
    alerts: AlertInbox

    def now(self) -> datetime:
        """The present instant in the exchange's zone."""
        return datetime.now(self.settings.zone)

    def query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Rows straight from PostgreSQL."""
        url = self.settings.database_url.replace("postgresql+psycopg://", "postgresql://", 1)
        with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(cast("Any", sql), values).fetchall()

    def hash(self, key: str) -> dict[str, str]:
        """A Redis hash."""
        return cast("dict[str, str]", self.redis.hgetall(key))

    def actor_pid(self, name: str) -> int:
        """The pid behind a named Ray actor."""
        import ray

        handle: Any = ray.get_actor(name, namespace="tradeactors")
        pid: int = ray.get(handle.process_id.remote(), timeout=30)
        return pid

    def actors(self) -> set[str]:
        """Names of the live Ray actors."""
        from ray.util import list_named_actors

        return set(list_named_actors())

    def trader(self) -> "Trader":
        """A new trader with an account at the exchange, registered and connected."""
        trader = Trader(self)
        trader.register()
        trader.connect()
        return trader


@dataclass
class Trader:
    """One user of the app."""

    deployment: Deployment
    email: str = field(default_factory=lambda: f"{uuid.uuid4().hex}@example.com")
    password: str = "correct horse battery staple"

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.deployment.api_url, timeout=45)
        self.account: PaperCredentials = self.deployment.exchange.new_account()

    def register(self) -> dict[str, Any]:
        """POST /auth/register; later calls carry the token."""
        answer = self.ok("POST", "/auth/register", {"email": self.email, "password": self.password})
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        return answer

    def connect(self, **more: Any) -> dict[str, Any]:
        """POST /broker/connect with the account's own credentials, and more fields."""
        keys = {name: getattr(self.account, name) for name in ("api_key", "api_secret", "access_token")}
        return self.ok("POST", "/broker/connect", {"broker": "paper", **keys, **more})

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """A call as it is."""
        return self.http.request(method, path, json=body)

    def ok(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A call that must succeed, and its JSON."""
        answer = self.call(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return cast("dict[str, Any]", answer.json())

    def strategy(
        self,
        symbol: str,
        *,
        buy_in: float = 3,
        sell_in: float = 600,
        stop_loss: float = FAR_STOP,
        quantity: int = 10,
        product: str = "MIS",
        stop_loss_percent: float | None = None,
    ) -> "Running":
        """Create and START a strategy that buys in some seconds, with a stop-loss in rupees or in percent."""
        begin = self.deployment.now()
        buy_at = (begin + timedelta(seconds=buy_in)).replace(microsecond=0)
        sell_at = (begin + timedelta(seconds=sell_in)).replace(microsecond=0)
        if sell_at.date() != begin.date():
            sell_at = begin.replace(hour=23, minute=59, second=59, microsecond=0)
        created = self.ok(
            "POST",
            "/strategy/create",
            {
                "symbol": symbol,
                "buy_time": f"{buy_at:%H:%M:%S}",
                "sell_time": f"{sell_at:%H:%M:%S}",
                **({"stop_loss": stop_loss} if stop_loss_percent is None else {"stop_loss_percent": stop_loss_percent}),
                "quantity": quantity,
                "product": product,
            },
        )
        running = Running(self, created["strategy_id"], symbol, buy_at, sell_at)
        running.started = self.ok("POST", "/strategy/start", {"strategy_id": running.id})
        return running


@dataclass
class Running:
    """A started strategy."""

    trader: Trader
    id: int
    symbol: str
    buy_at: datetime
    sell_at: datetime
    started: dict[str, Any] = field(default_factory=dict)

    @property
    def deployment(self) -> Deployment:
        """Where it runs."""
        return self.trader.deployment

    @property
    def actor(self) -> str:
        """The name of its Ray actor."""
        return f"strategy:{self.id}"

    def status(self) -> dict[str, Any]:
        """GET /strategy/status/{id}."""
        return self.trader.ok("GET", f"/strategy/status/{self.id}")

    def until(
        self, wanted: Callable[[dict[str, Any]], bool], timeout: float = ENOUGH_S, what: str = ""
    ) -> dict[str, Any]:
        """The first status that is as wanted."""
        last: dict[str, Any] = {}

        def look() -> dict[str, Any] | None:
            last.update(self.status())
            return dict(last) if wanted(last) else None

        try:
            return cast("dict[str, Any]", eventually(look, timeout, what or "status"))
        except AssertionError as error:
            raise AssertionError(f"{error}; last status {last}; log {self.logged()}") from None

    def until_position(self, position: str, timeout: float = ENOUGH_S) -> dict[str, Any]:
        """The first status with this position."""
        return self.until(lambda status: status["position"] == position, timeout, f"position {position}")

    def until_stopped(self, timeout: float = ENOUGH_S) -> dict[str, Any]:
        """The first status that says stopped."""
        return self.until(lambda status: status["strategy_status"] == "stopped", timeout, "stopped")

    def stop(self) -> httpx.Response:
        """POST /strategy/stop."""
        return self.trader.call("POST", "/strategy/stop", {"strategy_id": self.id})

    def log(self) -> list[dict[str, Any]]:
        """The order log as the API shows it."""
        return cast("list[dict[str, Any]]", self.trader.ok("GET", f"/strategy/{self.id}/orders?limit=100")["orders"])

    def logged(self) -> list[str]:
        """The events of the order log."""
        return [line["event"] for line in self.log()]

    def orders(self) -> list[dict[str, Any]]:
        """The orders of this account and symbol in the exchange's own ledger."""
        ledger = self.deployment.exchange.ledger(user_id=self.trader.account.user_id)
        orders = ledger["accounts"][self.trader.account.user_id]["orders"]
        tradingsymbol = self.symbol.rpartition(":")[2]
        return [order for order in orders if order["tradingsymbol"] == tradingsymbol]

    def sides(self) -> list[str]:
        """Transaction types of the filled orders, in the order of their arrival."""
        return [order["transaction_type"] for order in self.orders() if order["filled_quantity"]]

    def requests(self) -> list[dict[str, Any]]:
        """Every POST of an order of this account that reached the exchange, accepted or not."""
        ledger = self.deployment.exchange.ledger(user_id=self.trader.account.user_id)
        return [r for r in ledger["requests"] if r["method"] == "POST" and r["source"] == "api"]

    def requests_of(self, side: str) -> list[dict[str, Any]]:
        """Those of one side."""
        return [request for request in self.requests() if request["transaction_type"] == side]

    def net(self) -> int:
        """What the exchange says this account holds of the symbol."""
        return sum(o["filled_quantity"] * (1 if o["transaction_type"] == "BUY" else -1) for o in self.orders())

    def runtime(self) -> dict[str, str]:
        """`runtime:{id}`."""
        return self.deployment.hash(f"runtime:{self.id}")

    def kill_actor(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the actor's process; its pid."""
        pid = self.deployment.actor_pid(self.actor)
        os.kill(pid, how)
        return pid

    def set_price(self, price: float) -> None:
        """Move the market."""
        key = self.symbol if ":" in self.symbol else f"NSE:{self.symbol}"
        self.deployment.exchange.set_price(key, price)


def at_once(work: Callable[[], Any], times: int) -> list[Any]:
    """Do the same thing several times in parallel."""
    with ThreadPoolExecutor(times) as pool:
        return [done.result() for done in [pool.submit(work) for _ in range(times)]]


def queued_events(deployment: Deployment) -> list[dict[str, Any]]:
    """What is on `queue:orders`."""
    return [json.loads(event) for event in cast("list[str]", deployment.redis.lrange("queue:orders", 0, -1))]
