"""Schedules over the API: making, reading, pausing and leaving out days (row N4). The times are judged as by create."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.base.errors import ApiError, InvalidField
from api.strategies.rule_facts import StrategyChecks, terms_of
from api.strategies.schedules import telling
from api.strategies.schedules.arming import is_bad, plan_of, resumed_at
from api.strategies.schedules.schedule_rules import SKIPPING, Day, Plan, coming_days, day_of, to_bits, to_names
from api.strategies.schedules.schemas import (
    MOST_SKIPPED,
    Outcome,
    PastDay,
    PlannedDay,
    ScheduleAnswer,
    ScheduledDay,
    ScheduledStrategy,
    ScheduleOverview,
    ScheduleRequest,
)
from api.strategies.schedules.to_start import is_paused
from api.strategies.service import found, schedule_needs_percent
from broker.market.trading_calendar import TradingCalendar, TradingCalendars
from config.settings import Settings
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.schedules import Schedule, ScheduleDay
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.database.repositories.strategies import Strategies
from persistence.database.schedules import ScheduleDays, Schedules
from persistence.mirror.fields import instrument_of

MOST_SCHEDULES = 200
"""How many schedules a user may have."""

_NEXT = 5
_LATEST = 10
_SATURDAY = 5


class ScheduleService:
    """The schedules of users. Another tenant's strategy does not exist here (row K1)."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        reserved: Sessions,
        checks: StrategyChecks,
        calendars: TradingCalendars,
        now: Callable[[], datetime],
    ) -> None:
        """`reserved` are connections to the database that a panic shares with nothing that could use them up."""
        self._settings, self._sessions, self._checks = settings, sessions, checks
        self._reserved = reserved
        self._calendars, self._now = calendars, now

    async def put(self, user_id: int, strategy_id: int, request: ScheduleRequest) -> ScheduleAnswer:
        """Make a schedule, or put another in its place; it is active then. What was due before now it leaves alone.

        Raises:
            ApiError: 404; 409 `schedule_needs_percent`, `too_many_schedules`, `broker_not_connected`,
                `broker_token_expired`.
            InvalidField: a rule of create is broken by now; a day that has passed.
            BrokerError: if the symbol cannot be checked.
        """
        today = self._today()
        first = request.from_ or today
        if request.until is not None and request.until < max(first, today):
            raise InvalidField("until", "must not be before today, or before from")
        async with tenant_transaction(self._sessions, user_id) as session:
            seen = found(await Strategies(session).get(user_id, strategy_id))
        if seen.stop_share is None:
            raise schedule_needs_percent()
        market = await self._checks.market(user_id, seen.exchange, seen.tradingsymbol)
        values: dict[str, Any] = {
            "days": to_bits(request.days),
            "special_sessions": request.special_sessions,
            "from_date": first,
            "until_date": request.until,
            "skip_dates": sorted(set(request.skip)),
            "active_since": self._now(),
            "looked_at": self._now(),
            "next_look_at": self._now(),
        }
        async with tenant_transaction(self._sessions, user_id) as session:
            await Strategies(session).lock_count(user_id)
            strategy = await self._locked(session, user_id, strategy_id)
            if strategy.stop_share is None:
                raise schedule_needs_percent()
            self._checks.check(terms_of(strategy), market)
            schedules = Schedules(session)
            if await schedules.get(user_id, strategy_id) is None and await schedules.count(user_id) >= MOST_SCHEDULES:
                sentence = f"At most {MOST_SCHEDULES} schedules can be kept; delete one first"
                raise ApiError(409, "too_many_schedules", sentence)
            schedule = await schedules.put(user_id, strategy_id, values)
            await self._audit(session, "schedule_put", user_id, strategy_id)
            return await self._answer(session, schedule, strategy)

    async def get(self, user_id: int, strategy_id: int) -> ScheduleAnswer:
        """The schedule of the user's strategy, or 404."""
        async with tenant_transaction(self._sessions, user_id) as session:
            strategy = found(await Strategies(session).get(user_id, strategy_id))
            return await self._answer(session, await self._kept(session, user_id, strategy_id), strategy)

    async def delete(self, user_id: int, strategy_id: int) -> None:
        """Forget the schedule; a run that is open goes on. 404 if there is none."""
        async with tenant_transaction(self._sessions, user_id) as session:
            strategy = await self._locked(session, user_id, strategy_id)
            if not await Schedules(session).remove(user_id, strategy_id):
                raise _no_schedule()
            for day in await ScheduleDays(session).waiting(user_id, strategy_id):
                await telling.end_waiting(session, strategy, day.session_date, self._now())
            await self._audit(session, "schedule_delete", user_id, strategy_id)

    async def pause(self, user_id: int, strategy_id: int, until: date | None) -> ScheduleAnswer:
        """Start the strategy no longer by itself, or not before that day. A run that is open goes on.

        Raises:
            ApiError: 404; 409 `schedule_ended`.
            InvalidField: the day is not a coming one.
        """
        if until is not None and until <= self._today():
            raise InvalidField("until", "must be a day after today")
        async with tenant_transaction(self._sessions, user_id) as session:
            strategy = await self._locked(session, user_id, strategy_id)
            _not_ended(await self._kept(session, user_id, strategy_id, lock=True))
            await Schedules(session).pause(user_id, "by_user", strategy_id=strategy_id, until=until)
            await self._audit(session, "schedule_pause", user_id, strategy_id)
            return await self._answer(session, await self._kept(session, user_id, strategy_id), strategy)

    async def pause_all(self, user_id: int, reason: str) -> None:
        """Pause every schedule of the user until it is resumed by hand: the panic's part of schedules (row N8)."""
        async with tenant_transaction(self._reserved, user_id) as session:
            for strategy_id in await Schedules(session).pause(user_id, reason):
                await self._audit(session, "schedule_pause", user_id, strategy_id, reason=reason)

    async def resume(self, user_id: int, strategy_id: int) -> ScheduleAnswer:
        """Go on, from now: today's day is started if there is time. Of one that is active, nothing changes.

        Raises:
            ApiError: 404; 409 `schedule_ended`.
        """
        async with tenant_transaction(self._sessions, user_id) as session:
            strategy = await self._locked(session, user_id, strategy_id)
            schedule = _not_ended(await self._kept(session, user_id, strategy_id, lock=True))
            if schedule.state == "paused":
                await Schedules(session).change(user_id, strategy_id, resumed_at(self._now()))
                await self._audit(session, "schedule_resume", user_id, strategy_id)
            return await self._answer(session, await self._kept(session, user_id, strategy_id), strategy)

    async def skip(self, user_id: int, strategy_id: int, day: date) -> ScheduleAnswer:
        """Leave a day out.

        Raises:
            ApiError: 404; 409 `schedule_ended`, `schedule_day_armed`.
            InvalidField: the schedule has nothing to do with that day.
        """
        async with tenant_transaction(self._sessions, user_id) as session:
            strategy = await self._locked(session, user_id, strategy_id)
            schedule = _not_ended(await self._kept(session, user_id, strategy_id, lock=True))
            row = await ScheduleDays(session).lock(user_id, strategy_id, day)
            if row is not None and row.outcome == "armed":
                raise ApiError(409, "schedule_day_armed", "The strategy runs for this day already: stop it")
            if day < self._today() or day_of(await self._plan(session, schedule, strategy), day) is None:
                raise InvalidField("date", "must be a coming day of this schedule")
            kept = sorted({old for old in schedule.skip_dates if old >= self._today()} | {day})
            if len(kept) > MOST_SKIPPED:
                raise InvalidField("date", f"is one too many: at most {MOST_SKIPPED} days can be skipped")
            values = {"skip_dates": kept, "next_look_at": self._now()}
            await Schedules(session).change(user_id, strategy_id, values)
            await self._audit(session, "schedule_skip", user_id, strategy_id, day=day.isoformat())
            return await self._answer(session, await self._kept(session, user_id, strategy_id), strategy)

    async def overview(self, user_id: int, days: int) -> ScheduleOverview:
        """What all schedules of the user do in the coming days, day by day."""
        today = self._today()
        dates = [today + timedelta(days=n) for n in range(days)]
        async with tenant_transaction(self._sessions, user_id) as session:
            kept = await Schedules(session).of_user(user_id)
            rows = await ScheduleDays(session).of_user(user_id, dates[0], dates[-1])
            account = await BrokerAccounts(session).of_user(user_id)
        broker = None if account is None else account.broker
        calendar = await self._calendar(broker)
        plans = [
            (schedule, strategy, await plan_of(self._calendars, self._settings, schedule, strategy, broker))
            for schedule, strategy in kept
        ]
        known = {(row.strategy_id, row.session_date): (row, run) for row, run in rows}
        shown = await asyncio.to_thread(self._shown, dates, plans, known, calendar)  # milliseconds, of many schedules
        return ScheduleOverview(days=shown)

    def _shown(
        self,
        dates: Sequence[date],
        plans: Sequence[tuple[Schedule, Strategy, Plan]],
        known: Mapping[tuple[int, date], tuple[ScheduleDay, Run | None]],
        calendar: TradingCalendar,
    ) -> list[ScheduledDay]:
        shown = []
        for day in dates:
            entries = (
                self._entry(schedule, strategy, day_of(plan, day), *known.get((strategy.id, day), (None, None)))
                for schedule, strategy, plan in plans
            )
            strategies = [entry for entry in entries if entry is not None]
            shown.append(ScheduledDay(date=day, closed=_closed(calendar, day), strategies=strategies))
        return shown

    def _entry(
        self, schedule: Schedule, strategy: Strategy, day: Day | None, row: ScheduleDay | None, run: Run | None
    ) -> ScheduledStrategy | None:
        if day is None:
            return None
        zone = self._settings.zone
        outcome: Any = "paused" if is_paused(schedule, day.day) else "skipped" if day.skipped else "planned"
        code, reason = day.skipped, SKIPPING.get(day.skipped, "")
        if row is not None:
            outcome, code, reason = _outcome(row, run), row.code, row.reason
        elif outcome == "planned" and (self._now() >= day.ends_at or day.buy_at <= schedule.active_since):
            return None  # its time passed before there was the schedule; or the next look says what happened to it
        return ScheduledStrategy(
            strategy_id=strategy.id,
            symbol=instrument_of(strategy).symbol,
            buy_at=day.buy_at if run is None else run.buy_at.astimezone(zone),
            sell_at=day.sell_at if run is None else run.sell_at.astimezone(zone),
            outcome=outcome,
            code=code,
            reason=reason,
            run_id=None if row is None else row.run_id,
        )

    def _today(self) -> date:
        return self._now().astimezone(self._settings.zone).date()

    async def _calendar(self, broker: str | None) -> TradingCalendar:
        is_kite = (broker or self._settings.brokers[0]) == "kite"
        return await self._calendars.get(self._settings.calendar_for("kite" if is_kite else "paper"))

    async def _locked(self, session: AsyncSession, user_id: int, strategy_id: int) -> Strategy:
        """The strategy: no START and no other change of its schedule comes in between."""
        return found(await Strategies(session).get(user_id, strategy_id, lock=True))

    async def _kept(self, session: AsyncSession, user_id: int, strategy_id: int, *, lock: bool = False) -> Schedule:
        schedule = await Schedules(session).get(user_id, strategy_id, lock=lock)
        if schedule is None:
            raise _no_schedule()
        return schedule

    async def _audit(self, session: AsyncSession, action: str, user_id: int, strategy_id: int, **detail: str) -> None:
        await AuditLog(session).add(action, user_id=user_id, subject=str(strategy_id), **detail)

    async def _plan(self, session: AsyncSession, schedule: Schedule, strategy: Strategy) -> Plan:
        account = await BrokerAccounts(session).of_user(schedule.user_id)
        broker = None if account is None else account.broker
        return await plan_of(self._calendars, self._settings, schedule, strategy, broker)

    async def _answer(self, session: AsyncSession, schedule: Schedule, strategy: Strategy) -> ScheduleAnswer:
        plan = await self._plan(session, schedule, strategy)
        rows = await ScheduleDays(session).latest(schedule.user_id, strategy.id, _LATEST)
        return schedule_answer(schedule, plan, rows, self._now())


def schedule_answer(
    schedule: Schedule, plan: Plan, rows: Sequence[tuple[ScheduleDay, Run | None]], now: datetime
) -> ScheduleAnswer:
    """A schedule as the app gets it. Days that have come to their end are not among the next ones."""
    over = {row.session_date for row, _ in rows if row.outcome != "waiting"}
    days = (
        day
        for day in coming_days(plan, now)
        if day.day not in over and day.buy_at > schedule.active_since and not is_paused(schedule, day.day)
    )
    coming = () if schedule.state == "ended" else islice(days, _NEXT)
    return ScheduleAnswer(
        strategy_id=schedule.strategy_id,
        days=to_names(schedule.days),
        from_=schedule.from_date,
        until=schedule.until_date,
        skip=schedule.skip_dates,
        special_sessions=schedule.special_sessions,
        state=schedule.state,
        pause_reason=schedule.pause_reason,
        paused_until=schedule.paused_until,
        next=[PlannedDay(date=day.day, buy_at=day.buy_at, sell_at=day.sell_at) for day in coming],
        latest=[
            PastDay(
                date=row.session_date,
                outcome=_outcome(row, run),
                code=row.code,
                reason=row.reason,
                run_id=row.run_id,
            )
            for row, run in rows
        ],
    )


def _outcome(row: ScheduleDay, run: Run | None) -> Outcome:
    known: dict[str, Outcome] = {"waiting": "waiting", "armed": "armed", "skipped": "skipped", "missed": "missed"}
    return "failed" if run is not None and is_bad(row, run) else known[row.outcome]


def _closed(calendar: TradingCalendar, day: date) -> Any:
    if calendar.sessions(day):
        return None
    return "weekend" if day.weekday() >= _SATURDAY else "holiday"


def _not_ended(schedule: Schedule) -> Schedule:
    if schedule.state == "ended":
        raise ApiError(409, "schedule_ended", "Its last day has passed: make another schedule")
    return schedule


def _no_schedule() -> ApiError:
    return ApiError(404, "schedule_not_found", "This strategy has no schedule")
