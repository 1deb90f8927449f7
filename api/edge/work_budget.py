"""What one user's requests may take of the process: how much work in a time, and how many of them at once.

A list of two hundred rows costs the event loop ten times as much as a status, so requests are weighed, not counted.
"""

import asyncio
from contextlib import ExitStack
from functools import cache
from inspect import isclass
from math import ceil
from typing import Any, get_type_hints

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.base.dependencies import PageQuery
from api.base.errors import ApiError, overloaded
from api.base.leaky_buckets import LeakyBuckets
from api.base.urgent import is_urgent
from api.edge.rate_limit import RateLimits
from api.edge.requests_at_once import RequestsAtOnce
from config.settings import Settings

ROWS_OF_A_UNIT = 20
"""How many rows of a list are one unit of work; everything else costs one."""

BYTES_OF_A_UNIT = 5000
"""No more than twenty rows take up in an answer, so that a list which turns out short costs what is in it."""

SNAPSHOT_UNITS = 25
"""What opening a stream of events costs: it may begin with a snapshot of everything that runs."""

LOOKUP_UNITS = {
    "search_instruments": 3, "market_calendar": 3, "preview_strategy": 3, "schedule_overview": 3, "get_readiness": 3,
    "refresh_readiness": 3, "strategy_bars": 10,
}  # fmt: skip
"""What these cost, however short their answer is: a preview and readiness ask the broker and the database what a START
asks, a day of bars is as long as a list of two hundred rows, and the others are milliseconds of a thread."""

HEAVY_UNITS = 5
HEAVY_AT_ONCE = 2
"""How many requests of that weight are served at the same time, of all users together. Each keeps the event loop for
some milliseconds at a time, and a STOP waits for each of its answers from the database behind all that are ready."""

HEAVY_LINE = 1000
"""How many of them wait, of all users together."""

REFUSALS_PER_MINUTE = 300
"""How many requests of a user are refused at once; beyond that the refusal is held back, for it costs work as well."""

HELD_BACK_S = 2.0
"""How long: a client that goes on asking is slowed down by its own open connections."""

_ALL_USERS = 0
_MOST_ITEMS = 200
_STREAM = "strategy_events"
_LEAVING, _WEIGHED = "work_budget_leaving", "work_budget_weighed"


class WorkBudget:
    """Admits the requests of users, whose tokens have been checked before."""

    def __init__(self, rates: RateLimits, at_once: RequestsAtOnce) -> None:
        self._rates, self._at_once = rates, at_once
        self._refusals = LeakyBuckets(REFUSALS_PER_MINUTE)
        self._heavy = RequestsAtOnce(HEAVY_AT_ONCE, line=HEAVY_LINE, refusal=overloaded)

    @classmethod
    def from_settings(cls, settings: Settings) -> "WorkBudget":
        """With the limits of `API_RATE_PER_MINUTE`, `AUTH_RATE_PER_MINUTE` and `API_REQUESTS_AT_ONCE`."""
        rates = RateLimits(settings.api_rate_per_minute, settings.auth_rate_per_minute)
        return cls(rates, RequestsAtOnce(settings.api_requests_at_once))

    async def admit(self, user_id: int, request: Request) -> None:
        """Count a request, and wait in line while others are served; it is served until its answer begins.

        STOP waits for none. Streams last; the process counts them apart.

        Raises:
            ApiError: 429 `rate_limited`, 503 `overloaded`; both with the seconds to wait.
        """
        urgent = is_urgent(request.scope)
        units = 1 if urgent else work_units(request)
        try:
            self._rates.count_user(user_id, units, urgent=urgent)
        except ApiError:
            if self._refusals.pour(user_id, 1):
                await asyncio.sleep(HELD_BACK_S)
            raise
        if urgent or request.scope["route"].operation_id == _STREAM:
            return
        if request.scope["route"].operation_id not in LOOKUP_UNITS:
            request.scope[_WEIGHED] = lambda length: self._rates.give_back(user_id, max(0, units - _units_in(length)))
        leaving: ExitStack = request.scope[_LEAVING]
        leaving.callback(await self._at_once.enter(user_id))
        if units >= HEAVY_UNITS:
            leaving.callback(await self._heavy.enter(_ALL_USERS))

    def count_address(self, address: str) -> None:
        """Count a request without a token. Raises as `admit`."""
        self._rates.count_address(address)


class WorkEnds:
    """Middleware that ends the work of a request which `WorkBudget` has admitted: when its answer begins, or it fails.
    The answer's length tells what the request has cost.

    Sending the answer is none: a client that reads slowly, or never, must not keep the place of another.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with ExitStack() as leaving:
            scope[_LEAVING] = leaving

            async def leave_and_send(message: Message) -> None:
                leaving.close()
                if _WEIGHED in scope and message["type"] == "http.response.start":
                    length = Headers(raw=message["headers"]).get("content-length")
                    if length:
                        scope[_WEIGHED](int(length))
                await send(message)

            await self._app(scope, receive, leave_and_send)


def _units_in(length: int) -> int:
    return max(1, ceil(length / BYTES_OF_A_UNIT))


def work_units(request: Request) -> int:
    """How much work a request asks for, by its route and the rows it wants; what is refused later costs the least."""
    route = request.scope["route"]
    if route.operation_id == _STREAM:
        return SNAPSHOT_UNITS
    if route.operation_id in LOOKUP_UNITS:
        return LOOKUP_UNITS[route.operation_id]
    page = _page_of(route.endpoint)
    if page is None:
        return 1
    items, wanted = int(page.model_fields["limit"].default), request.query_params.get("limit")
    if wanted:
        items = min(int(wanted), _MOST_ITEMS) if wanted.isdecimal() and len(wanted) <= len(str(_MOST_ITEMS)) else 1
    return max(1, ceil(items * page.rows_each / ROWS_OF_A_UNIT))


@cache
def _page_of(endpoint: Any) -> type[PageQuery] | None:
    """How an operation is asked for a part of a list; None if it answers no list."""
    pages = (kind for kind in get_type_hints(endpoint).values() if isclass(kind) and issubclass(kind, PageQuery))
    return next(pages, None)
