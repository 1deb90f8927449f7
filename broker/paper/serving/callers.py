"""Which callers are served: programs of this machine; and by the control API those that know its token, if it has one.

A page in a browser reaches 127.0.0.1 as well as any program does: across sites, by a form or a `fetch` without a
preflight, or as the same origin once the page's own name leads to 127.0.0.1 (DNS rebinding). So the name that was
called must be ours, and what a browser says of the page must name no other one.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from broker.paper.base.envelope import failure
from broker.paper.base.errors import KiteError
from broker.paper.kite_api.login_page import LOGIN_PATH
from broker.paper.kite_api.request_gate import CONTROL_PREFIX
from broker.paper.serving.docs import DOCS_PATH

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
OTHER_SITES = frozenset({b"cross-site", b"same-site"})
OPEN_CONTROL = frozenset({f"{CONTROL_PREFIX}/health", f"{CONTROL_PREFIX}/openapi.json", DOCS_PATH})
"""These say and change nothing of an account, so they need no token; nor do the files of the page."""

SHORTEST_TOKEN = 16


def read_token(path: Path) -> str:
    """The token that a file holds.

    Raises:
        ValueError: the file cannot be read, or what it holds could be guessed.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as unreadable:
        raise ValueError(f"{path} cannot be read as a token") from unreadable
    if len(token) < SHORTEST_TOKEN:
        raise ValueError(f"{path} must hold a token of at least {SHORTEST_TOKEN} characters")
    return token


class Callers:
    """ASGI middleware, outside all others: what is refused here reaches neither the ledger nor an armed fault."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], token: str | None) -> None:
        """`hosts`: names beside those of this machine. Without `token` every local program may use the controls."""
        self._app = app
        self._hosts = LOCAL_NAMES.union(name.lower() for name in hosts)
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        status, reason = self._refusal(scope, headers)
        if not reason:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        elif scope["path"].startswith(CONTROL_PREFIX):
            challenge = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            await JSONResponse({"detail": reason}, status, challenge)(scope, receive, send)
        else:
            await failure(KiteError(status, "PermissionException", reason))(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str]:
        """The status and the reason of a refusal; no reason if the caller is welcome."""
        path = scope["path"]
        if not self._is_our_name(_name_of(headers.get(b"host", b"")), scope):
            return 403, "This exchange is not called by that name."
        # A browser comes to the login page from the page of an app, as it comes to Kite's. The form on it is its own.
        opens_login = path == LOGIN_PATH and scope.get("method") == "GET"
        if not opens_login and _comes_from_another_page(headers):
            return 403, "Pages of other sites may not call this exchange."
        if self._token is not None and _is_control(path):
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, b"Bearer " + self._token):
                return 401, "The control API needs the token of the exchange: Authorization: Bearer ..."
        return 200, ""

    def _is_our_name(self, name: str, scope: Scope) -> bool:
        # An address that was really connected to is no name that could have been made to lead here.
        server = scope.get("server")
        return name in self._hosts or (server is not None and name == server[0] and _is_address(name))


def _is_control(path: str) -> bool:
    return path.startswith(CONTROL_PREFIX) and path not in OPEN_CONTROL and not path.startswith(f"{DOCS_PATH}/")


def _name_of(host: bytes) -> str:
    """The name in a Host header, without its port and brackets."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _comes_from_another_page(headers: dict[bytes, bytes]) -> bool:
    if headers.get(b"sec-fetch-site") in OTHER_SITES:
        return True
    origin = headers.get(b"origin")
    return origin is not None and origin not in (b"http://" + headers[b"host"], b"https://" + headers[b"host"])


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
