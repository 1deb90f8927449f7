"""A trader whose day is looked at, by parts whose clock the test moves."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from actors.ports.engine import StrategyEngine
from api.bootstrap import Resources
from api.readiness.looking import Looking
from api.readiness.operator import OperatorChecks
from api.readiness.rounds import ReadinessRounds
from api.readiness.service import ReadinessService
from api.strategies.rule_facts import StrategyChecks
from api.strategies.schedules.arming import ScheduleArming
from api.strategies.start_and_stop import LifecycleService
from broker.exchange_time import IST
from broker.market.trading_calendar import TradingCalendars
from persistence.database.engine import transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Run
from tests.integration.api_user import ApiUser

_days = itertools.count(2)


def day_of_its_own(weekday: int | None = None) -> datetime:
    """Half past nine of a coming day on which no strategy of another test waits."""
    today = datetime.combine(datetime.now(IST).date(), datetime.min.time(), IST) + timedelta(hours=9, minutes=30)
    day = today + timedelta(days=7 * next(_days))
    return day if weekday is None else day + timedelta(days=(weekday - day.weekday()) % 7)


@dataclass
class Clock:
    """Tells what the test says."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.at


@dataclass
class TradingDay:
    """One process of the API, as far as it looks at days; its clock stands until it is moved."""

    user: ApiUser
    user_id: int
    opened: Resources
    buy_at: datetime
    clock: Clock
    service: ReadinessService
    rounds: ReadinessRounds
    operator: OperatorChecks
    looks_at: StrategyEngine
    arming: ScheduleArming

    @classmethod
    async def of(
        cls,
        app: FastAPI,
        user: ApiUser,
        buy_at: datetime,
        engine: StrategyEngine | None = None,
        overrides: Path | None = None,
        **changes: Any,
    ) -> Self:
        """With the application's parts, but for `changes` of its settings, and an `engine` or an operator's file of
        sessions of the test."""
        opened: Resources = app.state.resources
        settings, clock = opened.settings.model_copy(update=changes), Clock(buy_at - timedelta(days=1))
        calendars = TradingCalendars(overrides) if overrides else opened.calendars
        checks = StrategyChecks(settings, opened.brokers, opened.lookups, calendars, clock)
        operator = OperatorChecks(settings, opened.sessions, opened.mirror, engine or opened.engine, clock)
        looking = Looking(
            settings, opened.sessions, opened.mirror, opened.brokers, opened.lookups, checks, operator, clock
        )
        service = ReadinessService(settings, opened.sessions, looking, opened.browser_logins.new_link, clock)
        rounds = ReadinessRounds(settings, opened.sessions, service, operator, clock)
        lifecycle = LifecycleService(
            settings, opened.capacity, opened.sessions, opened.sessions, opened.mirror, opened.engine, checks, clock
        )
        arming = ScheduleArming(settings, opened.sessions, lifecycle, calendars, clock)
        answer = await user.call("GET", "/auth/validate")
        assert answer.status_code == 200, answer.text
        user_id = int(answer.json()["user_id"])
        looks_at = engine or opened.engine
        return cls(user, user_id, opened, buy_at, clock, service, rounds, operator, looks_at, arming)

    async def second(self, app: FastAPI) -> "TradingDay":
        """Another process."""
        return await TradingDay.of(app, self.user, self.buy_at)

    async def plan(self, *strategies: dict[str, Any], **run: Any) -> list[int]:
        """Start strategies, and move their runs to the day; the login at the broker is of that morning."""
        ids = [await self.user.started(**strategy) for strategy in strategies or ({},)]
        await self.set_runs(ids, **run)
        await self.log_in()
        return ids

    async def schedule(self, **strategy: Any) -> int:
        """A strategy with a schedule of this day alone; the login at the broker is of that morning."""
        strategy_id = await self.user.strategy(**{"stop_loss": None, "stop_loss_percent": 2} | strategy)
        await self.put_schedule(strategy_id)
        await self.log_in()
        return strategy_id

    async def put_schedule(self, strategy_id: int) -> None:
        """A schedule of this day alone."""
        day = self.buy_at.date().isoformat()
        body = {"days": "every_session", "from": day, "until": day, "special_sessions": True}
        answer = await self.user.call("PUT", f"/strategy/{strategy_id}/schedule", **body)
        assert answer.status_code == 200, answer.text

    async def set_runs(self, strategy_ids: Sequence[int], **values: Any) -> None:
        """Let these runs be of the day, with the wall-clock times that they have; and set other columns."""
        midnight = self.buy_at.replace(hour=0, minute=0)
        async with transaction(self.opened.sessions) as session:
            for strategy_id in strategy_ids:
                run = await session.get_one(Run, await _run_id(session, strategy_id))
                times = {name: midnight + _since_midnight(getattr(run, name)) for name in ("buy_at", "sell_at")}
                changed = update(Run).where(col(Run.id) == run.id).values(times | values)
                await session.execute(changed)

    async def log_in(self, at: datetime | None = None, connected_at: datetime | None = None) -> None:
        """The token was made at that instant, by default at seven in the morning of the day."""
        made = at or self.buy_at.replace(hour=7, minute=0)
        values = {"token_obtained_at": made, "connected_at": connected_at or made}
        async with transaction(self.opened.sessions) as session:
            mine = update(BrokerAccount).where(col(BrokerAccount.user_id) == self.user_id)
            await session.execute(mine.values(values))

    async def answer(self, **before: float) -> dict[str, Any]:
        """Refresh that long before the BUY."""
        self.clock.at = self.buy_at - timedelta(**before)
        return (await self.service.refresh(self.user_id)).model_dump(mode="json")

    async def round(self, **before: float) -> list[str]:
        """A round that long before the BUY; the texts of the notices that it made."""
        self.clock.at = self.buy_at - timedelta(**before)
        await self.rounds.round()
        return [entry["text"] for entry in await self.heard()]

    async def heard(self) -> list[dict[str, Any]]:
        """The unread notices, oldest first; afterwards they are read."""
        page = (await self.user.call("GET", "/notifications?unread=true")).json()["notifications"]
        if page:
            await self.user.call("POST", "/notifications/read", through=page[0]["notification_id"])
        return list(reversed(page))


async def _run_id(session: AsyncSession, strategy_id: int) -> int:
    return (await session.scalars(select(col(Run.id)).where(col(Run.strategy_id) == strategy_id))).one()


def _since_midnight(instant: datetime) -> timedelta:
    local = instant.astimezone(IST)
    return local - local.replace(hour=0, minute=0, second=0, microsecond=0)


def problems(answer: dict[str, Any]) -> dict[str, str]:
    """The checks of an answer that are not well: level by code."""
    return {check["code"]: check["level"] for check in answer["checks"] if check["level"] != "ok"}


def details(answer: dict[str, Any], code: str) -> list[str]:
    """The sentences of a check."""
    return [check["detail"] for check in answer["checks"] if check["code"] == code]
