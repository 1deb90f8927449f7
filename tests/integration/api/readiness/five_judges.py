"""All that judge a strategy, by one clock: create, preview, START, readiness and the arming of its schedule.

They are the parts of an API process, asked past its routes, so that the test says what time it is on which day.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

from fastapi import FastAPI
from sqlalchemy import delete, text
from sqlmodel import col

from actors.domain.session import SessionTimes
from api.base.errors import ApiError, InvalidField
from api.bootstrap import Resources
from api.readiness.looking import Looking
from api.readiness.operator import OperatorChecks
from api.readiness.schemas import ReadinessAnswer
from api.readiness.service import ReadinessService
from api.strategies.preview.schemas import StrategyPreviewRequest
from api.strategies.preview.service import PreviewService
from api.strategies.rule_facts import StrategyChecks
from api.strategies.schedules.arming import ScheduleArming
from api.strategies.schemas import StrategyCreateRequest
from api.strategies.service import StrategyService, described
from api.strategies.start_and_stop import LifecycleService
from broker.market.trading_calendar import TradingCalendars
from config.capacity import capacity_of
from persistence.database.engine import tenant_transaction, transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.readiness import FoundReadiness
from persistence.database.models.trading_day.schedules import ScheduleDay
from persistence.database.schedules import ScheduleDays, Schedules
from persistence.mirror.fields import instrument_of
from tests.integration.api.readiness.trading_day import Clock

_GONE = (
    "DELETE FROM schedule_days WHERE strategy_id = :id",
    "DELETE FROM schedules WHERE strategy_id = :id",
    "DELETE FROM intents WHERE run_id IN (SELECT id FROM runs WHERE strategy_id = :id)",
    "DELETE FROM runs WHERE strategy_id = :id",
    "DELETE FROM strategies WHERE id = :id",
)
_NOT_STARTED = (*_GONE[2:4], "UPDATE strategies SET status = 'created' WHERE id = :id")


@dataclass(frozen=True)
class Word:
    """What one of them says of a strategy: the code and the sentence of its refusal, or when it would trade."""

    code: str = ""
    sentence: str = ""
    times: SessionTimes | None = None

    @property
    def refused(self) -> bool:
        """Whether it was refused."""
        return bool(self.code)

    @property
    def about(self) -> str:
        """The sentence without the name of the field that it begins with, if it is about one."""
        field_name, _, rest = self.sentence.partition(" ")
        return rest if field_name.islower() and field_name.replace("_", "").isalpha() else self.sentence


@dataclass(frozen=True)
class Armed:
    """What a sweep has made of a day: the row of the day, and the times of the run that it opened."""

    row: ScheduleDay
    times: SessionTimes | None


@dataclass
class FiveJudges:
    """The parts of one process on one calendar. `made`: strategies that `forget` takes away again."""

    opened: Resources
    clock: Clock
    strategies: StrategyService
    previews: PreviewService
    lifecycle: LifecycleService
    readiness: ReadinessService
    arming: ScheduleArming
    made: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, app: FastAPI, overrides: Path, **changes: Any) -> Self:
        """With the application's parts, but for these settings, and an operator's file of sessions."""
        opened: Resources = app.state.resources
        settings, clock = opened.settings.model_copy(update=changes), Clock()
        sessions, mirror, engine = opened.sessions, opened.mirror, opened.engine
        calendars = TradingCalendars(overrides)
        checks = StrategyChecks(settings, opened.brokers, opened.lookups, calendars, clock)
        operator = OperatorChecks(settings, sessions, mirror, engine, clock)
        looking = Looking(settings, sessions, mirror, opened.brokers, opened.lookups, checks, operator, clock)
        capacity = capacity_of(settings)
        lifecycle = LifecycleService(settings, capacity, sessions, sessions, mirror, engine, checks, clock)
        return cls(
            opened,
            clock,
            StrategyService(sessions, mirror, engine, checks),
            PreviewService(settings, capacity, sessions, mirror, checks),
            lifecycle,
            ReadinessService(settings, sessions, looking, opened.browser_logins.new_link, clock),
            ScheduleArming(settings, sessions, lifecycle, calendars, clock),
        )

    async def stored(self, user_id: int, body: dict[str, Any]) -> Strategy:
        """A strategy that was good when it was stored, whatever is said of it by now."""
        strategy = described(user_id, StrategyCreateRequest.model_validate(body), 1)
        async with transaction(self.opened.sessions) as session:
            session.add(strategy)
            await session.flush()
            await session.refresh(strategy)
        self.made.append(strategy.id)
        return strategy

    async def scheduled(self, strategy: Strategy, day: date, *, special_sessions: bool) -> None:
        """Give it a schedule of that day alone, which was made two days before."""
        since = self.clock.at - timedelta(days=2)
        values: dict[str, Any] = {
            "days": 127,
            "special_sessions": special_sessions,
            "from_date": day,
            "until_date": day,
            "skip_dates": [],
            "active_since": since,
            "looked_at": since,
            "next_look_at": self.clock.at,
        }
        async with tenant_transaction(self.opened.sessions, strategy.user_id) as session:
            await Schedules(session).put(strategy.user_id, strategy.id, values)

    async def create(self, user_id: int, body: dict[str, Any]) -> Word:
        """What create says."""

        async def create() -> None:
            request = StrategyCreateRequest.model_validate(body)
            self.made.append((await self.strategies.create(user_id, request)).strategy_id)

        return await _word(create())

    async def preview(self, user_id: int, **asked: Any) -> Word:
        """What preview says, of a body or of a stored strategy."""

        async def preview() -> SessionTimes:
            seen = await self.previews.preview(user_id, StrategyPreviewRequest.model_validate(asked))
            return SessionTimes(seen.buy_at, seen.sell_at)

        return await _word(preview())

    async def start(self, strategy: Strategy) -> Word:
        """What START says; afterwards it has not been started."""

        async def start() -> SessionTimes:
            started = await self.lifecycle.start(strategy.user_id, strategy.id)
            return SessionTimes(started.buy_at, started.sell_at)

        said = await _word(start())
        await self._execute(_NOT_STARTED, strategy.id)
        return said

    async def ready(self, user_id: int) -> ReadinessAnswer:
        """What a look at the day finds now."""
        async with transaction(self.opened.sessions) as session:
            await session.execute(delete(FoundReadiness).where(col(FoundReadiness.user_id) == user_id))
        return await self.readiness.refresh(user_id)

    async def armed(self, strategy: Strategy, day: date) -> Armed | None:
        """What a sweep makes of that day; None if it leaves it alone."""
        await self.arming.sweep()
        async with tenant_transaction(self.opened.sessions, strategy.user_id) as session:
            row = (await ScheduleDays(session).since(strategy.user_id, strategy.id, day)).get(day)
            run = None if row is None or row.run_id is None else await session.get(Run, row.run_id)
        zone = self.opened.settings.zone
        times = None if run is None else SessionTimes(run.buy_at.astimezone(zone), run.sell_at.astimezone(zone))
        return None if row is None else Armed(row, times)

    async def forget(self) -> None:
        """Take away what was made."""
        for strategy_id in self.made:
            async with transaction(self.opened.sessions) as session:
                strategy = await session.get_one(Strategy, strategy_id)
            await self._execute(_GONE, strategy_id)
            await self.opened.mirror.delete_strategy(strategy_id, instrument_of(strategy).symbol)
        self.made.clear()

    async def _execute(self, statements: tuple[str, ...], strategy_id: int) -> None:
        async with transaction(self.opened.sessions) as session:
            for statement in statements:
                await session.execute(text(statement), {"id": strategy_id})


async def _word(asked: Awaitable[SessionTimes | None]) -> Word:
    try:
        return Word(times=await asked)
    except ApiError as refusal:
        return Word(refusal.code, refusal.detail)
    except InvalidField as refusal:
        return Word(refusal.code, f"{refusal.field} {refusal.message}")
