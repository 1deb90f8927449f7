"""Looks at users' days when it is time, in each process of the API, beside its requests (row N3)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from api.readiness.operator import OperatorChecks
from api.readiness.planned import all_waiting, day_around, to_be_started
from api.readiness.service import ReadinessService
from api.readiness.times import is_due, opening, session_of_today, told_from
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.readiness import ReadinessRows, Waiting
from persistence.errors import PersistenceError

log = structlog.stdlib.get_logger(__name__)

EVERY_S = 10.0
"""How often a process asks whose day has to be looked at."""

OPERATOR_EVERY = timedelta(minutes=1)
"""How often the parts of the deployment are looked at without a user."""

STANDING_EVERY = timedelta(minutes=1)
"""How often at most a user is looked at of whom nothing waits any more, so that what was said of it is over."""

_AT_ONCE = 4
"""How many days are looked at together, so that other questions to brokers have their turn."""


class ReadinessRounds:
    """One process's rounds."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        service: ReadinessService,
        operator: OperatorChecks,
        now: Callable[[], datetime],
    ) -> None:
        self._settings, self._sessions, self.service = settings, sessions, service
        self.operator, self._now = operator, now
        self._kicked = asyncio.Event()
        self._parts_looked_at: datetime | None = None

    def kick(self) -> None:
        """A user has logged in at the broker: the next round begins at once."""
        self._kicked.set()

    async def keep_asking(self, every_s: float = EVERY_S) -> None:
        """Go round until cancelled, at first after a pause: a process that starts has more urgent things to do."""
        while True:
            with suppress(TimeoutError):  # `wait_for` of Python 3.11 forgets a cancellation that meets a kick
                async with asyncio.timeout(every_s):
                    await self._kicked.wait()
            self._kicked.clear()
            try:
                await self.round()
            except PersistenceError as error:
                log.warning("readiness_round_failed", error=type(error).__name__, reason=str(error))
            except Exception:  # whatever broke one round must not end all later ones
                log.exception("readiness_round_broke")

    async def round(self) -> int:
        """Look at every day that is due; how many there were. Raises PersistenceError."""
        now = self._now()
        if self._parts_looked_at is None or abs(now - self._parts_looked_at) >= OPERATOR_EVERY:
            self._parts_looked_at = now
            await self.operator.tell_changes()
        waiting = await self._waiting(now)
        places = asyncio.Semaphore(_AT_ONCE)

        async def look(user: Waiting, *, whole: bool) -> None:
            async with places:
                await self.service.look(user.user_id, user.found_at, whole=whole)

        due = [(user, whole) for user in waiting if (whole := await self._is_due(user, now)) is not None]
        results = await asyncio.gather(*(look(user, whole=whole) for user, whole in due), return_exceptions=True)
        for (user, _), result in zip(due, results, strict=True):
            if isinstance(result, Exception):  # one day that cannot be looked at must not keep the others from it
                log.error("day_not_looked_at", user_id=user.user_id, error=repr(result))
            elif result is not None:
                raise result
        return len(due)

    async def _waiting(self, now: datetime) -> list[Waiting]:
        """Every user with a BUY that is still to come today, of a run or of a schedule.

        Without BUYs, those with a notice that a trade will not happen, whose time has passed.
        """
        begins, ends = day_around(now, self._settings.zone)
        async with transaction(self._sessions) as session:
            rows = ReadinessRows(session)
            # Schedules first: one that is armed in between is seen twice and counted once, not overlooked.
            scheduled = await rows.scheduled(begins, ends, now.astimezone(self._settings.zone).time())
            waiting = await rows.waiting(now, ends)
            standing = await rows.standing(begins.date())
        coming = []
        for row in scheduled:
            calendar = await self.service.calendar_of(row.user.broker)
            coming += [(row.user, trade) for trade in to_be_started([row], calendar, self._settings, now)]
        found = all_waiting(waiting, coming)
        waits = {user.user_id for user in found}
        return [*found, *(user for user in standing if user.user_id not in waits)]

    async def _is_due(self, user: Waiting, now: datetime) -> bool | None:
        """Whether the whole day is to be looked at, or the login alone; None if it is not time."""
        if not user.buys:
            over = user.found_at is None or abs(now - user.found_at) >= STANDING_EVERY
            return True if over else None
        calendar = await self.service.calendar_of(user.broker)
        opens = opening(calendar, session_of_today(calendar, now, self._settings.zone), user.buys)
        due = is_due(
            now,
            opens,
            user.buys,
            found_at=user.found_at,
            verdict=user.verdict,
            connected_at=user.connected_at,
        )
        return now >= told_from(opens) if due else None
