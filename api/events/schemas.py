"""`GET /strategy/events`: what is asked for, and what the events carry."""

import re
from datetime import datetime
from typing import Annotated, Literal

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
    """`last_event_id`: for clients that cannot set the header. `follow`: false answers what there is, and ends.
    `prices`: whether prices are sent, too."""

    last_event_id: EventId | None = None
    follow: bool = True
    prices: bool = False


class StrategyDeleted(BaseModel):
    """Data of a `deleted` event."""

    strategy_id: int


class SnapshotEnd(BaseModel):
    """Data of a `snapshot_end` event: how many strategies the snapshot held."""

    strategies: int


class StreamReplaced(BaseModel):
    """Data of a `replaced` event, the last of a stream: a newer one of the same user has taken its place."""

    detail: str = "A newer event stream of yours took the place of this one"


class Hello(BaseModel):
    """Data of a `hello` event, the first of a stream: the clock and the version of the server, and whose stream it is.

    After it a client compares its clock, and asks again for what it knows of the account.
    """

    time: datetime
    version: str
    user_id: int


class AccountChange(BaseModel):
    """Data of an `account` event: how the account is when it is sent. Without a broker its fields are null."""

    broker_connected: bool
    broker: str | None
    broker_user_id: str | None
    token_expires_at: datetime | None
    token_expired: bool | None
    entries_forbidden: bool


class PriceNow(BaseModel):
    """The last price of a symbol, with the fields of a status."""

    symbol: str
    last_price: float
    last_price_age_ms: int
    feed: Literal["live", "late", "down"] | None
    feed_lag_ms: int | None
    feed_since: datetime | None


class Prices(BaseModel):
    """Data of a `prices` event: those that have changed, of the symbols that the user's strategies run on."""

    prices: list[PriceNow]


EventData = StrategyStatus | StrategyDeleted | SnapshotEnd | StreamReplaced | Hello | AccountChange | Prices
