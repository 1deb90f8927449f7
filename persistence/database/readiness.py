"""Queries of what was last found of users' trading days, and of the faults that the operator knows of (row N3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import and_, delete, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased
from sqlmodel import col

from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.readiness import FoundReadiness, OperatorFault
from persistence.database.models.trading_day.schedules import Schedule, ScheduleDay
from persistence.database.repositories.base import Repository

LEASE = timedelta(seconds=60)
"""How long one process has for a look at a user's day. If it dies, another looks then."""

_UNSYNCHRONIZED = {"synchronize_session": False}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A user with BUYs that are still to come, and what was last found of him. `connected_at`: his last login."""

    user_id: int
    buys: tuple[datetime, ...]
    broker: str | None
    connected_at: datetime | None
    found_at: datetime | None
    verdict: str | None


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A schedule that may have to start its strategy on a day; `user` is without its BUYs.

    `open_buy_at`: BUY of the strategy's open run, which is of another day. `code`, `reason`: why the day waits, if a
    START of it was refused.
    """

    schedule: Schedule
    strategy: Strategy
    open_buy_at: datetime | None
    code: str
    reason: str
    user: Waiting


class ReadinessRows(Repository):
    """What was last found, one row for each user."""

    async def of_user(self, user_id: int) -> FoundReadiness | None:
        """What was last found for the user; None before the first look."""
        mine = select(FoundReadiness).where(col(FoundReadiness.user_id) == user_id)
        return await self._session.scalar(mine.execution_options(populate_existing=True))

    async def lease(self, user_id: int, seen: datetime | None) -> datetime | None:
        """Take the look at a user's day: until when it is ours, by the database's clock.

        None if another process has it, or has found something since (`seen` is the `found_at` that was read).
        """
        until = func.clock_timestamp() + literal(LEASE)
        row = FoundReadiness
        free = or_(col(row.leased_until).is_(None), col(row.leased_until) < func.clock_timestamp())
        unseen = col(row.found_at).is_not_distinct_from(seen)
        taken = upsert(row).values(user_id=user_id, told={}, leased_until=until)
        taken = taken.on_conflict_do_update(
            index_elements=["user_id"], set_={"leased_until": until}, where=and_(free, unseen)
        )
        leased: datetime | None = await self._session.scalar(taken.returning(col(row.leased_until)))
        return leased

    async def put(self, user_id: int, lease: datetime, found: Mapping[str, Any]) -> bool:
        """Keep what was found under a lease; False if the lease has become another's meanwhile."""
        mine = (col(FoundReadiness.user_id) == user_id, col(FoundReadiness.leased_until) == lease)
        kept = update(FoundReadiness).where(*mine).values({**found, "leased_until": None})
        written = kept.returning(col(FoundReadiness.user_id))
        return await self._session.scalar(written, execution_options=_UNSYNCHRONIZED) is not None

    async def has_logged_in(self, user_id: int, since: datetime) -> bool:
        """Whether the user has connected the broker since then."""
        account = BrokerAccount
        mine = select(exists().where(col(account.user_id) == user_id, col(account.connected_at) > since))
        return bool(await self._session.scalar(mine))

    async def remove(self, user_id: int) -> None:
        """Forget what was found for the user."""
        await self._session.execute(delete(FoundReadiness).where(col(FoundReadiness.user_id) == user_id))

    async def runs_of_day(self, user_id: int, begins: datetime, ends: datetime) -> Sequence[tuple[Run, Strategy]]:
        """The user's runs whose BUY is in that time, open or ended, by buy time; without their `state`."""
        statement = (
            select(Run, Strategy)
            .join(Strategy, col(Strategy.id) == col(Run.strategy_id))
            .where(col(Run.user_id) == user_id, col(Run.buy_at) >= begins, col(Run.buy_at) < ends)
            .order_by(col(Run.buy_at), col(Run.id))
        )
        return [(run, strategy) for run, strategy in await self._session.execute(statement)]

    async def waiting(self, after: datetime, until: datetime) -> list[Waiting]:
        """Every user with an open run that holds nothing yet and buys in that time; of all users."""
        found = FoundReadiness
        statement = (
            select(
                col(Run.user_id),
                func.array_agg(col(Run.buy_at)),
                col(BrokerAccount.broker),
                col(BrokerAccount.connected_at),
                col(found.found_at),
                col(found.verdict),
            )
            .outerjoin(BrokerAccount, col(BrokerAccount.user_id) == col(Run.user_id))
            .outerjoin(found, col(found.user_id) == col(Run.user_id))
            .where(col(Run.ended_at).is_(None), col(Run.position) == "none")
            .where(col(Run.buy_at) > after, col(Run.buy_at) < until)
            .group_by(
                col(Run.user_id),
                col(BrokerAccount.broker),
                col(BrokerAccount.connected_at),
                col(found.found_at),
                col(found.verdict),
            )
        )
        rows = await self._session.execute(statement)
        return [
            Waiting(user_id, tuple(sorted(buys)), broker, connected_at, found_at, verdict)
            for user_id, buys, broker, connected_at, found_at, verdict in rows
        ]

    async def standing(self, today: date) -> list[Waiting]:
        """Every user with a notice that says of a day until today that a trade will not happen; without BUYs.

        Of all users.
        """
        found, told = FoundReadiness, col(FoundReadiness.told)
        stands = or_(told["open_condition"].astext.is_not(None), func.coalesce(told["late"].astext, "{}") != "{}")
        statement = (
            select(
                col(found.user_id),
                col(BrokerAccount.broker),
                col(BrokerAccount.connected_at),
                col(found.found_at),
                col(found.verdict),
            )
            .outerjoin(BrokerAccount, col(BrokerAccount.user_id) == col(found.user_id))
            .where(stands, told["day"].astext <= today.isoformat())
        )
        rows = await self._session.execute(statement)
        return [
            Waiting(user_id, (), broker, connected_at, found_at, verdict)
            for user_id, broker, connected_at, found_at, verdict in rows
        ]

    async def scheduled(
        self, begins: datetime, ends: datetime, after: time, user_id: int | None = None
    ) -> list[Scheduled]:
        """Schedules whose dates hold the day from `begins` to `ends`, and which have nothing of it yet, by buy time.

        That is neither a run, open or ended, nor an end of the day. Weekdays, holidays and pauses are not looked at.
        `after`: a time of day; what was to be bought by then is left out. Of all users, or of one.
        """
        found, other = FoundReadiness, aliased(Run)
        day = begins.date()
        of_day = and_(col(ScheduleDay.strategy_id) == col(Schedule.strategy_id), col(ScheduleDay.session_date) == day)
        of_strategy = col(Run.strategy_id) == col(Schedule.strategy_id)
        has_run = exists().where(of_strategy, col(Run.buy_at) >= begins, col(Run.buy_at) < ends)
        columns: tuple[Any, ...] = (
            Schedule,
            Strategy,
            col(other.buy_at),
            func.coalesce(col(ScheduleDay.code), ""),
            func.coalesce(col(ScheduleDay.reason), ""),
            col(BrokerAccount.broker),
            col(BrokerAccount.connected_at),
            col(found.found_at),
            col(found.verdict),
        )
        statement = (
            select(*columns)
            .join(Strategy, col(Strategy.id) == col(Schedule.strategy_id))
            .outerjoin(ScheduleDay, of_day)
            .outerjoin(other, and_(col(other.strategy_id) == col(Schedule.strategy_id), col(other.ended_at).is_(None)))
            .outerjoin(BrokerAccount, col(BrokerAccount.user_id) == col(Schedule.user_id))
            .outerjoin(found, col(found.user_id) == col(Schedule.user_id))
            .where(col(Schedule.state) != "ended", col(Schedule.from_date) <= day)
            .where(or_(col(Schedule.until_date).is_(None), col(Schedule.until_date) >= day))
            .where(or_(col(ScheduleDay.outcome).is_(None), col(ScheduleDay.outcome) == "waiting"), ~has_run)
            .where(col(Strategy.deleted_at).is_(None), col(Strategy.buy_time) > after)
            .order_by(col(Strategy.buy_time), col(Strategy.id))
        )
        if user_id is not None:
            statement = statement.where(col(Schedule.user_id) == user_id)
        rows = await self._session.execute(statement)
        return [
            Scheduled(
                schedule,
                strategy,
                open_buy_at,
                code,
                reason,
                Waiting(schedule.user_id, (), broker, connected_at, found_at, verdict),
            )
            for schedule, strategy, open_buy_at, code, reason, broker, connected_at, found_at, verdict in rows
        ]


class OperatorFaults(Repository):
    """Faults that last, of which the operator hears once, however many processes see them."""

    async def begin(self, code: str) -> bool:
        """The fault is there; whether this call is the first to say so."""
        written = upsert(OperatorFault).values(code=code).on_conflict_do_nothing()
        if await self._session.scalar(written.returning(col(OperatorFault.code))) is not None:
            return True
        seen = update(OperatorFault).where(col(OperatorFault.code) == code).values(seen_at=func.clock_timestamp())
        await self._session.execute(seen, execution_options=_UNSYNCHRONIZED)
        return False

    async def lasts(self, code: str) -> bool:
        """Whether the fault has begun, and not ended."""
        mine = select(col(OperatorFault.code)).where(col(OperatorFault.code) == code)
        return await self._session.scalar(mine) is not None

    async def again(self, code: str, after: timedelta) -> bool:
        """The fault is still there; whether `after` has passed since the operator was last notified of it."""
        before = func.clock_timestamp() - literal(after)
        due = (col(OperatorFault.code) == code, col(OperatorFault.notified_at) <= before)
        told = update(OperatorFault).where(*due).values(notified_at=func.clock_timestamp())
        returned = await self._session.scalar(
            told.returning(col(OperatorFault.code)), execution_options=_UNSYNCHRONIZED
        )
        return returned is not None

    async def end(self, code: str, unseen_for: timedelta) -> bool:
        """The caller does not see the fault; whether it was there, and no process has seen it for that time.

        One process may reach a part that another does not: the fault lasts as long as any of them sees it.
        """
        before = func.clock_timestamp() - literal(unseen_for)
        mine = (col(OperatorFault.code) == code, col(OperatorFault.seen_at) <= before)
        gone = delete(OperatorFault).where(*mine).returning(col(OperatorFault.code))
        return await self._session.scalar(gone, execution_options=_UNSYNCHRONIZED) is not None


def found_values(
    day: date | None, verdict: str, body: Mapping[str, Any], found_at: datetime, told: Mapping[str, Any]
) -> dict[str, Any]:
    """The columns of what was found."""
    return {"day": day, "verdict": verdict, "body": dict(body), "found_at": found_at, "told": dict(told)}
