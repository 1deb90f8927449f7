"""Starts what schedules are for, in every process of the API, and records what happened to each day (row N4).

Any number of processes may do so. One of them looks at a schedule at a time (`Schedules.claim`); should two do so
nevertheless, the row of the day lets one run be opened, in the transaction that opens it.
"""

import asyncio
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from actors.ports.engine import EngineUnavailable
from api.base.answers.translations import TRANSLATIONS
from api.base.errors import ApiError, InvalidField
from api.strategies.schedules import telling
from api.strategies.schedules.schedule_rules import (
    RETRY_EVERY,
    SKIPPING,
    STREAK,
    Day,
    Plan,
    coming_days,
    day_of,
    days_at_hand,
    is_streak,
    next_look,
    of_another_day,
)
from api.strategies.schedules.to_start import plan_with
from api.strategies.start_and_stop import LifecycleService
from broker.errors import BrokerError
from broker.market.trading_calendar import TradingCalendars
from config.settings import Settings
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.schedules import Schedule, ScheduleDay
from persistence.database.repositories.audit import AuditLog
from persistence.database.schedules import ScheduleDays, Schedules
from persistence.errors import PersistenceError

log = structlog.stdlib.get_logger(__name__)

SWEEP_S = 5.0
"""How often an API process asks which schedules have to be looked at."""

_AT_ONCE = 8
"""How many strategies are started at the same time, so that other STARTs have their turn."""

_MOST = 500
"""How many schedules are looked at in one sweep; the others are looked at in the next, the earliest buy times first."""

_TELL_BEFORE = timedelta(minutes=10)
"""How long before its buy time a trader hears of what may mend itself, such as a broker that does not answer."""

_TAKE_BACK_BEFORE = timedelta(seconds=60)
"""How long before its buy a strategy is stopped at the latest if its session is cancelled: it holds nothing then."""

_TRADERS = frozenset(
    {
        "account_short",
        "entries_forbidden",
        "invalid_request",
        "quantity_above_freeze",
        "too_many_running",
    }
)
"""Reasons that the trader can do something about: he hears of them at once."""

_OF_LOGIN = frozenset({"broker_not_connected", "broker_token_expired"})
"""Reasons that concern all strategies of the trader: readiness tells them once, with the link, until the day is missed
(row N3)."""

_BY_HAND = "by_hand"
"""Of a day whose run the trader has started himself."""

_NOT_RUNNING = "No process of TradeActors was at work at that time"


class _Settled(Exception):
    """The day has come to its end meanwhile, or is the schedule's no longer."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a schedule, at the instant `now`."""

    schedule: Schedule
    strategy: Strategy
    plan: Plan
    now: datetime

    @property
    def ids(self) -> tuple[int, int]:
        return self.schedule.user_id, self.schedule.strategy_id


class _SessionDay:
    """The occasion of a START: the day of a schedule, whose row says `armed` if and only if there is the run."""

    def __init__(self, look: _Look, day: Day) -> None:
        self._look, self._day = look, day

    async def begin(self, session: AsyncSession) -> None:
        """The schedule is as it was seen, and the day waits."""
        user_id, strategy_id = self._look.ids
        schedule = await Schedules(session).get(user_id, strategy_id, lock=True)
        row = await ScheduleDays(session).lock(user_id, strategy_id, self._day.day)
        if schedule is None or schedule.state != "active" or row is None or row.outcome != "waiting":
            raise _Settled
        if schedule.updated_at != self._look.schedule.updated_at:
            raise _Settled  # paused and resumed, or other days by now: the next look sees it

    async def take(self, session: AsyncSession, run: Run) -> None:
        """The day is armed with this run, if it is of this day and no other."""
        if code := of_another_day(self._day, run.buy_at):
            raise ApiError(409, code, SKIPPING[code])
        if await ScheduleDays(session).finish(*self._look.ids, self._day.day, "armed", run_id=run.id):
            await telling.tell_armed(session, self._look.strategy, self._day, self._look.now)


class ScheduleArming:
    """Looks at the schedules that are due, and starts their strategies through the START of the API."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        lifecycle: LifecycleService,
        calendars: TradingCalendars,
        now: Callable[[], datetime],
    ) -> None:
        self._settings, self._sessions, self._lifecycle = settings, sessions, lifecycle
        self._calendars, self._now = calendars, now
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._looking: set[int] = set()

    async def keep_arming(self, every_s: float = SWEEP_S) -> None:
        """Sweep until cancelled. No sweep waits for the one before: a broker may keep some users waiting, not all."""
        async with asyncio.TaskGroup() as sweeps:
            while True:
                sweeps.create_task(self._sweep_whatever_comes())
                await asyncio.sleep(every_s)

    async def _sweep_whatever_comes(self) -> None:
        try:
            await self.sweep()
        except PersistenceError as error:  # the next sweep says what was missed meanwhile
            log.warning("schedules_not_looked_at", error=type(error).__name__, reason=str(error))
        except Exception:  # whatever broke one sweep must not end all later ones
            log.exception("schedule_sweep_broke")

    async def sweep(self) -> int:
        """Look at all schedules that are due and that this process does not look at already; how many there were."""
        async with transaction(self._sessions) as session:
            found = await Schedules(session).due(self._now(), _MOST)
        due = [seen for seen in found if seen[0].strategy_id not in self._looking]
        self._looking |= {schedule.strategy_id for schedule, _, _ in due}

        async def look(schedule: Schedule, strategy: Strategy, broker: str | None) -> None:
            try:
                async with self._places:
                    await self._look_at(schedule, strategy, broker)
            finally:
                self._looking.discard(schedule.strategy_id)

        results = await asyncio.gather(*(look(*seen) for seen in due), return_exceptions=True)
        for (schedule, _, _), result in zip(due, results, strict=True):
            if isinstance(result, BaseException):  # one that cannot be looked at must not keep the others from it
                log.error("schedule_not_looked_at", strategy_id=schedule.strategy_id, error=repr(result))
        return len(due)

    async def _look_at(self, schedule: Schedule, strategy: Strategy, broker: str | None) -> None:
        now, ids = self._now(), (schedule.user_id, schedule.strategy_id)
        async with transaction(self._sessions) as session:
            if not await Schedules(session).claim(schedule, now + RETRY_EVERY):
                return
        schedule = await self._resumed(schedule, now)
        if schedule.restored_at is not None and schedule.restored_at >= schedule.looked_at:
            async with tenant_transaction(self._sessions, schedule.user_id) as session:
                await telling.tell_restored(session, strategy, schedule.restored_at, now)
        plan = await plan_of(self._calendars, self._settings, schedule, strategy, broker)
        look = _Look(schedule, strategy, plan, now)
        days: list[Day] = []
        if schedule.state == "active":
            days = await self._days(look)
        await self._end_left_over(look, {day.day for day in days})
        async with tenant_transaction(self._sessions, schedule.user_id) as session:
            known = await ScheduleDays(session).since(*ids, now.astimezone(plan.zone).date())
            waiting = [day for day in days if day.day not in known or known[day.day].outcome == "waiting"]
            coming = next((day for day in coming_days(plan, now) if day.day not in known), None)
            stored = await Schedules(session).get(*ids, lock=True)
            if stored is None or stored.updated_at != schedule.updated_at:
                return  # it was changed meanwhile, and is looked at again because of that
            values: dict[str, object] = {"looked_at": now, "next_look_at": next_look(waiting, coming, self._now())}
            if _is_over(plan, now):
                values |= {"state": "ended", "pause_reason": None, "paused_until": None}
            await Schedules(session).set_look(*ids, values)

    async def _resumed(self, schedule: Schedule, now: datetime) -> Schedule:
        zone = self._settings.zone
        until = schedule.paused_until
        if schedule.state != "paused" or until is None or now.astimezone(zone).date() < until:
            return schedule
        ids = (schedule.user_id, schedule.strategy_id)
        async with tenant_transaction(self._sessions, schedule.user_id) as session:
            stored = await Schedules(session).get(*ids, lock=True)
            if stored is None or stored.updated_at != schedule.updated_at:
                return schedule
            since = datetime.combine(until, datetime.min.time(), zone)
            await Schedules(session).change(*ids, resumed_at(since))
            again = await Schedules(session).get(*ids)
        return again or schedule

    async def _days(self, look: _Look) -> list[Day]:
        """Deal with every day at hand; those days."""
        days = days_at_hand(look.plan, look.now)
        first = min((day.day for day in days), default=look.now.astimezone(look.plan.zone).date())
        async with tenant_transaction(self._sessions, look.schedule.user_id) as session:
            known = await ScheduleDays(session).since(*look.ids, first)
        for day in days:
            row = known.get(day.day)
            if row is None or row.outcome == "waiting":
                await self._deal_with(look, day, row)
        for row in known.values():
            if row.outcome == "armed" and row.code != _BY_HAND:
                await self._check_armed(look, row)
        return days

    async def _deal_with(self, look: _Look, day: Day, row: ScheduleDay | None) -> None:
        if await self._has_run(look, day):
            return
        if look.now >= day.ends_at:
            code, reason = (row.code, row.reason) if row is not None and row.code else ("not_running", _NOT_RUNNING)
            await self._end_day(look, day, day.skipped or code, reason)
            return
        if await self._has_failed_often(look, day):
            return
        if not await self._wait(look, day, day.skipped, SKIPPING.get(day.skipped, "")) or day.skipped:
            return
        try:
            await self._lifecycle.start(*look.ids, occasion=_SessionDay(look, day))
        except _Settled:
            return
        except (ApiError, InvalidField, BrokerError, PersistenceError, EngineUnavailable) as refusal:
            code, reason = _refusal(refusal)
            log.warning("schedule_refused", strategy_id=look.strategy.id, day=str(day.day), code=code, reason=reason)
            await self._wait(look, day, code, reason)

    async def _has_run(self, look: _Look, day: Day) -> bool:
        """A START of the trader for this very day is the day's, also if he has stopped it again."""
        begins = datetime.combine(day.day, datetime.min.time(), look.plan.zone)
        async with tenant_transaction(self._sessions, look.schedule.user_id) as session:
            days = ScheduleDays(session)
            run_id = await days.run_of_day(*look.ids, begins, begins + timedelta(days=1))
            if run_id is not None and await days.finish(*look.ids, day.day, "armed", _BY_HAND, run_id=run_id):
                await telling.tell_armed(session, look.strategy, day, look.now)
        return run_id is not None

    async def _wait(self, look: _Look, day: Day, code: str, reason: str) -> bool:
        """The day waits, and the trader hears why if he should; False if it has come to its end."""
        async with tenant_transaction(self._sessions, look.schedule.user_id) as session:
            if not await ScheduleDays(session).wait(*look.ids, day.day, code, reason):
                return False
            if code in SKIPPING:
                await telling.tell_skipped(session, look.strategy, day, code, look.now)
            elif code and _is_told(code, day, look.now):
                await telling.tell_waiting(session, look.strategy, day, code, reason, look.now)
        return True

    async def _end_day(self, look: _Look, day: Day, code: str, reason: str) -> None:
        outcome = "skipped" if code in SKIPPING else "missed"
        reason = SKIPPING.get(code, reason)
        async with tenant_transaction(self._sessions, look.schedule.user_id) as session:
            if not await ScheduleDays(session).finish(*look.ids, day.day, outcome, code, reason):
                return
            if outcome == "skipped":
                await telling.tell_skipped(session, look.strategy, day, code, look.now)
            else:
                await telling.tell_missed(session, look.strategy, day, reason, look.now)
        await self._has_failed_often(look, day)

    async def _end_left_over(self, look: _Look, at_hand: Container[date]) -> None:
        """A day that waited, and whose time has passed while the schedule was paused, deleted or another one."""
        plan, rules = look.plan, look.plan.rules
        async with tenant_transaction(self._sessions, look.schedule.user_id) as session:
            days = ScheduleDays(session)
            for row in await days.waiting(*look.ids):
                buy_at, sell_at = (
                    datetime.combine(row.session_date, at, plan.zone) for at in (plan.buy_time, plan.sell_time)
                )
                day = Day(row.session_date, buy_at, sell_at)
                if row.session_date in at_hand or look.now < day.ends_at:
                    continue
                code = "paused" if look.schedule.state == "paused" else "changed"
                code = code if rules.calendar.is_session(day.day) else "no_session"
                if await days.finish(*look.ids, day.day, "skipped", code, SKIPPING[code]):
                    await telling.tell_skipped(session, look.strategy, day, code, look.now)

    async def _has_failed_often(self, look: _Look, day: Day) -> bool:
        """Pause the schedule if its last days have all failed or been missed; whether they have."""
        first = look.plan.active_since.astimezone(look.plan.zone).date()
        async with tenant_transaction(self._sessions, look.schedule.user_id) as session:
            schedule = await Schedules(session).get(*look.ids, lock=True)
            if schedule is None or schedule.updated_at != look.schedule.updated_at:
                return True
            latest = await ScheduleDays(session).latest(*look.ids, STREAK * 3, first)
            if not is_streak([is_bad(row, run) for row, run in latest if row.outcome in {"armed", "missed"}]):
                return False
            await Schedules(session).pause(look.schedule.user_id, "failed_often", strategy_id=look.strategy.id)
            await telling.tell_paused(session, look.strategy, day.day, look.now)
            await AuditLog(session).add(
                "schedule_paused", user_id=look.schedule.user_id, subject=str(look.strategy.id), reason="failed_often"
            )
        return True

    async def _check_armed(self, look: _Look, row: ScheduleDay) -> None:
        """The operator may have cancelled the session, or changed its hours, since the strategy was started for it."""
        planned = day_of(look.plan, row.session_date)
        if planned is not None and planned.skipped not in {"hours", "special_session", "no_session"}:
            return
        code = planned.skipped if planned is not None else "no_session"
        async with tenant_transaction(self._sessions, look.schedule.user_id) as session:
            latest = await ScheduleDays(session).latest(*look.ids, 1, row.session_date)
        run = latest[0][1] if latest and latest[0][0].run_id == row.run_id else None
        if run is None or run.ended_at is not None or run.position != "none":
            return
        if planned is None and look.plan.rules.calendar.is_session(row.session_date):
            return  # another day was chosen since: what is armed stays armed
        if look.now >= run.buy_at - _TAKE_BACK_BEFORE:
            return  # where orders leave, each one is judged by the hours of the day
        await self._lifecycle.stop(*look.ids)
        zone = look.plan.zone
        day = Day(row.session_date, run.buy_at.astimezone(zone), run.sell_at.astimezone(zone), code)
        async with tenant_transaction(self._sessions, look.schedule.user_id) as session:
            if await ScheduleDays(session).take_back(row, code, SKIPPING[code]):
                await telling.tell_skipped(session, look.strategy, day, code, look.now)


async def plan_of(
    calendars: TradingCalendars, settings: Settings, schedule: Schedule, strategy: Strategy, broker: str | None
) -> Plan:
    """What the rules look at. `broker`: of the user's account; without one, the deployment's first."""
    is_kite = (broker or settings.brokers[0]) == "kite"
    calendar = await calendars.get(settings.calendar_for("kite" if is_kite else "paper"))
    return plan_with(calendar, settings, schedule, strategy)


def resumed_at(since: datetime) -> dict[str, object]:
    """The columns of a schedule that goes on from then."""
    return {
        "state": "active",
        "pause_reason": None,
        "paused_until": None,
        "active_since": since,
        "next_look_at": since,
    }


def is_bad(row: ScheduleDay, run: Run | None) -> bool:
    """Whether the day was missed, or its run has failed before it bought anything."""
    if run is None:
        return row.outcome == "missed"
    over = run.ended_at is not None and run.filled_quantity == 0
    return over and (run.status == "failed" or run.position == "buy_failed" or run.status_detail == "missed_execution")


def _is_told(code: str, day: Day, now: datetime) -> bool:
    """Whether the trader hears now that this keeps his strategy from being started."""
    return code in _TRADERS or (code not in _OF_LOGIN and now >= day.buy_at - _TELL_BEFORE)


def _is_over(plan: Plan, now: datetime) -> bool:
    return plan.until_date is not None and now.astimezone(plan.zone).date() > plan.until_date


def _refusal(refusal: Exception) -> tuple[str, str]:
    """Code and sentence of a START that was refused, as the API would answer them."""
    if isinstance(refusal, ApiError):
        return refusal.code, refusal.detail
    if isinstance(refusal, InvalidField):
        return refusal.code, f"{refusal.field} {refusal.message}"
    known = next((TRANSLATIONS[kind] for kind in type(refusal).__mro__ if kind in TRANSLATIONS), None)
    if known is None:
        return "internal_error", "It could not be started"
    return known[1], known[2] or str(refusal)
