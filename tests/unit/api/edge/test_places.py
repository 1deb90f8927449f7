"""A flood without tokens leaves the rest of the server to requests that have one."""

import asyncio
import json
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from api.base.errors import ApiError
from api.edge.places import PlacesWithToken


class Server:
    """An application whose answers come when the test says so."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def _user_of(scope: Scope) -> int | None:
    return 1 if (b"authorization", b"Bearer good") in scope["headers"] else None


def places(path: str) -> None:
    """There is always one, but for one path."""
    if path == "/full":
        raise ApiError(503, "queue_full", "Please wait", {"Retry-After": "7"})


async def ask(app: PlacesWithToken, path: str = "/auth/login", token: str | None = None) -> dict[str, Any]:
    """Status, headers and body of an answer."""
    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    answer: dict[str, Any] = {}

    async def send(message: Message) -> None:
        answer.update(message)

    async def receive() -> Message:
        raise AssertionError("it is decided before the body has come")

    await app({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)
    return answer


async def test_requests_without_a_good_token_are_refused_while_too_many_are_served() -> None:
    server = Server()
    app = PlacesWithToken(server, _user_of, places, always=("/healthz",), most=3)
    flood = [asyncio.create_task(ask(app)) for _ in range(3)]
    await asyncio.sleep(0)
    for token in (None, "forged"):
        refused = await ask(app, token=token)
        assert refused["status"] == 503
        assert json.loads(refused["body"])["code"] == "server_busy"
        assert int(dict(refused["headers"])[b"retry-after"]) > 0
    served = [
        asyncio.create_task(ask(app, "/strategy/stop", token="good")),
        asyncio.create_task(ask(app, "/healthz")),
    ]
    await asyncio.sleep(0)
    server.answer.set()
    assert [(await answer)["status"] for answer in served] == [200, 200]
    await asyncio.gather(*flood)
    assert (await ask(app))["status"] == 200, "every place is free again"


async def test_those_with_a_token_take_no_place_of_those_without() -> None:
    server = Server()
    app = PlacesWithToken(server, lambda _scope: 1, places, most=1)
    streams = [asyncio.create_task(ask(app, "/strategy/events", token="good")) for _ in range(10)]
    await asyncio.sleep(0)
    login = asyncio.create_task(ask(app))
    await asyncio.sleep(0)
    assert not login.done()
    server.answer.set()
    assert (await login)["status"] == 200
    await asyncio.gather(*streams)


async def test_what_finds_its_queue_full_is_refused_before_its_body_has_come() -> None:
    app = PlacesWithToken(Server(), _user_of, places)
    refused = await ask(app, "/full")
    assert (refused["status"], json.loads(refused["body"])["code"]) == (503, "queue_full")
    assert dict(refused["headers"])[b"retry-after"] == b"7"
