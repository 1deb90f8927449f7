"""A user of the API, as tests speak for one."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

import httpx

from tests.kit.paper import PaperCredentials

PASSWORD = "correct horse battery"
_AWAY = {"database_unavailable", "redis_unavailable"}
_TRIES = 10


async def served(request: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The answer to what may be asked again, as the app asks again while a store of a busy machine counts as away."""
    for _ in range(_TRIES):
        answer = await request()
        if answer.status_code != 503 or answer.json()["code"] not in _AWAY:
            break
    return answer


@dataclass
class ApiUser:
    """Calls carry the user's token. `paper` is the broker account that the user holds, connected or not.

    `is_known`: the application has looked up this login. Only that first look has a limit of two seconds of its own,
    which a busy machine can miss, so it is asked again.
    """

    client: httpx.AsyncClient
    email: str
    tokens: dict[str, Any]
    paper: PaperCredentials | None = None
    is_known: bool = False

    @classmethod
    async def register(cls, client: httpx.AsyncClient) -> Self:
        """A new user."""
        email = f"{secrets.token_hex(8)}@example.com"
        answer = await client.post("/auth/register", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return cls(client, email, answer.json())

    async def call(self, method: str, path: str, **body: Any) -> httpx.Response:
        """One request with the user's access token; `body` becomes JSON."""
        return await self.keyed(None, method, path, **body)

    async def keyed(self, key: str | None, method: str, path: str, **body: Any) -> httpx.Response:
        """As `call`, with an Idempotency-Key, if it is given one."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        if key is not None:
            headers["Idempotency-Key"] = key

        async def request() -> httpx.Response:
            return await self.client.request(method, path, headers=headers, json=body or None)

        answer = await (request() if self.is_known else served(request))
        self.is_known = True
        return answer

    async def is_in(self) -> None:
        """The application knows this login from now on: for tests whose first request is not one of these calls."""
        assert (await self.call("GET", "/auth/validate")).status_code == 200

    async def connect(self, **changes: Any) -> httpx.Response:
        """Connect the paper account, with some fields changed or (None) left out."""
        assert self.paper is not None
        body = {
            "api_key": self.paper.api_key,
            "api_secret": self.paper.api_secret,
            "access_token": self.paper.access_token,
        } | changes
        return await self.call("POST", "/broker/connect", **{k: v for k, v in body.items() if v is not None})

    async def connection(self) -> dict[str, Any]:
        """What the API says of the connection, but for how old its token is by now."""
        status: dict[str, Any] = (await self.call("GET", "/broker/status")).json()
        return status | {"token_age_s": None}

    async def create(self, **changes: Any) -> httpx.Response:
        """Create a strategy on INFY, with some fields changed."""
        body = {
            "symbol": "INFY",
            "buy_time": "09:30",
            "sell_time": "15:10",
            "stop_loss": 1490.5,
            "quantity": 10,
        } | changes
        return await self.call("POST", "/strategy/create", **body)

    async def strategy(self, **changes: Any) -> int:
        """The id of a new strategy."""
        answer = await self.create(**changes)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["strategy_id"])

    async def started(self, **changes: Any) -> int:
        """The id of a new strategy that runs."""
        strategy_id = await self.strategy(**changes)
        answer = await self.call("POST", "/strategy/start", strategy_id=strategy_id)
        assert answer.status_code == 200, answer.text
        return strategy_id
