"""`GET /strategy/events`: what is asked for, and what the events carry."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from api.base.fields import Request
from api.strategies.schemas import StrategyStatus

_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")


def _check_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("must be the id of an event, such as 1795236949266-0")
    return text


EventId = Annotated[
    str,
    AfterValidator(_check_id),
    Field(
        examples=["1795236949266-0"],
        description="The `id` of the last event that was received.",
        json_schema_extra={"pattern": f"^{_ID.pattern}$"},
    ),
]


class EventsQuery(Request):
    """`last_event_id`: for clients that cannot set the header. `follow`: false answers what there is, and ends."""

    last_event_id: EventId | None = None
    follow: bool = True


class StrategyDeleted(BaseModel):
    """Data of a `deleted` event."""

    strategy_id: int


class SnapshotEnd(BaseModel):
    """Data of a `snapshot_end` event: how many strategies the snapshot held."""

    strategies: int


class StreamReplaced(BaseModel):
    """Data of a `replaced` event, the last of a stream: a newer one of the same user has taken its place."""

    detail: str = "A newer event stream of yours took the place of this one"


EventData = StrategyStatus | StrategyDeleted | SnapshotEnd | StreamReplaced
