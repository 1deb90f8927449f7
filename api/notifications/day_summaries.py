"""Makes the summaries of the day, after the close. Any number of processes may: a user has one notice of a day."""

import asyncio
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

import structlog

from actors.domain.notices.day_summary import DayRun, due_at, summary
from actors.domain.notices.notice import Notice, NoticeKind
from broker.market.trading_calendar import TradingCalendars
from config.settings import Broker, Settings
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.repositories.notifications import tell
from persistence.errors import PersistenceError
from persistence.notifications.day_runs import DayRuns

log = structlog.stdlib.get_logger(__name__)

EVERY_S = 60.0
"""How often a process looks whether a day is over."""


class DaySummaries:
    """One process's maker of summaries."""

    def __init__(
        self, settings: Settings, sessions: Sessions, calendars: TradingCalendars, now: Callable[[], datetime]
    ) -> None:
        self._settings, self._sessions, self._calendars, self._now = settings, sessions, calendars, now
        self._done: dict[Broker, date] = {}

    async def run(self) -> None:
        """Make them until cancelled, at first after a pause."""
        while True:
            await asyncio.sleep(EVERY_S)
            for broker in self._settings.brokers:
                try:
                    await self.make(broker)
                except PersistenceError as error:
                    log.warning("day_summaries_wait", error=type(error).__name__)
                except Exception:  # whatever broke one day must not end all later ones
                    log.exception("day_summaries_broke", broker=broker)

    async def make(self, broker: Broker) -> int:
        """Make those of today, if it is over and this process has not made them; how many were made.

        Raises:
            PersistenceError: some may be made; the next call makes the others.
        """
        zone, now = self._settings.zone, self._now()
        day = now.astimezone(zone).date()
        if self._done.get(broker) == day:
            return 0
        calendar = await self._calendars.get(self._settings.calendar_for(broker))
        due = due_at(day, calendar.sessions(day), zone, never_closes=calendar.regular is None)
        if due is None or now < due:
            return 0
        begins = datetime.combine(day, time(), zone)
        tomorrow = day + timedelta(days=1)
        async with transaction(self._sessions) as session:
            day_runs, ends = DayRuns(session), begins + timedelta(days=1)
            by_user = dict(await day_runs.by_user(begins, ends, broker))
            if broker == self._settings.brokers[0]:
                for user_id, runs in (await day_runs.by_user(begins, ends, None)).items():
                    by_user[user_id] = [*by_user.get(user_id, ()), *runs]
        made = 0
        for user_id, runs in by_user.items():
            facts = [DayRun(run.ended_at is not None, run.filled_quantity, run.pnl) for run in runs]
            text = summary(facts, closed_tomorrow=not calendar.is_session(tomorrow))
            if text:
                notice = Notice(kind=NoticeKind.DAY_SUMMARY, key=f"day:{broker}:{day}", text=text, at=now)
                async with tenant_transaction(self._sessions, user_id) as session:
                    made += await tell(session, user_id, notice)
        self._done[broker] = day
        return made
