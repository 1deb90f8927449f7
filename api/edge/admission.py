"""How many requests the process serves at the same time, with a share that is kept for those that end a position.

uvicorn's own limit (`limit_concurrency`) would refuse all alike, and in plain text.
"""

import time
from collections import Counter
from collections.abc import Callable, Sized

import structlog
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.base.errors import overloaded
from api.base.urgent import is_urgent

log = structlog.stdlib.get_logger(__name__)

MOST_AT_ONCE = 4096
"""Requests, or connections, beyond which others are refused, rather than a process that has run out of memory."""

RESERVED = 256
"""How many STOPs are served beyond that, all of them with an access token."""

RESERVED_PER_USER = 16
"""How many of them one user may hold."""

UserOf = Callable[[Scope], int | None]
"""The user of a request's access token, by the token alone; None without one that is valid."""


class Admission:
    """Refuses what is too much (503), before anything is read of it."""

    def __init__(self, app: ASGIApp, user_of: UserOf, most: int = MOST_AT_ONCE, reserved: int = RESERVED) -> None:
        self._app, self._user_of, self._most, self._reserved = app, user_of, most, reserved
        self._in_work = self._refused = 0
        self._logged_at = 0.0
        self._beyond: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._has_room(scope):
            await self._serve(scope, receive, send)
        elif (user_id := self._reserved_for(scope)) is not None:
            self._beyond[user_id] += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._beyond -= Counter({user_id: 1})
        else:
            self._log_refusal()
            refusal = overloaded()
            body = {"detail": refusal.detail, "code": refusal.code}
            headers = refusal.headers | {"Connection": "close"}  # its body is not read
            await JSONResponse(body, refusal.status, headers)(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._in_work += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_work -= 1

    def _log_refusal(self) -> None:
        """One line a second: a flood is not to fill the disk."""
        self._refused += 1
        if (now := time.monotonic()) - self._logged_at >= 1.0:
            log.warning("requests_refused", in_work=self._in_work, refused=self._refused)
            self._logged_at, self._refused = now, 0

    def _has_room(self, scope: Scope) -> bool:
        connections: Sized = getattr(scope["app"].state, "connections", ())
        return self._in_work < self._most and len(connections) < self._most

    def _reserved_for(self, scope: Scope) -> int | None:
        if not is_urgent(scope) or self._beyond.total() >= self._reserved:
            return None
        user_id = self._user_of(scope)
        return user_id if user_id is not None and self._beyond[user_id] < RESERVED_PER_USER else None
