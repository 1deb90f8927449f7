"""`GET /strategy/{strategy_id}/timeline`: why a trade did or did not happen. Instants that have not come are null."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from actors.domain.identifiers import Product
from api.base.dependencies import PageQuery
from api.base.fields import MAX_ID, PositionWord, Request

LegWord = Literal["ENTRY", "EXIT"]
OutcomeWord = Literal["waiting", "not_sent", "sent", "working", "filled", "rejected", "cancelled", "failed", "missed"]


class TimelineQuery(PageQuery):
    """Which run; the latest, if none is named. The newest exits and notes, of either `limit`, but for `offset`."""

    rows_each: ClassVar[int] = 5

    limit: int = Field(default=50, ge=1, le=50)
    run_id: int | None = Field(default=None, gt=0, le=MAX_ID)


class TimelineAttempt(BaseModel):
    """One request to the broker; `status` is what it has proven."""

    status: str | None
    sent_at: datetime | None
    answered_at: datetime
    order_id: str | None
    reason: str | None


class TimelineLeg(BaseModel):
    """One wish to trade and what became of it; an exit that leaves a remainder is followed by the next `seq`."""

    leg: LegWord
    seq: int
    cause: str | None
    scheduled_at: datetime | None
    triggered_at: datetime | None
    sent_at: datetime | None
    acknowledged_at: datetime | None
    filled_at: datetime | None
    late_ms: int | None
    order_id: str | None
    quantity: int
    filled_quantity: int
    average_price: float | None
    outcome: OutcomeWord
    attempts: list[TimelineAttempt]
    attempts_total: int = Field(description="`attempts` holds the first and the last of each kind.")


class TimelineNote(BaseModel):
    """Something that happened and is no instant of a leg, or says why."""

    at: datetime
    event: str
    reason: str | None


class StrategyTimeline(BaseModel):
    """A run from START to its end. Of a strategy that never ran, `run_id` is null and there are no legs.

    The entry comes with every page.
    """

    strategy_id: int
    run_id: int | None
    started_at: datetime | None
    ended_at: datetime | None
    message: str
    summary: str
    legs: list[TimelineLeg]
    legs_total: int
    notes: list[TimelineNote]
    notes_total: int = Field(description="How many there are in all, counted up to 1000.")
    notes_total_capped: bool = Field(description="Whether there are more than `notes_total`.")
    limit: int
    offset: int


class RunEntry(BaseModel):
    """One START and what came of it; prices in rupees, `pnl` before charges."""

    run_id: int
    started_at: datetime
    ended_at: datetime | None = Field(description="Null while it goes on.")
    buy_at: datetime
    sell_at: datetime
    product: Product
    quantity: int
    stop_loss: float | None = Field(description="As it was at the end, or is now; null while a percent has no level.")
    stop_loss_percent: float | None
    position: PositionWord
    status_detail: str
    message: str
    filled_quantity: int
    buy_price: float | None
    sell_price: float | None
    pnl: float | None


class RunList(BaseModel):
    """Part of a strategy's runs, the latest first."""

    runs: list[RunEntry]
    total: int = Field(description="How many there are in all, counted up to 1000.")
    total_capped: bool = Field(description="Whether there are more than `total`.")
    limit: int
    offset: int


class BarsQuery(Request):
    """Of which run; the latest, if none is named."""

    run_id: int | None = Field(default=None, gt=0, le=MAX_ID)
    interval: Literal["1m"] = "1m"


class MinuteBar(BaseModel):
    """The prices of the minute that begins `at`, as far as they were heard."""

    at: datetime
    open: float
    high: float
    low: float
    close: float


class StrategyBars(BaseModel):
    """Minute bars, oldest first. A minute in which no trade was heard has none."""

    strategy_id: int
    run_id: int | None
    symbol: str
    interval: Literal["1m"]
    bars: list[MinuteBar]
