"""`/strategy/{id}/schedule` and `/schedule`: requests and answers (row N4)."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from api.base.fields import ExchangeDate, Request

DayName = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAY_NAMES = get_args(DayName)
MOST_DAYS = len(DAY_NAMES)


def _check_days(days: Any) -> Any:
    named = isinstance(days, list) and 0 < len(days) <= MOST_DAYS and all(day in DAY_NAMES for day in days)
    if days != "every_session" and not named:
        raise ValueError(f"must be every_session, or a list of days of the week: {', '.join(DAY_NAMES)}")
    return days


Days = Annotated[
    Literal["every_session"] | Annotated[list[DayName], Field(min_length=1, max_length=MOST_DAYS)],
    BeforeValidator(_check_days),
]
Outcome = Literal["waiting", "armed", "failed", "skipped", "missed"]

MOST_SKIPPED = 100
"""How many days to skip a schedule keeps."""


class ScheduleRequest(Request):
    """On which days the strategy starts by itself. Dates are days of the exchange.

    `days`: days of the week, or all of them. `from`: today, if it is not given. `special_sessions`: also on days whose
    hours are not the ordinary ones, such as half days, if both times fit.
    """

    days: Days
    from_: ExchangeDate | None = Field(default=None, alias="from")
    until: ExchangeDate | None = None
    skip: list[ExchangeDate] = Field(default=[], max_length=MOST_SKIPPED)
    special_sessions: bool = Field(default=False, strict=True)

    @field_validator("until")
    @classmethod
    def _check_order(cls, until: date | None, info: ValidationInfo) -> date | None:
        first = info.data.get("from_")
        if until is not None and first is not None and until < first:
            raise ValueError("must not be before from")
        return until


class SchedulePauseRequest(Request):
    """`until`: the day from which it goes on by itself; without one, until it is resumed."""

    until: ExchangeDate | None = None


class ScheduleSkipRequest(Request):
    """The day to skip."""

    date: ExchangeDate


class PlannedDay(BaseModel):
    """A day on which the strategy will start by itself."""

    date: date
    buy_at: datetime
    sell_at: datetime


class PastDay(BaseModel):
    """What happened on a day. `failed`: it was armed, and its run ended without a purchase.

    `code` and `reason`: why it waits, was skipped or missed.
    """

    date: date
    outcome: Outcome
    code: str
    reason: str
    run_id: int | None


class ScheduleAnswer(BaseModel):
    """A schedule. `next`: the coming days on which it will trade, five at most; `latest`: its last days."""

    strategy_id: int
    days: Literal["every_session"] | list[DayName]
    from_: date = Field(serialization_alias="from")
    until: date | None
    skip: list[date]
    special_sessions: bool
    state: Literal["active", "paused", "ended"]
    pause_reason: str | None = Field(examples=["by_user"])
    paused_until: date | None
    next: list[PlannedDay]
    latest: list[PastDay]


class ScheduledStrategy(BaseModel):
    """What a strategy does on a day: `planned`, `paused`, or what happened."""

    strategy_id: int
    symbol: str
    buy_at: datetime
    sell_at: datetime
    outcome: Literal["planned", "paused"] | Outcome
    code: str
    reason: str
    run_id: int | None


class ScheduledDay(BaseModel):
    """A day of the calendar, and the strategies that have it in their schedule.

    `closed`: why the exchange does not open, if it does not.
    """

    date: date
    closed: Literal["holiday", "weekend"] | None
    strategies: list[ScheduledStrategy]


class ScheduleOverview(BaseModel):
    """The coming days, today first."""

    days: list[ScheduledDay]


class OverviewQuery(Request):
    """How many days."""

    days: int = Field(default=14, ge=1, le=31)
