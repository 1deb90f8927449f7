"""Is this login still valid? Asked at every request, and cached in memory."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta

import structlog
from cachetools import TTLCache

from api.users.tokens import AccessClaims
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.repositories.users import Logins
from persistence.errors import DatabaseUnavailable

log = structlog.stdlib.get_logger(__name__)

RECHECK_S = 5.0
"""How long an answer of the database is good for: the longest that a login which ended in another process of the
API goes on in this one. Logins that end in this process end at once."""

PATIENCE_S = 2.0
"""How long a request waits for the database before it counts as not answering."""

REMEMBERED = 50_000
"""Access tokens kept in memory, at some 400 bytes each; beyond that the least recently used cost a query."""


class LiveLogins:
    """Knows whether a login has ended. PostgreSQL is the record, so that flushing Redis revives nothing.

    When PostgreSQL does not answer, a login that was found to go on before is trusted for as long as its token is
    good: a trader must be able to watch a position, and the call itself says what does not work.
    """

    def __init__(
        self, sessions: Sessions, token_lifetime: timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`token_lifetime` is that of access tokens; `clock` counts seconds."""
        self._sessions = sessions
        self._clock = clock
        lifetime_s = token_lifetime.total_seconds()
        self._checked_at: TTLCache[AccessClaims, float] = TTLCache(REMEMBERED, lifetime_s, timer=clock)
        self._ended: TTLCache[uuid.UUID, bool] = TTLCache(REMEMBERED, lifetime_s, timer=clock)
        self._questions: dict[AccessClaims, asyncio.Task[bool]] = {}
        self._tasks: set[asyncio.Task[bool]] = set()

    async def is_live(self, claims: AccessClaims) -> bool:
        """Whether the login of a valid access token goes on. Without I/O if that was asked a moment ago.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer, and the login was not known before.
        """
        if claims.login_id in self._ended:
            return False
        checked_at = self._checked_at.get(claims)
        if checked_at is not None and self._clock() - checked_at < RECHECK_S:
            return True
        try:
            live = await self._ask(claims)
        except DatabaseUnavailable:
            if checked_at is None:
                raise
            log.warning("login_trusted_unchecked", user_id=claims.user_id)
            self._checked_at[claims] = self._clock()  # so that not every request waits for the database
            live = True
        return live and claims.login_id not in self._ended  # it may have ended while the answer was under way

    def ended(self, login_ids: Iterable[uuid.UUID]) -> None:
        """Logins that have ended, for good; called when that is committed."""
        for login_id in login_ids:
            self._ended[login_id] = True

    async def close(self) -> None:
        """Drop the questions that are still open."""
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError, DatabaseUnavailable):
                await task

    async def _ask(self, claims: AccessClaims) -> bool:
        # A task of its own, because cancelling a query of a server that hangs takes longer than a request may.
        question = self._questions.get(claims) or self._new_question(claims)
        await asyncio.wait({question}, timeout=PATIENCE_S)
        if not question.done():
            self._questions.pop(claims, None)  # the next request may find a connection that works
            question.cancel()
        if not question.done() or question.cancelled():
            raise DatabaseUnavailable("PostgreSQL does not answer in time")
        return question.result()

    def _new_question(self, claims: AccessClaims) -> asyncio.Task[bool]:
        question = asyncio.create_task(self._query(claims), name="is the login live")
        self._questions[claims] = question
        self._tasks.add(question)
        question.add_done_callback(lambda done: self._answered(claims, done))
        return question

    async def _query(self, claims: AccessClaims) -> bool:
        async with tenant_transaction(self._sessions, claims.user_id) as session:
            return await Logins(session).is_live(claims.user_id, claims.login_id)

    def _answered(self, claims: AccessClaims, question: asyncio.Task[bool]) -> None:
        self._tasks.discard(question)
        if self._questions.get(claims) is question:
            del self._questions[claims]
        if question.cancelled() or question.exception() is not None:
            return  # the waiting call gets the exception itself
        if question.result():
            self._checked_at[claims] = self._clock()
        else:
            self._checked_at.pop(claims, None)
