"""`GET /strategy/events`: live push as Server-Sent Events (https://html.spec.whatwg.org/#server-sent-events).

Include this router before that of `/strategy/{strategy_id}`, which would take "events" for an id.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.base.answers.problems import problem_response
from api.base.dependencies import resources
from api.events.reader import PushedEvent
from api.events.schemas import EventId, EventsQuery, SnapshotEnd, StrategyDeleted, StreamReplaced
from api.events.streams import EventsService
from api.users.dependencies import Claims

router = APIRouter(prefix="/strategy", tags=["strategy"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    events: EventsService


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
        ]
    },
}
_STREAM: dict[str, Any] = {
    "description": "Events named `snapshot`, `snapshot_end`, `strategy`, `deleted` and `replaced`",
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
    async with opened.events.open(claims, last_event_id or asked.last_event_id) as feed:
        yield feed.events(follow=asked.follow)


@router.get(
    "/events",
    operation_id="strategy_events",
    response_class=EventSourceResponse,
    responses={200: _STREAM, 503: problem_response(503)},
)
async def events(
    pushed: Annotated[AsyncIterator[PushedEvent], Depends(pushed_events)],
) -> AsyncIterator[ServerSentEvent]:
    """Every change of your strategies, as it happens. `data` of `snapshot` and `strategy` events is their status.

    Without an id to go on from, it begins with a snapshot.
    """
    async for event in pushed:
        retry_ms = None if event.retry_s is None else event.retry_s * 1000
        yield ServerSentEvent(event=event.name, data=event.data, id=event.event_id, retry=retry_ms)
