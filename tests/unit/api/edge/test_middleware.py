"""The edge around a small application: bodies that are too large, never end, or come while the answer is under way."""

import asyncio
from collections.abc import Iterable

import httpx
import pytest
from anyio import BrokenResourceError
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from api.edge.error_handlers import install_error_handlers
from api.edge.middleware import AnsweredFaults, BodyLimit

LIMIT = 10
OK: Message = {"type": "http.response.start", "status": 200, "headers": []}


async def read_all(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answers when the body is complete."""
    while (await receive()).get("more_body", False):
        pass
    await send(OK)


async def answer_first(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answers, and then reads on until the client is gone."""
    await send(OK)
    while (await receive())["type"] != "http.disconnect":
        pass
    await send({"type": "http.response.body", "body": b"gone"})


async def call(
    app: ASGIApp, parts: Iterable[bytes], length: bytes | None = None, *, ends: bool = True
) -> list[Message]:
    """What the application sends, given a body in parts that `ends` or leaves it waiting for more."""
    headers = [] if length is None else [(b"content-length", length)]
    pending: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends:
        pending.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[Message] = []

    async def receive() -> Message:
        if not pending:
            await asyncio.Event().wait()
        return pending.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "headers": headers}, receive, send)
    return sent


async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    limited = BodyLimit(read_all, max_bytes=LIMIT)
    assert await call(limited, [b"x" * 4, b"x" * 6]) == [OK]
    with pytest.raises(HTTPException) as refused:
        await call(limited, [b"x" * 4, b"x" * 7])
    assert refused.value.status_code == 413


@pytest.mark.parametrize(("length", "status"), [(b"10", 200), (b"11", 413), (b"+11", 200), ("٣".encode(), 200)])
async def test_the_announced_size_is_believed_if_it_is_one(length: bytes, status: int) -> None:
    sent = await call(BodyLimit(read_all, max_bytes=LIMIT), [], length)
    assert sent[0]["status"] == status


async def test_a_body_that_does_not_end_is_refused_in_time() -> None:
    with pytest.raises(HTTPException) as refused:
        await call(BodyLimit(read_all, timeout_s=0.01), [b"x"], ends=False)
    assert refused.value.status_code == 408


@pytest.mark.parametrize("parts", [[b"x" * 11], []])
async def test_once_the_answer_has_begun_such_a_client_counts_as_gone(parts: list[bytes]) -> None:
    limited = BodyLimit(answer_first, max_bytes=LIMIT, timeout_s=0.01)
    sent = await call(limited, parts, ends=False)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


async def test_a_fault_that_was_answered_ends_at_the_edge() -> None:
    async def fails(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(OK)
        raise RuntimeError

    assert await call(AnsweredFaults(fails), []) == [OK]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ExceptionGroup("stream", [ExceptionGroup("task", [BrokenResourceError()])]), ("info", "client_left")),
        (ExceptionGroup("stream", [BrokenResourceError(), ValueError()]), ("error", "request_failed")),
        (ValueError(), ("error", "request_failed")),
    ],
)
async def test_a_client_that_leaves_its_event_stream_is_no_fault_of_ours(
    fault: Exception, told: tuple[str, str]
) -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    async def fails() -> None:
        raise fault

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    with capture_logs() as log:
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            await client.get("/")
    assert [(line["log_level"], line["event"]) for line in log] == [told]
