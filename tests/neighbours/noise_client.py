"""The noisy tenant's HTTP client: counts every answer, and speaks from an address of its own."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.neighbours.routes import operations

ADDRESS = "127.0.0.2"
"""Limits of an address must not meet the neighbour's, who is at 127.0.0.1."""

PASSWORD = "correct horse battery staple"
CONNECTIONS, PATIENCE_S, LOST = 200, 90.0, 0
LONGEST_WAIT_S = 1.0
"""How long it waits at most when it is refused, whatever `Retry-After` says."""


@dataclass(frozen=True)
class Account:
    """An account at the paper exchange."""

    user_id: str
    api_key: str
    api_secret: str
    access_token: str


@dataclass
class NoiseClient:
    """One user of the API, and everything that was answered to this user. `answers` may be shared."""

    url: str
    zone: ZoneInfo
    account: Account
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    email: str = field(default_factory=lambda: f"{uuid.uuid4().hex}@example.com")
    token: str = ""

    def __post_init__(self) -> None:
        self.operations = operations()
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        transport = httpx.AsyncHTTPTransport(local_address=ADDRESS, limits=limits)
        self.http = httpx.AsyncClient(base_url=self.url, transport=transport, timeout=PATIENCE_S)

    def headers(self, token: str | None = None) -> dict[str, str]:
        """What tells who asks."""
        own = token or self.token
        return {"Authorization": f"Bearer {own}"} if own else {}

    def count(self, name: str, status: int) -> None:
        """One answer more."""
        self.answers.setdefault(name, Counter())[status] += 1

    async def call(
        self,
        name: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        token: str | None = None,
        once: bool = False,
        **ids: int | str,
    ) -> httpx.Response:
        """One call of an operation; `once`: with an Idempotency-Key. A lost connection is counted, and raised."""
        operation = self.operations[name]
        headers = self.headers(token) | ({"Idempotency-Key": uuid.uuid4().hex} if once else {})
        path = operation.path.format(**ids)
        try:
            answer = await self.http.request(operation.method, path, json=body, params=query, headers=headers)
        except httpx.TransportError:
            self.count(name, LOST)
            raise
        self.count(name, answer.status_code)
        return answer

    async def ok(self, name: str, body: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A call that must succeed, given again while it is refused for the moment; its JSON."""
        answer = await self.call(name, body, **more)
        while pause_s := waits_s(answer):
            await asyncio.sleep(pause_s)
            answer = await self.call(name, body, **more)
        if answer.is_error:
            raise RuntimeError(f"{name}: {answer.status_code} {answer.text}")
        found: dict[str, Any] = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        return found

    async def sign_up(self) -> None:
        """Register and connect."""
        tokens = await self.ok("register", {"email": self.email, "password": PASSWORD})
        self.token = tokens["access_token"]
        await self.ok("connect_broker", self.keys())

    def keys(self, access_token: str | None = None) -> dict[str, str]:
        """The body of a connect; with another access token one that the broker refuses."""
        account = self.account
        token = access_token or account.access_token
        return {
            "broker": "paper", "api_key": account.api_key, "api_secret": account.api_secret, "access_token": token
        }  # fmt: skip

    async def create(self, symbol: str, buy_in_s: float | None = None) -> int:
        """A new strategy, with a buy time that is near, or the first of the coming day; its id."""
        body = {"symbol": symbol, "stop_loss": 500.0, "quantity": 1, "sell_time": "23:59:58"}
        return int((await self.ok("create_strategy", body | self.buy_time(buy_in_s), once=True))["strategy_id"])

    def buy_time(self, buy_in_s: float | None) -> dict[str, str]:
        """The field of a buy time."""
        if buy_in_s is None:
            return {"buy_time": "00:00:01"}
        return {"buy_time": f"{datetime.now(self.zone) + timedelta(seconds=buy_in_s):%H:%M:%S}"}


def waits_s(answer: httpx.Response) -> float:
    """How long the noisy client waits after a refusal."""
    if answer.status_code not in {429, 503}:
        return 0.0
    return min(float(answer.headers.get("Retry-After", LONGEST_WAIT_S)), LONGEST_WAIT_S)
