"""Places for requests without a good token: a flood of them leaves the rest of the server to those who have one.

What cannot be served is refused here, before its body is read: a refusal costs a tenth of what a route costs.
"""

from collections.abc import Callable, Collection

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.base.errors import ApiError
from api.edge.admission import UserOf

MOST_WITHOUT_TOKEN = 512
"""How many requests without a good token a process serves at once, of the 4096 that it serves at all. A login takes
half a second, and the slowest phone some seconds."""

_BUSY = ApiError(
    503, "server_busy", "Too many requests are served at this moment. Please try again.", {"Retry-After": "2"}
)


class PlacesWithToken:
    """Refuses requests without a good token, at once, while too many of them are served already.

    It is decided before the body has come: a client that sends slowly keeps no user from stopping.
    """

    def __init__(
        self,
        app: ASGIApp,
        user_of: UserOf,
        check: Callable[[str], None],
        always: Collection[str] = (),
        most: int = MOST_WITHOUT_TOKEN,
    ) -> None:
        """`always`: paths that are never refused.

        `check` is called with the path of a request without one, and raises the ApiError that it is refused with.
        """
        self._app = app
        self._user_of = user_of
        self._check = check
        self._always = frozenset(always)
        self._most = most
        self._served = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in self._always or self._user_of(scope) is not None:
            await self._app(scope, receive, send)
        elif (refusal := self._refusal(scope["path"])) is not None:
            problem = {"detail": refusal.detail, "code": refusal.code}
            await JSONResponse(problem, refusal.status, refusal.headers)(scope, receive, send)
        else:
            self._served += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._served -= 1

    def _refusal(self, path: str) -> ApiError | None:
        if self._served >= self._most:
            return _BUSY
        try:
            self._check(path)
        except ApiError as refusal:
            return refusal
        return None
