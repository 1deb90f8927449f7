"""A line in the log for requests that are refused: attacks are found by what they are refused.

Source of the rule: OWASP ASVS 4.0.3, 7.1.3, 7.2.1, 7.2.2 and 14.5.1.
"""

import json

import structlog
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from persistence.login_throttle import network_of

log = structlog.stdlib.get_logger(__name__)

LINES_OF_NETWORK = 60
"""How many lines a network gets in a minute: who floods hides no other attacker."""

LINES_IN_ALL = 600
"""How many lines a process writes in a minute, so that a flood does not fill the disk."""

_CLIENT_LEFT = 499


class RefusalLog:
    """Logs `request_rejected` for each answer from 400 to 498, within limits; `unlogged` counts what was beyond them.

    A line has the code, the route and never the path, which a client may have written a secret into.
    """

    def __init__(
        self, app: ASGIApp, lines_of_network: int = LINES_OF_NETWORK, lines_in_all: int = LINES_IN_ALL
    ) -> None:
        self._app = app
        self._of_network = RateLimitItemPerMinute(lines_of_network, namespace="refusals of a network")
        self._in_all = RateLimitItemPerMinute(lines_in_all, namespace="refusals")
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._unlogged = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused: int | None = None

        async def send_noting_refusals(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and 400 <= message["status"] < _CLIENT_LEFT:
                refused = message["status"]
            elif refused is not None and message["type"] == "http.response.body":
                self._note(scope, refused, message.get("body", b""))
                refused = None
            await send(message)

        await self._app(scope, receive, send_noting_refusals)

    def _note(self, scope: Scope, status: int, body: bytes) -> None:
        client = scope.get("client")
        address = client[0] if client else "unknown"
        if not self._has_room(network_of(address)):
            self._unlogged += 1
            return
        unlogged, self._unlogged = self._unlogged, 0
        log.info(
            "request_rejected",
            status=status,
            code=_code_of(body),
            method=scope["method"],
            route=getattr(scope.get("route"), "path_format", "none"),
            address=address,
            user_id=scope.get("user_id"),
            unlogged=unlogged,
        )

    def _has_room(self, network: str) -> bool:
        # All together first: beyond that a flood from many networks is not even remembered.
        if not self._limiter.test(self._in_all):
            return False
        return self._limiter.hit(self._of_network, network) and self._limiter.hit(self._in_all)


def _code_of(body: bytes) -> str:
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError, TypeError):  # a HEAD has no body, and CORS refuses in plain text
        return "none"
