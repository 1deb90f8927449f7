"""What every request passes before and after the routes: request id, headers, CORS, metrics, size and time of its body.

Pure ASGI, around Starlette's own error handling, so that answers to faults pass here too.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress

import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.base.answers.html_page import PAGE_POLICY
from api.base.answers.own_headers import own_headers
from api.base.idempotency import IDEMPOTENCY_KEY, REPLAYED
from api.base.metrics import Metrics, MetricsMiddleware
from api.edge.admission import Admission, UserOf
from api.edge.places import PlacesWithToken
from api.edge.refusal_log import RefusalLog
from api.edge.work_budget import WorkEnds

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 10.0
"""How long a client may take to send a body, from its first wait to its last byte."""

REQUEST_ID = "X-Request-ID"
PROBES = ("/healthz", "/readyz", "/metrics")
"""What the operator's machines ask; a reverse proxy keeps it away from the public."""

TOO_LARGE = f"A request may have {MAX_BODY_BYTES // 1024} KiB"

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": _API_POLICY,
    "Cache-Control": "no-store",
}
_HSTS = "max-age=63072000"
_JSON = "application/json"
_HTML = "text/html"
_AS_FILE = 'attachment; filename="api.json"'
"""What a browser is to do with JSON that it was led to: keep it as a file of this name, whatever the address says
(OWASP ASVS 4.0.3, 14.4.2)."""


def with_edge(
    app: ASGIApp,
    metrics: Metrics,
    cors_origins: Sequence[str],
    user_of: UserOf,
    check_place: Callable[[str], None],
) -> ASGIApp:
    """The application within its edge; from the outside in: request id, headers, metrics, CORS, admission, places,
    body."""
    app = WorkEnds(BodyLimit(AnsweredFaults(app)))
    app = Admission(PlacesWithToken(app, user_of, check_place, always=PROBES), user_of)
    if cors_origins:
        app = _with_cors(app, cors_origins)
    app = SecurityHeaders(MetricsMiddleware(app, metrics))
    return CorrelationIdMiddleware(
        LogContext(RefusalLog(app)),
        header_name=REQUEST_ID,
        generator=_new_id,
        validator=None,
        transformer=_own_or_new_id,
    )


class LogContext:
    """Binds the request id to every log line of the request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with structlog.contextvars.bound_contextvars(request_id=correlation_id.get()):
            await self._app(scope, receive, send)


class AnsweredFaults:
    """Ends the exceptions that the application has answered and logged (`api.base.errors`), and raised nevertheless.

    The server would log them a second time, without the request id. An answer that was cut short is closed by it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        with suppress(Exception) if scope["type"] == "http" else nullcontext():
            await self._app(scope, receive, send)


class SecurityHeaders:
    """Sets the headers that keep browsers from doing more with an answer than showing it to our own pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                if headers.get("content-type", "").startswith(_JSON):
                    headers["Content-Disposition"] = _AS_FILE
                elif headers.get("content-type", "").startswith(_HTML):
                    headers["Content-Security-Policy"] = PAGE_POLICY
                headers.update(own_headers(scope))
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = _HSTS
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """Refuses bodies that are too large (413) or come too slowly (408), with or without a Content-Length.

    Starlette's own limit would answer in plain text, not in the shape of `api.base.errors`.
    """

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif _announced_bytes(scope) > self._max_bytes:
            await _send_too_large(send)
        else:
            body = _CountedBody(receive, send, self._max_bytes, self._timeout_s)
            await self._app(scope, body.receive, body.send)


class _CountedBody:
    """The body of one request; raises `HTTPException`, which the application answers like its own."""

    def __init__(self, receive: Receive, send: Send, max_bytes: int, timeout_s: float) -> None:
        self._receive = receive
        self._send = send
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._bytes = 0
        self._complete = False
        self._answering = False

    async def send(self, message: Message) -> None:
        self._answering = True
        await self._send(message)

    async def receive(self) -> Message:
        if self._complete:  # what comes now is the end of the connection, which may take as long as it likes
            return await self._receive()
        try:
            message = await self._receive_in_time()
        except TimeoutError:
            return self._refuse(408, "The request did not arrive in time", {"Connection": "close"})
        self._bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes > self._max_bytes:
            return self._refuse(413, TOO_LARGE)
        return message

    async def _receive_in_time(self) -> Message:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._timeout_s
        async with asyncio.timeout_at(self._deadline):
            return await self._receive()

    def _refuse(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Message:
        if self._answering:  # too late to say so: it is over
            return {"type": "http.disconnect"}
        raise HTTPException(status, detail, headers)


def _announced_bytes(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0  # the server refuses what is no number


async def _send_too_large(send: Send) -> None:
    body = json.dumps({"detail": TOO_LARGE, "code": "request_too_large"}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
        allow_headers=("Authorization", "Content-Type", IDEMPOTENCY_KEY, "Last-Event-ID", REQUEST_ID),
        expose_headers=(REQUEST_ID, REPLAYED, "Retry-After"),
        allow_credentials=False,  # tokens travel in a header, never in a cookie
    )


def _new_id() -> str:
    return uuid.uuid4().hex


def _own_or_new_id(request_id: str) -> str:
    """The client's id if it can stand in a log line, else a new one."""
    return request_id if _SAFE_ID.fullmatch(request_id) else _new_id()
