"""Looks at a user's day, keeps what was found, and notifies the user of what has changed (row N3).

Any number of processes may look. One of them has a user's day at a time (a lease in the row), and what it found is
stored in the transaction that notifies the user.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from api.base.errors import ApiError
from api.readiness.checks import find
from api.readiness.findings import Facts, Findings
from api.readiness.looking import Looking
from api.readiness.news import News, Told, needs_login, news
from api.readiness.schemas import ReadinessAnswer, answer_of
from api.readiness.times import opening, told_from
from broker.market.trading_calendar import TradingCalendar
from config.settings import Settings
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.trading_day.readiness import FoundReadiness
from persistence.database.readiness import ReadinessRows, found_values
from persistence.database.repositories.notifications import end_conditions, resolve, tell

log = structlog.stdlib.get_logger(__name__)

REFRESH_EVERY = timedelta(minutes=1)
"""How often a user's day is looked at, at most, because the user asks."""


class Link(Protocol):
    """Where the user logs in at the broker."""

    @property
    def url(self) -> str:
        """The address."""


class ReadinessService:
    """Answers what was found, and looks."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        looking: Looking,
        new_link: Callable[[int], Awaitable[Link]],
        now: Callable[[], datetime],
    ) -> None:
        """`new_link` makes a link to the broker's login page, for a message."""
        self._settings, self._sessions = settings, sessions
        self._looking, self._new_link, self._now = looking, new_link, now

    async def last_found(self, user_id: int) -> ReadinessAnswer:
        """What was last found of today.

        What is so now, where nothing was found since the user's last login or START, or since a change of a schedule of
        today, or there is no session any more.
        """
        stored = await self._stored(user_id)
        if await self._looking.session_of(user_id) is None:
            return self._answer(await self._looking.facts(user_id))  # asks no broker
        if stored is not None and stored.body is not None and stored.found_at is not None:
            found = ReadinessAnswer.model_validate(stored.body)
            known = {row.strategy_id: row.buy_at for row in found.strategies}
            if self._is_of_today(stored) and not await self._looking.has_changed(user_id, stored.found_at, known):
                return found
        return await self._look_now(user_id, stored)

    async def refresh(self, user_id: int) -> ReadinessAnswer:
        """Look, unless something was found less than `REFRESH_EVERY` ago."""
        stored = await self._stored(user_id)
        if stored is not None and stored.body is not None and self._is_fresh(stored.found_at):
            return ReadinessAnswer.model_validate(stored.body)
        return await self._look_now(user_id, stored)

    async def look(self, user_id: int, seen: datetime | None, *, whole: bool = True) -> ReadinessAnswer | None:
        """Look at a user's day, keep what is found, and notify the user; None if another process does.

        `seen`: when something was found last, as far as the caller knows.

        Raises:
            PersistenceError: if the database does not answer.
        """
        async with tenant_transaction(self._sessions, user_id) as session:
            lease = await ReadinessRows(session).lease(user_id, seen)
        # A look that fails keeps its lease, so that no process asks the broker the same again at once.
        return None if lease is None else await self._look(user_id, lease, whole=whole)

    async def calendar_of(self, broker: str | None) -> TradingCalendar:
        """The calendar of a connected broker; without one, of the broker that users connect first."""
        return await self._looking.calendar_of(broker)

    async def _look(self, user_id: int, lease: datetime, *, whole: bool) -> ReadinessAnswer:
        stored = await self._stored(user_id)
        standing = bool(Told.read(stored.told if stored else None, self._today()).conditions)
        whole = whole or standing  # what was said may be over, at any time of the day
        facts = await self._looking.facts(user_id, whole=whole)
        findings, answer = self._found(facts)
        account_broker = await self._looking.broker_of(user_id)
        calendar = await self._looking.calendar_of(account_broker)
        buys = [trade.buy_at for trade in facts.trades]
        opens = opening(calendar, facts.session, buys) if buys else facts.now
        aloud = whole and (standing or facts.now >= told_from(opens))
        today = facts.now.astimezone(self._settings.zone).date()
        told = Told.read(stored.told if stored else None, today)
        ended = Told.of_earlier(stored.told if stored else None, today)
        fresh = news(findings, told, facts.now, opens=opens, aloud=aloud)
        if fresh.notices and needs_login(findings):
            link = await self._link(user_id)
            fresh = news(findings, told, facts.now, opens=opens, aloud=aloud, link=link)
        body = answer.model_dump(mode="json")
        async with tenant_transaction(self._sessions, user_id) as session:
            rows, heard = ReadinessRows(session), fresh.told.stored()
            outdated = await rows.has_logged_in(user_id, facts.now)  # the next round looks again, because of the login
            if outdated:
                heard = stored.told if stored else {}
            kept = await rows.put(user_id, lease, found_values(today, findings.verdict, body, facts.now, heard))
            if kept and not outdated:
                await _notify(session, user_id, fresh, ended, facts.now)
        return answer

    async def _look_now(self, user_id: int, stored: FoundReadiness | None) -> ReadinessAnswer:
        found = await self.look(user_id, stored.found_at if stored else None)
        if found is not None:
            return found
        # Another process looks at this moment. What it finds is not known yet; what it found before may be.
        again = await self._stored(user_id)
        if again is not None and again.body is not None:
            return ReadinessAnswer.model_validate(again.body)
        return self._answer(await self._looking.facts(user_id))

    def _is_of_today(self, stored: FoundReadiness) -> bool:
        return stored.day == self._today()

    def _today(self) -> date:
        return self._now().astimezone(self._settings.zone).date()

    def _is_fresh(self, found_at: datetime | None) -> bool:
        return found_at is not None and timedelta(0) <= self._now() - found_at < REFRESH_EVERY

    async def _stored(self, user_id: int) -> FoundReadiness | None:
        async with tenant_transaction(self._sessions, user_id) as session:
            return await ReadinessRows(session).of_user(user_id)

    async def _link(self, user_id: int) -> str:
        try:
            return (await self._new_link(user_id)).url
        except ApiError as refusal:  # disconnected meanwhile
            log.warning("no_login_link", user_id=user_id, reason=refusal.detail)
            return ""

    def _answer(self, facts: Facts) -> ReadinessAnswer:
        return self._found(facts)[1]

    def _found(self, facts: Facts) -> tuple[Findings, ReadinessAnswer]:
        findings = find(facts)
        return findings, answer_of(findings, facts.session, facts.now.astimezone(self._settings.zone))


async def _notify(session: AsyncSession, user_id: int, fresh: News, ended: Sequence[str], at: datetime) -> None:
    if ended:
        await end_conditions(session, user_id, ended, at)
    for over in fresh.over:
        if over.text:
            await resolve(session, user_id, over.condition, over.text, at)
        else:
            await end_conditions(session, user_id, [over.condition], at)
    for notice in fresh.notices:
        await tell(session, user_id, notice)
