"""`GET /strategy/events`: what is asked for, and what the events carry."""

from typing import Annotated

from pydantic import BaseModel, Field

from api.base.fields import Request
from api.strategies.schemas import StrategyStatus

EventId = Annotated[str, Field(pattern="^[0-9]{1,15}-[0-9]{1,15}$", examples=["1795236949266-0"])]


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
