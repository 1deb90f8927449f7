"""Spoilt answers: how each reply fault looks on the wire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, RedirectResponse, Response

from broker.paper.base.envelope import failure
from broker.paper.base.errors import KiteError, bad_token, input_error, too_many_requests, unavailable
from broker.paper.base.transport import reset, transport_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message, Receive, Scope, Send

    from broker.paper.faults.faults import Fault

BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
GATEWAY_TIMEOUT = "<html><head><title>504 Gateway Time-out</title></head><body>504</body></html>"
TIMED_OUT_BUT_PLACED = "Order request timed out. Please check the order book and confirm before placing again."


@dataclass
class CapturedReply:
    """An answer held back, to be sent whole, in parts or not at all."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def collect(self, message: Message) -> None:
        """The ``send`` of the app whose answer is held back."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def send_start(self, send: Send) -> None:
        """Send status and headers."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})

    async def send_whole(self, send: Send) -> None:
        """Send it as it is."""
        await self.send_start(send)
        await send({"type": "http.response.body", "body": self.body})


async def disconnected(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def hang(receive: Receive, seconds: float) -> bool:
    """Say nothing for a while; whether the client is still there after it."""
    try:
        async with asyncio.timeout(seconds):
            await disconnected(receive)
    except TimeoutError:
        return True
    return False


async def drop(scope: Scope, receive: Receive) -> None:
    """Reset the connection without an answer."""
    reset(transport_of(scope))
    await disconnected(receive)


async def hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection in an orderly way (FIN) without an answer."""
    transport_of(scope).close()
    await disconnected(receive)


def given_reply(fault: Fault) -> CapturedReply:
    """The answer that a fault carries with it."""
    status = fault.status or 200
    # An answer of these statuses has no body; a client would read it as the next answer.
    body = b"" if status in (204, 304) else fault.body.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    if fault.content_type:
        headers.append((b"content-type", fault.content_type.encode()))
    return CapturedReply(status, headers, body)


def refusal(fault: Fault) -> Response:
    """The answer of a fault that refuses a request which is not executed."""
    match fault.kind:
        case "html-502":
            return HTMLResponse(BAD_GATEWAY, status_code=502)
        case "redirect":
            return RedirectResponse(fault.location, status_code=fault.status or 302)
        case "rate-limit-429":
            return failure(too_many_requests(fault.message or "Too many requests"))
        case "unavailable-503":
            return failure(unavailable(fault.message) if fault.message else unavailable())
        case "book-error" | "positions-error":
            down = unavailable(fault.message) if fault.message else unavailable()
            return failure(KiteError(fault.status or down.status, fault.error_type or down.error_type, down.message))
        case "token-403":
            error = bad_token()
            return failure(KiteError(403, error.error_type, fault.message or error.message))
        case _:
            error_type = fault.error_type or "InputException"
            return failure(KiteError(fault.status or 400, error_type, fault.message or "Invalid request."))


async def send_before(fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that is not executed, or leave it without an answer."""
    match fault.kind:
        case "not-accepted-drop":
            await drop(scope, receive)
        case "not-accepted-close" | "idle-close":
            await hang_up(scope, receive)
        case "not-accepted-hang":
            if await hang(receive, fault.seconds):
                await HTMLResponse(GATEWAY_TIMEOUT, status_code=504)(scope, receive, send)
        case "not-accepted-reply":
            await given_reply(fault).send_whole(send)
        case _:
            await refusal(fault)(scope, receive, send)


async def _send_hang(fault: Fault, reply: CapturedReply, _scope: Scope, receive: Receive, send: Send) -> None:
    if await hang(receive, fault.seconds):
        await reply.send_whole(send)


async def _send_drop(_fault: Fault, _reply: CapturedReply, scope: Scope, receive: Receive, _send: Send) -> None:
    await drop(scope, receive)


async def _send_close(_fault: Fault, _reply: CapturedReply, scope: Scope, receive: Receive, _send: Send) -> None:
    await hang_up(scope, receive)


async def _send_given(fault: Fault, _reply: CapturedReply, _scope: Scope, _receive: Receive, send: Send) -> None:
    await given_reply(fault).send_whole(send)


async def _send_cut(_fault: Fault, reply: CapturedReply, scope: Scope, receive: Receive, send: Send) -> None:
    await reply.send_start(send)
    half = reply.body[: len(reply.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    # A plain close: the client gets the half that was promised whole.
    transport_of(scope).close()
    await disconnected(receive)


async def _send_drip(fault: Fault, reply: CapturedReply, _scope: Scope, receive: Receive, send: Send) -> None:
    await reply.send_start(send)
    for index in range(len(reply.body)):
        part = reply.body[index : index + 1]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        if not await hang(receive, fault.seconds):
            return
    await send({"type": "http.response.body", "body": b""})


async def _send_bad_json(_fault: Fault, reply: CapturedReply, _scope: Scope, _receive: Receive, send: Send) -> None:
    spoilt = CapturedReply(200, [(b"content-type", b"application/json")], reply.body[:-1] + b",")
    await spoilt.send_whole(send)


async def _send_untyped(_fault: Fault, reply: CapturedReply, _scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [header for header in reply.headers if header[0] != b"content-type"]
    await CapturedReply(reply.status, headers, reply.body).send_whole(send)


_SPOILERS: dict[str, Callable[[Fault, CapturedReply, Scope, Receive, Send], Awaitable[None]]] = {
    "accepted-hang": _send_hang,
    "accepted-drop": _send_drop,
    "accepted-close": _send_close,
    "accepted-reply": _send_given,
    "accepted-cut-body": _send_cut,
    "truncated-book": _send_cut,
    "accepted-bad-json": _send_bad_json,
    "accepted-no-content-type": _send_untyped,
    "drip": _send_drip,
}


async def send_after(fault: Fault, reply: CapturedReply, scope: Scope, receive: Receive, send: Send) -> None:
    """Spoil the answer to a request that was executed."""
    spoiler = _SPOILERS.get(fault.kind)
    if spoiler is not None:
        await spoiler(fault, reply, scope, receive, send)
        return
    responses: dict[str, Any] = {
        "accepted-html-502": HTMLResponse(BAD_GATEWAY, status_code=502),
        "accepted-503": failure(unavailable()),
        "accepted-timeout-400": failure(input_error(TIMED_OUT_BUT_PLACED)),
    }
    await responses[fault.kind](scope, receive, send)
