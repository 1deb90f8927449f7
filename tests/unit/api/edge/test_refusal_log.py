"""How many lines refused requests may write."""

from typing import Any

import structlog
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Scope

from api.edge.refusal_log import RefusalLog


def a_scope(address: str | None) -> Scope:
    client = (address, 50_000) if address else None
    return {"type": "http", "method": "GET", "path": "/", "headers": [], "client": client}


async def asked(app: ASGIApp, *addresses: str | None) -> list[dict[str, Any]]:
    """The lines that requests from these addresses leave."""

    async def receive() -> Message:
        raise AssertionError("no body is read")

    async def send(message: Message) -> None:
        assert message

    with structlog.testing.capture_logs() as lines:
        for address in addresses:
            await app(a_scope(address), receive, send)
    return [dict(line) for line in lines]


REFUSED = JSONResponse({"detail": "No", "code": "not_found"}, 404)


async def test_a_network_that_floods_hides_no_other() -> None:
    lines = await asked(RefusalLog(REFUSED, lines_of_network=2), *["192.0.2.1"] * 5, "198.51.100.1")
    assert [(line["address"], line["unlogged"]) for line in lines] == [
        ("192.0.2.1", 0), ("192.0.2.1", 0), ("198.51.100.1", 3)
    ]  # fmt: skip


async def test_many_networks_together_have_an_end() -> None:
    lines = await asked(RefusalLog(REFUSED, lines_in_all=3), *(f"192.0.2.{number}" for number in range(9)))
    assert len(lines) == 3


async def test_an_answer_of_any_form_is_a_line_and_one_that_serves_is_none() -> None:
    forms: list[tuple[Response, str]] = [
        (REFUSED, "not_found"),
        (PlainTextResponse("Disallowed CORS origin", 400), "none"),
        (JSONResponse(["a list"], 422), "none"),
        (JSONResponse({"detail": "without a code"}, 403), "none"),
        (Response(status_code=405), "none"),
    ]
    for answer, code in forms:
        (line,) = await asked(RefusalLog(answer), None)
        assert (line["event"], line["status"], line["code"]) == ("request_rejected", answer.status_code, code)
        assert (line["address"], line["route"], line["user_id"]) == ("unknown", "none", None)
    for status in (200, 204, 304, 499, 500, 503):  # 499: the client has left; faults have lines of their own
        assert await asked(RefusalLog(Response(status_code=status)), "192.0.2.1") == []
