"""Queries of schedules and of their days (row N4)."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import col

from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.schedules import Schedule, ScheduleDay
from persistence.database.repositories.base import Repository

_UNSYNCHRONIZED = {"synchronize_session": False}


class Schedules(Repository):
    """Schedules, by their strategy. Only `due` and `claim` are for all users together."""

    async def get(self, user_id: int, strategy_id: int, *, lock: bool = False) -> Schedule | None:
        """The schedule of the user's strategy, as it is stored by now; `lock`: no other transaction changes it."""
        mine = (col(Schedule.strategy_id) == strategy_id, col(Schedule.user_id) == user_id)
        statement = select(Schedule).where(*mine).execution_options(populate_existing=True)
        return await self._session.scalar(statement.with_for_update() if lock else statement)

    async def put(self, user_id: int, strategy_id: int, values: dict[str, Any]) -> Schedule:
        """Store it, in place of an earlier one."""
        facts = values | {"state": "active", "pause_reason": None, "paused_until": None}
        statement = upsert(Schedule).values(facts | {"user_id": user_id, "strategy_id": strategy_id})
        written = statement.on_conflict_do_update(
            index_elements=["strategy_id"], set_=facts | {"updated_at": func.now()}
        )
        kept = await self._session.scalars(written.returning(Schedule), execution_options={"populate_existing": True})
        return kept.one()

    async def change(self, user_id: int, strategy_id: int, values: dict[str, Any]) -> None:
        """Set columns of the schedule of the user's strategy, if it has one."""
        mine = (col(Schedule.strategy_id) == strategy_id, col(Schedule.user_id) == user_id)
        changed = update(Schedule).where(*mine).values(values | {"updated_at": func.now()})
        await self._session.execute(changed, execution_options=_UNSYNCHRONIZED)

    async def look_now(self, user_id: int, now: datetime) -> None:
        """What waits for the broker is looked at by the next sweep: the user has just logged in there."""
        mine = (col(Schedule.user_id) == user_id, col(Schedule.state) == "active")
        sooner = update(Schedule).where(*mine, col(Schedule.next_look_at) > now).values(next_look_at=now)
        await self._session.execute(sooner, execution_options=_UNSYNCHRONIZED)

    async def set_look(self, user_id: int, strategy_id: int, values: dict[str, Any]) -> None:
        """As `change`, by the process that has looked at it: for others it is as it was (`updated_at`)."""
        mine = (col(Schedule.strategy_id) == strategy_id, col(Schedule.user_id) == user_id)
        await self._session.execute(update(Schedule).where(*mine).values(values), execution_options=_UNSYNCHRONIZED)

    async def pause(
        self, user_id: int, reason: str, *, strategy_id: int | None = None, until: date | None = None
    ) -> Sequence[int]:
        """Pause the schedule of one strategy, or all of the user's; the strategies whose schedule was not paused so.

        A pause without an end takes the place of one that would end by itself.
        """
        mine = [col(Schedule.user_id) == user_id, col(Schedule.state) != "ended"]
        if strategy_id is not None:
            mine.append(col(Schedule.strategy_id) == strategy_id)
        else:
            mine.append((col(Schedule.state) == "active") | col(Schedule.paused_until).is_not(None))
        values = {"state": "paused", "pause_reason": reason, "paused_until": until, "updated_at": func.now()}
        paused = update(Schedule).where(*mine).values(values).returning(col(Schedule.strategy_id))
        return (await self._session.scalars(paused, execution_options=_UNSYNCHRONIZED)).all()

    async def remove(self, user_id: int, strategy_id: int) -> bool:
        """Forget the schedule of the user's strategy; whether there was one. What happened to its days is kept."""
        mine = (col(Schedule.strategy_id) == strategy_id, col(Schedule.user_id) == user_id)
        return (
            await self._session.scalar(delete(Schedule).where(*mine).returning(col(Schedule.strategy_id))) is not None
        )

    async def remove_all(self, user_id: int) -> None:
        """Forget all schedules of a user."""
        await self._session.execute(delete(Schedule).where(col(Schedule.user_id) == user_id))

    async def count(self, user_id: int) -> int:
        """How many schedules the user has. Exact only under `Strategies.lock_count`."""
        mine = select(func.count()).select_from(Schedule).where(col(Schedule.user_id) == user_id)
        return await self._session.scalar(mine) or 0

    async def any_active(self, user_id: int) -> bool:
        """Whether a strategy of the user will be started by itself."""
        active = (col(Schedule.user_id) == user_id, col(Schedule.state) == "active")
        return bool(await self._session.scalar(select(exists().where(*active))))

    async def of_user(self, user_id: int) -> Sequence[tuple[Schedule, Strategy]]:
        """All schedules of the user that have not ended, with their strategies, by buy time."""
        statement = (
            select(Schedule, Strategy)
            .join(Strategy, col(Strategy.id) == col(Schedule.strategy_id))
            .where(col(Schedule.user_id) == user_id, col(Schedule.state) != "ended")
            .where(col(Strategy.deleted_at).is_(None))
            .order_by(col(Strategy.buy_time), col(Strategy.id))
        )
        return [(schedule, strategy) for schedule, strategy in (await self._session.execute(statement)).all()]

    async def due(self, now: datetime, limit: int) -> Sequence[tuple[Schedule, Strategy, str | None]]:
        """Schedules of all users that have to be looked at, with strategy and broker; the earliest buy time first."""
        statement = (
            select(Schedule, Strategy, col(BrokerAccount.broker))
            .join(Strategy, col(Strategy.id) == col(Schedule.strategy_id))
            .outerjoin(BrokerAccount, col(BrokerAccount.user_id) == col(Schedule.user_id))
            .where(col(Schedule.state) != "ended", col(Schedule.next_look_at) <= now)
            .where(col(Strategy.deleted_at).is_(None))
            .order_by(col(Strategy.buy_time), col(Strategy.id))
            .limit(limit)
        )
        return [(schedule, strategy, broker) for schedule, strategy, broker in await self._session.execute(statement)]

    async def claim(self, seen: Schedule, until: datetime) -> bool:
        """Take the look that is due: whether no other process has; if this one dies, another looks at `until`."""
        same = (col(Schedule.strategy_id) == seen.strategy_id, col(Schedule.next_look_at) == seen.next_look_at)
        claimed = update(Schedule).where(*same, col(Schedule.state) != "ended").values(next_look_at=until)
        took = await self._session.scalar(
            claimed.returning(col(Schedule.strategy_id)), execution_options=_UNSYNCHRONIZED
        )
        return took is not None


class ScheduleDays(Repository):
    """What happened to the days of schedules."""

    async def since(self, user_id: int, strategy_id: int, first: date) -> dict[date, ScheduleDay]:
        """The strategy's days from `first` on."""
        mine = (col(ScheduleDay.strategy_id) == strategy_id, col(ScheduleDay.user_id) == user_id)
        statement = select(ScheduleDay).where(*mine, col(ScheduleDay.session_date) >= first)
        return {day.session_date: day for day in await self._session.scalars(statement)}

    async def waiting(self, user_id: int, strategy_id: int) -> Sequence[ScheduleDay]:
        """The strategy's days that have not come to their end."""
        mine = (col(ScheduleDay.strategy_id) == strategy_id, col(ScheduleDay.user_id) == user_id)
        statement = select(ScheduleDay).where(*mine, col(ScheduleDay.outcome) == "waiting")
        return (await self._session.scalars(statement)).all()

    async def of_user(self, user_id: int, first: date, last: date) -> Sequence[tuple[ScheduleDay, Run | None]]:
        """All days of the user's strategies in that time, with their runs."""
        statement = (
            select(ScheduleDay, Run)
            .outerjoin(Run, col(Run.id) == col(ScheduleDay.run_id))
            .where(col(ScheduleDay.user_id) == user_id, col(ScheduleDay.session_date).between(first, last))
        )
        return [(day, run) for day, run in (await self._session.execute(statement)).all()]

    async def latest(
        self, user_id: int, strategy_id: int, limit: int, first: date | None = None
    ) -> Sequence[tuple[ScheduleDay, Run | None]]:
        """The strategy's last days with their runs, newest first; none before `first`."""
        statement = (
            select(ScheduleDay, Run)
            .outerjoin(Run, col(Run.id) == col(ScheduleDay.run_id))
            .where(col(ScheduleDay.strategy_id) == strategy_id, col(ScheduleDay.user_id) == user_id)
            .order_by(col(ScheduleDay.session_date).desc())
            .limit(limit)
        )
        if first is not None:
            statement = statement.where(col(ScheduleDay.session_date) >= first)
        return [(day, run) for day, run in (await self._session.execute(statement)).all()]

    async def lock(self, user_id: int, strategy_id: int, day: date) -> ScheduleDay | None:
        """One day as it is stored by now; no other transaction changes it meanwhile."""
        mine = (col(ScheduleDay.strategy_id) == strategy_id, col(ScheduleDay.user_id) == user_id)
        statement = select(ScheduleDay).where(*mine, col(ScheduleDay.session_date) == day)
        return await self._session.scalar(statement.with_for_update().execution_options(populate_existing=True))

    async def wait(self, user_id: int, strategy_id: int, day: date, code: str = "", reason: str = "") -> bool:
        """The day waits for this reason; False if it has come to its end before."""
        facts = {"code": code, "reason": reason}
        statement = upsert(ScheduleDay).values(
            strategy_id=strategy_id, session_date=day, user_id=user_id, outcome="waiting", **facts
        )
        return await self._write(statement, facts, "waiting")

    async def finish(
        self,
        user_id: int,
        strategy_id: int,
        day: date,
        outcome: str,
        code: str = "",
        reason: str = "",
        run_id: int | None = None,
    ) -> bool:
        """What happened to a day that waited, or had no row yet; False if it had come to its end before."""
        facts = {"outcome": outcome, "code": code, "reason": reason, "run_id": run_id}
        statement = upsert(ScheduleDay).values(strategy_id=strategy_id, session_date=day, user_id=user_id, **facts)
        return await self._write(statement, facts, "waiting")

    async def take_back(self, day: ScheduleDay, code: str, reason: str) -> bool:
        """A day that was armed is skipped after all; False if it was no longer armed with that run."""
        mine = (col(ScheduleDay.strategy_id) == day.strategy_id, col(ScheduleDay.session_date) == day.session_date)
        same = (col(ScheduleDay.outcome) == "armed", col(ScheduleDay.run_id) == day.run_id)
        values = {"outcome": "skipped", "code": code, "reason": reason, "run_id": None, "updated_at": func.now()}
        changed = update(ScheduleDay).where(*mine, *same).values(values).returning(col(ScheduleDay.strategy_id))
        return await self._session.scalar(changed, execution_options=_UNSYNCHRONIZED) is not None

    async def run_of_day(self, user_id: int, strategy_id: int, begins: datetime, ends: datetime) -> int | None:
        """The last run of the strategy that was to buy in that time, open or ended."""
        mine = (col(Run.strategy_id) == strategy_id, col(Run.user_id) == user_id)
        statement = select(col(Run.id)).where(*mine, col(Run.buy_at) >= begins, col(Run.buy_at) < ends)
        return await self._session.scalar(statement.order_by(col(Run.id).desc()).limit(1))

    async def _write(self, statement: Any, facts: dict[str, Any], only: str) -> bool:
        written = statement.on_conflict_do_update(
            index_elements=["strategy_id", "session_date"],
            set_=facts | {"updated_at": func.now()},
            where=col(ScheduleDay.outcome) == only,
        )
        return await self._session.scalar(written.returning(col(ScheduleDay.strategy_id))) is not None
