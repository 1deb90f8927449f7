"""`GET /strategy/events`: live push as Server-Sent Events (https://html.spec.whatwg.org/#server-sent-events).

Include this router before that of `/strategy/{strategy_id}`, which would take "events" for an id.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.base.answers.problems import problem_response
from api.base.clock import utc_now
from api.base.dependencies import resources
from api.events.reader import PushedEvent
from api.events.schemas import (
    AccountChange,
    EventId,
    EventsQuery,
    Hello,
    Prices,
    SnapshotEnd,
    StrategyDeleted,
    StreamReplaced,
)
from api.events.streams import EventsService
from api.users.dependencies import Claims
from config.settings import Settings
from config.version import product_version

router = APIRouter(prefix="/strategy", tags=["strategy"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    events: EventsService
    settings: Settings


Opened = Annotated[Used, Depends(resources)]

_DATA = {
    "type": "string",
    "contentMediaType": "application/json",
    "contentSchema": {
        "anyOf": [
            {"$ref": "#/components/schemas/StrategyStatus"},
            StrategyDeleted.model_json_schema(),
            SnapshotEnd.model_json_schema(),
            StreamReplaced.model_json_schema(),
            Hello.model_json_schema(),
            AccountChange.model_json_schema(),
            Prices.model_json_schema(),
        ]
    },
}
_STREAM: dict[str, Any] = {
    "description": "`hello`, `snapshot`, `snapshot_end`, `strategy`, `deleted`, `account`, `prices`, `replaced`",
    "content": {"text/event-stream": {"itemSchema": {"properties": {"data": _DATA}}}},
}


async def pushed_events(
    claims: Claims,
    opened: Opened,
    asked: Annotated[EventsQuery, Query()],
    last_event_id: Annotated[EventId | None, Header(description="Sent by an EventSource that reconnects.")] = None,
) -> AsyncIterator[AsyncIterator[PushedEvent]]:
    """The events of this connection, the first of them read already, until the connection is gone.

    The header goes before the query: it is the newer one, since a client that reconnects repeats its address.
    """
    async with opened.events.open(claims, last_event_id or asked.last_event_id, prices=asked.prices) as feed:
        yield feed.events(follow=asked.follow)


@router.get(
    "/events",
    operation_id="strategy_events",
    response_class=EventSourceResponse,
    responses={200: _STREAM, 503: problem_response(503)},
)
async def events(
    pushed: Annotated[AsyncIterator[PushedEvent], Depends(pushed_events)], claims: Claims, opened: Opened
) -> AsyncIterator[ServerSentEvent]:
    """Every change of your strategies, as it happens. `data` of `snapshot` and `strategy` events is their status.

    Without an id to go on from, a snapshot comes first after `hello`.
    """
    now = utc_now().astimezone(opened.settings.zone)
    yield ServerSentEvent(event="hello", data=Hello(time=now, version=product_version(), user_id=claims.user_id))
    async for event in pushed:
        retry_ms = None if event.retry_s is None else event.retry_s * 1000
        yield ServerSentEvent(event=event.name, data=event.data, id=event.event_id, retry=retry_ms)
