"""How many requests the process takes in, and what is kept for STOP."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from api.app import create_app
from api.edge.admission import RESERVED_PER_USER, Admission
from api.server import api_server
from config.settings import Settings

POLL = ("GET", "/strategy/list")
STOP = ("POST", "/strategy/stop")


class Process:
    """An application whose requests do not end, behind an admission; `connections` are those of a server."""

    def __init__(self, most: int, reserved: int) -> None:
        self.state = SimpleNamespace(connections=set[object]())
        self.admission = Admission(self._never, lambda scope: scope.get("user"), most, reserved)
        self.tasks: list[asyncio.Task[None]] = []
        self.answers: list[Message] = []

    async def _never(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.Event().wait()

    async def is_served(self, request: tuple[str, str], user: int | None = None) -> bool:
        """Whether the request is being served; else it was refused."""
        method, path = request
        scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "user": user, "app": self}

        async def receive() -> Message:
            raise AssertionError("nothing of it may be read")

        async def send(message: Message) -> None:
            self.answers.append(message)

        task = asyncio.create_task(self.admission(scope, receive, send))
        await asyncio.sleep(0)
        self.tasks.append(task)
        return not task.done()

    async def end(self) -> None:
        """End all requests."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_a_full_process_refuses_polls_and_serves_a_stop() -> None:
    process = Process(most=3, reserved=2)
    assert [await process.is_served(POLL, 1) for _ in range(4)] == [True] * 3 + [False]
    start, body = process.answers
    assert start["status"] == 503
    assert {(b"retry-after", b"1"), (b"connection", b"close")} <= set(start["headers"])
    assert json.loads(body["body"])["code"] == "overloaded"
    assert [await process.is_served(STOP, 2) for _ in range(3)] == [True, True, False]
    await process.end()
    assert await process.is_served(POLL)
    await process.end()


async def test_connections_that_do_nothing_keep_no_trader_from_stopping() -> None:
    process = Process(most=3, reserved=2)
    process.state.connections = {object() for _ in range(3)}
    assert not await process.is_served(POLL, 1)
    assert await process.is_served(STOP, 1)
    await process.end()


async def test_what_is_kept_is_for_users_and_none_of_them_can_take_it_all() -> None:
    process = Process(most=0, reserved=10 * RESERVED_PER_USER)
    assert not await process.is_served(STOP, None)
    served = [await process.is_served(STOP, 1) for _ in range(RESERVED_PER_USER + 1)]
    assert served == [True] * RESERVED_PER_USER + [False]
    assert await process.is_served(STOP, 2)
    await process.end()
    assert await process.is_served(STOP, 1)
    await process.end()


def test_the_server_itself_refuses_nothing_and_shows_its_connections() -> None:
    app = create_app(Settings(_env_file=None))
    server = api_server(app, "127.0.0.1", 0)
    assert server.config.limit_concurrency is None
    assert app.state.connections is server.server_state.connections
