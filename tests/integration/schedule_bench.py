"""Schedules (row N4) on the real PostgreSQL, Valkey and paper exchange, with a calendar and a clock of the test's own.

A plugin that the test modules name.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, select
from sqlmodel import col

from api.strategies.rule_facts import StrategyChecks
from api.strategies.schedules.arming import ScheduleArming
from api.strategies.schedules.schemas import ScheduleAnswer, ScheduleRequest
from api.strategies.schedules.service import ScheduleService
from api.strategies.start_and_stop import LifecycleService
from broker.exchange_time import IST
from broker.market.trading_calendar import TradingCalendars
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.notifications import Notification
from persistence.database.models.runs import Run
from persistence.database.models.trading_day.schedules import Schedule, ScheduleDay
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api_user import ApiUser

if TYPE_CHECKING:
    from api.bootstrap import Resources

TODAY = datetime.now(IST).date()
MON = TODAY + timedelta(days=14 - TODAY.weekday())
TUE, WED, THU, FRI, SAT = (MON + timedelta(days=n) for n in range(1, 6))
ORDINARY = "09:15-15:30"
ALL = ScheduleRequest(days="every_session")


def every_session(first: date, *, special: bool = False) -> ScheduleRequest:
    """A schedule that begins on that day."""
    body = {"days": "every_session", "from": first, "special_sessions": special}
    return ScheduleRequest.model_validate(body)


@dataclass
class Clock:
    """A clock that the test sets."""

    now: datetime = field(default_factory=lambda: moment(MON, 8, 0))

    def __call__(self) -> datetime:
        return self.now


def moment(day: date, hour: int, minute: int, second: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute, second), IST)


@dataclass
class Bench:
    """What an API process does about schedules, by the test's clock. `another` is a second process."""

    arming: ScheduleArming
    schedules: ScheduleService
    lifecycle: LifecycleService
    clock: Clock
    sessions: Sessions
    overrides: Path
    trader: ApiUser
    user_id: int
    another: ScheduleArming
    process: Callable[[RuntimeMirror], ScheduleArming]

    async def strategy(self, **changes: Any) -> int:
        body = {"stop_loss": None, "stop_loss_percent": 2, "buy_time": "09:20"} | changes
        return await self.trader.strategy(**body)

    async def scheduled(self, request: ScheduleRequest = ALL, **changes: Any) -> int:
        strategy_id = await self.strategy(**changes)
        await self.schedules.put(self.user_id, strategy_id, request)
        return strategy_id

    async def at(self, day: date, hour: int, minute: int, second: int = 0) -> None:
        """It is this instant, and the process sweeps."""
        self.clock.now = moment(day, hour, minute, second)
        await self.arming.sweep()

    async def days(self, strategy_id: int) -> list[tuple[date, str, str]]:
        async with transaction(self.sessions) as session:
            mine = select(ScheduleDay).where(col(ScheduleDay.strategy_id) == strategy_id)
            rows = (await session.scalars(mine.order_by(col(ScheduleDay.session_date)))).all()
        return [(row.session_date, row.outcome, row.code) for row in rows]

    async def runs(self, strategy_id: int) -> list[Run]:
        async with transaction(self.sessions) as session:
            mine = select(Run).where(col(Run.strategy_id) == strategy_id)
            return list((await session.scalars(mine.order_by(col(Run.id)))).all())

    async def told(self, strategy_id: int) -> list[str]:
        async with transaction(self.sessions) as session:
            mine = select(Notification).where(col(Notification.strategy_id) == strategy_id)
            rows = (await session.scalars(mine.order_by(col(Notification.id)))).all()
        return [row.text for row in rows if row.key.startswith("schedule:")]

    async def answer(self, strategy_id: int) -> ScheduleAnswer:
        return await self.schedules.get(self.user_id, strategy_id)

    def hours(self, changes: dict[date, str] | None = None) -> None:
        """The operator's file: three weeks of ordinary weekdays, but for these changes."""
        days = {
            MON + timedelta(days=n): ORDINARY if (MON + timedelta(days=n)).weekday() < 5 else "closed"
            for n in range(-14, 28)
        }
        lines = [f'{day} = "{hours}"' for day, hours in (days | (changes or {})).items()]
        self.overrides.write_text("\n".join(lines) + "\n")


@pytest.fixture
async def bench(
    app: FastAPI, settings: Settings, sessions: Sessions, trader: ApiUser, tmp_path: Path
) -> AsyncIterator[Bench]:
    res: Resources = app.state.resources
    overrides, clock = tmp_path / "sessions.toml", Clock()
    overrides.write_text("")
    known = settings.model_copy(update={"calendar": "XNSE"})
    user_id = (await trader.call("GET", "/auth/validate")).json()["user_id"]

    def process(mirror: RuntimeMirror) -> tuple[ScheduleArming, ScheduleService, LifecycleService]:
        calendars = TradingCalendars(overrides)
        checks = StrategyChecks(known, res.brokers, res.lookups, calendars, clock)
        lifecycle = LifecycleService(known, res.capacity, sessions, sessions, mirror, res.engine, checks, clock)
        arming = ScheduleArming(known, sessions, lifecycle, calendars, clock)
        return arming, ScheduleService(known, sessions, sessions, checks, calendars, clock), lifecycle

    arming, schedules, lifecycle = process(res.mirror)
    another = process(res.mirror)[0]
    made = Bench(
        arming, schedules, lifecycle, clock, sessions, overrides, trader, user_id, another, lambda m: process(m)[0]
    )
    made.hours()
    yield made
    async with transaction(sessions) as session:  # the sweeps of the next test find all that is due
        await session.execute(delete(Schedule))
