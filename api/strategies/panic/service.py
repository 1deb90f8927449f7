"""Takes a panic, tells how far it has come, and allows entries again (row N8)."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime, tzinfo

from actors.ports.engine import StrategyEngine
from api.base.errors import ApiError
from api.strategies.panic.marks import EntryMarks
from api.strategies.panic.outcomes import outcome_of_run, sentence, shares_answer
from api.strategies.panic.pursuit import PanicPursuit
from api.strategies.panic.schemas import PanicAnswer, PanicOutcome, PanicTaken
from api.users.dependencies import HasRecentPassword
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.panics import Panic, new_panic_id
from persistence.database.repositories.panics import Panics
from persistence.errors import DatabaseUnavailable

STORES_FIRST_S = 0.3
"""How long a sale waits for the marks, with which another process carries the panic out if this one dies. Stores that
do not answer delay no sale any longer."""

_NO_REDIS = "Redis does not answer. PostgreSQL has it, and Redis gets it when it is back"
_NO_POSTGRESQL = (
    "PostgreSQL does not answer: until it is back, only strategies that this process can reach are sold, and how far "
    "this has come cannot be told. Redis has it"
)
_NO_STORE = (
    "Neither PostgreSQL nor Redis answers: this process remembers it and tells them when they are back. It is lost if "
    "this process ends before. Look at your account at the broker"
)
_NO_EXECUTION = (
    "Not every process that sends orders has heard it directly; each reads it from the stores before it sends a BUY"
)


class PanicService:
    """The calls of a trader. What is left open is `PanicPursuit`'s."""

    def __init__(
        self,
        reserved: Sessions,
        marks: EntryMarks,
        engine: StrategyEngine,
        pursuit: PanicPursuit,
        zone: tzinfo,
        now: Callable[[], datetime],
    ) -> None:
        """`reserved`: connections that nothing else can use up."""
        self._sessions, self._marks, self._engine, self._pursuit = reserved, marks, engine, pursuit
        self._zone, self._now = zone, now

    async def panic(self, user_id: int) -> PanicTaken:
        """Forbid entries, then end everything that runs. Repeated, it is the same panic until entries are allowed.

        Raises:
            ApiError: 503 `panic_unheard`: neither a store nor an actor has heard it.
        """
        told = asyncio.create_task(self._engine.forbid_entries(user_id))  # at once: the stores may be slow
        panic_id = self._pursuit.owed(user_id) or new_panic_id(self._now())
        marking = asyncio.create_task(self._marks.forbid(user_id, panic_id))
        await asyncio.wait({marking}, timeout=STORES_FIRST_S)
        stopping = await self._engine.stop_all_of(user_id)
        heard, marked = await told, await marking
        if not (marked.in_postgresql or marked.in_redis or heard or stopping):
            raise _unheard()
        if not marked.in_postgresql:
            self._pursuit.owe(user_id, marked.panic_id)
        self._pursuit.kick()
        warnings = []
        if not marked.in_postgresql:
            warnings.append(_NO_POSTGRESQL if marked.in_redis else _NO_STORE)
        elif not marked.in_redis:
            warnings.append(_NO_REDIS)
        if not heard:
            warnings.append(_NO_EXECUTION)
        return PanicTaken(
            panic_id=marked.panic_id, entries_forbidden=True, stopping=sorted(stopping), warnings=warnings
        )

    async def look(self, user_id: int, panic_id: uuid.UUID) -> PanicAnswer:
        """How far a panic has come. Raises ApiError: 404 `panic_not_found`."""
        async with tenant_transaction(self._sessions, user_id) as session:
            panic = await Panics(session).of_user(user_id, panic_id)
            if panic is None:
                raise ApiError(404, "panic_not_found", "No such panic")
            runs = await Panics(session).runs(panic)
        return self._answer(panic, [outcome_of_run(run, strategy) for run, strategy in runs])

    async def unlock(self, user_id: int, has_recent_password: HasRecentPassword) -> None:
        """Allow entries again; what a panic still sells, it goes on selling.

        Raises:
            ApiError: 403 `password_needed`.
            DatabaseUnavailable, DatabaseBusy, MirrorUnavailable: entries may still be forbidden.
        """
        if not await has_recent_password():
            asked = "Please give your password again (POST /auth/confirm), then allow entries"
            raise ApiError(403, "password_needed", asked)
        if not await self._pursuit.settle(user_id):  # else it would forbid entries again as soon as it can
            raise DatabaseUnavailable("PostgreSQL does not answer")
        await self._marks.allow(user_id)

    def _answer(self, panic: Panic, outcomes: list[PanicOutcome]) -> PanicAnswer:
        finished, kept = panic.finished_at is not None, shares_answer(panic.not_touched)
        return PanicAnswer(
            panic_id=panic.id,
            asked_at=panic.asked_at.astimezone(self._zone),
            asked_by="operator" if panic.asked_by == "operator" else "user",
            state="finished" if finished else "working",
            finished_at=panic.finished_at and panic.finished_at.astimezone(self._zone),
            unlocked_at=panic.unlocked_at and panic.unlocked_at.astimezone(self._zone),
            entries_forbidden=panic.unlocked_at is None,
            strategies=outcomes,
            not_touched=kept if finished else None,
            message=sentence(outcomes, kept, finished=finished),
        )


def entries_forbidden() -> ApiError:
    """The answer to a START while entries are forbidden."""
    detail = "You have forbidden entries by a panic. Allow them again first (POST /risk/unlock)"
    return ApiError(409, "entries_forbidden", detail)


def _unheard() -> ApiError:
    detail = (
        "Nothing could be done: PostgreSQL, Redis and the trading engine do not answer. Please try again, and close "
        "your positions at the broker"
    )
    return ApiError(503, "panic_unheard", detail)
