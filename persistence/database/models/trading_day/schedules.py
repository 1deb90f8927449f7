"""Schedules (row N4): on which days a strategy is started by itself, and what happened to each of these days."""

from datetime import date, datetime

from sqlalchemy import ARRAY, BigInteger, Boolean, CheckConstraint, Column, Date, ForeignKeyConstraint, Index, text
from sqlmodel import Field

from persistence.database.models.base import TableModel, instant_field, integer_field, one_of, text_field

EVERY_SESSION = 127
"""All seven days of the week, which are the bits of `days`, Monday being 1."""


class Schedule(TableModel, table=True):
    """The schedule of a strategy, which has one at most. Dates are days of the exchange.

    `special_sessions`: also on days whose hours are not the ordinary ones. `paused_until`: the day from which it goes
    on by itself. `active_since`: what was due before then is no affair of this schedule. `looked_at`: each day that was
    due by then has a row, so that times that are changed later make no day of the past. `restored_at`: a backup was
    restored then, and what happened on days that had begun is not known. `next_look_at`: when an API process has to
    look at it again; the process that moves it is the one that looks.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        ForeignKeyConstraint(["strategy_id", "user_id"], ["strategies.id", "strategies.user_id"], ondelete="CASCADE"),
        CheckConstraint("days BETWEEN 1 AND 127", name="days"),
        CheckConstraint("until_date IS NULL OR until_date >= from_date", name="until_date"),
        CheckConstraint("(state = 'paused') = (pause_reason IS NOT NULL)", name="pause_reason"),
        CheckConstraint("paused_until IS NULL OR state = 'paused'", name="paused_until"),
        one_of("state", "active", "paused", "ended"),
        Index(None, "user_id", "strategy_id"),
        Index("schedules_to_look_at", "next_look_at", postgresql_where=text("state <> 'ended'")),
    )

    strategy_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    user_id: int = integer_field()
    days: int = integer_field()
    special_sessions: bool = Field(default=False, sa_column=Column(Boolean, nullable=False))
    from_date: date
    until_date: date | None = None
    skip_dates: list[date] = Field(sa_column=Column(ARRAY(Date), nullable=False, server_default=text("'{}'")))
    state: str = text_field(default="active")
    pause_reason: str | None = text_field(nullable=True)
    paused_until: date | None = None
    active_since: datetime = instant_field()
    looked_at: datetime = instant_field()
    restored_at: datetime | None = instant_field(nullable=True)
    next_look_at: datetime = instant_field()
    created_at: datetime = instant_field(now=True)
    updated_at: datetime = instant_field(now=True)


class ScheduleDay(TableModel, table=True):
    """One day of a strategy's schedule. Its primary key makes a strategy start once a day by itself, also in a race.

    It outlives the schedule, so that one that is made again on the same day does not start the strategy a second time.
    `waiting` becomes one of the others and no other becomes `waiting` again. `code` and `reason`: why it waits, was
    skipped or missed.
    """

    __tablename__ = "schedule_days"
    __table_args__ = (
        ForeignKeyConstraint(["strategy_id", "user_id"], ["strategies.id", "strategies.user_id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["run_id", "strategy_id", "user_id"], ["runs.id", "runs.strategy_id", "runs.user_id"]),
        CheckConstraint("(outcome = 'armed') = (run_id IS NOT NULL)", name="run_id"),
        one_of("outcome", "waiting", "armed", "skipped", "missed"),
        Index(None, "user_id", "session_date"),
    )

    strategy_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    session_date: date = Field(sa_column=Column(Date, primary_key=True))
    user_id: int = integer_field()
    outcome: str = text_field(default="waiting")
    code: str = text_field(default="")
    reason: str = text_field(default="")
    run_id: int | None = integer_field(nullable=True)
    created_at: datetime = instant_field(now=True)
    updated_at: datetime = instant_field(now=True)
