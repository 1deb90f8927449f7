"""The marks that forbid a user's entries, in PostgreSQL and in Redis (row N8).

Either forbids. PostgreSQL decides what is over: a mark in Redis goes when PostgreSQL knows its panic as unlocked. A
panic that only Redis has heard of, since PostgreSQL was away, is written down when PostgreSQL is back.
"""

import asyncio
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from api.strategies.panic.outcomes import notice_of_call
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.panics import Panic
from persistence.database.repositories.audit import AuditLog
from persistence.database.repositories.notifications import tell
from persistence.database.repositories.panics import Panics
from persistence.errors import ConstraintViolated, DatabaseBusy, DatabaseUnavailable, MirrorUnavailable
from persistence.mirror.mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

Written = TypeVar("Written")

PATIENCE_S = 2.0
"""How long a panic waits for PostgreSQL before it goes on without."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A panic, and where its mark is. `is_new`: no panic forbade entries before."""

    panic_id: uuid.UUID
    in_postgresql: bool
    in_redis: bool
    is_new: bool = True


class EntryMarks:
    """Sets the marks, takes them off, and brings the two stores to one mind."""

    def __init__(self, sessions: Sessions, mirror: RuntimeMirror) -> None:
        """`sessions`: connections that nothing else can use up."""
        self._sessions, self._mirror = sessions, mirror
        self._tasks: set[asyncio.Task[Any]] = set()

    async def forbid(self, user_id: int, panic_id: uuid.UUID, asked_by: str = "user") -> Marked:
        """Mark in both stores, as far as they answer. An earlier panic that forbids entries keeps its id."""
        in_redis = True
        try:
            panic_id = uuid.UUID(await self._mirror.forbid_entries(user_id, str(panic_id)))
        except MirrorUnavailable as error:
            log.warning("panic_without_redis", user_id=user_id, reason=str(error))
            in_redis = False
        try:
            panic, is_new = await self._in_time(self._write(user_id, panic_id, asked_by))
        except (DatabaseUnavailable, DatabaseBusy) as error:
            log.warning("panic_without_postgresql", user_id=user_id, reason=str(error))
            return Marked(panic_id, in_postgresql=False, in_redis=in_redis)
        if in_redis and panic.id != panic_id:
            in_redis = await self._repair(user_id, panic.id)
        return Marked(panic.id, in_postgresql=True, in_redis=in_redis, is_new=is_new)

    async def allow(self, user_id: int) -> uuid.UUID | None:
        """Take the marks off; the panic that had set them, if any.

        Raises:
            DatabaseUnavailable, DatabaseBusy, MirrorUnavailable: entries may still be forbidden.
        """
        await self.agree()
        async with tenant_transaction(self._sessions, user_id) as session:
            panic_id = await Panics(session).unlock(user_id)
            if panic_id is not None:
                await AuditLog(session).add("entries_allowed", user_id=user_id, subject=str(panic_id))
        if panic_id is not None:
            await self._mirror.allow_entries(user_id, str(panic_id))
        return panic_id

    async def write_down(self, user_id: int, panic_id: uuid.UUID) -> bool:
        """Tell PostgreSQL of a panic that it had not heard of; whether it knows by now. Until then Redis keeps it.

        One after which entries were allowed again, since another process had written it down, stays unlocked.
        """
        try:
            await self._in_time(self._put(user_id, panic_id))
        except (DatabaseUnavailable, DatabaseBusy) as error:
            log.warning("panic_without_postgresql", user_id=user_id, reason=str(error))
            await self._mark_in_redis(user_id, panic_id)
            return False
        return True

    async def agree(self) -> None:
        """Bring the stores to one mind.

        Raises:
            DatabaseUnavailable, DatabaseBusy, MirrorUnavailable: as far as it came, it is done.
        """
        marks = {user_id: uuid.UUID(mark) for user_id, mark in (await self._mirror.entry_bans()).items()}
        async with transaction(self._sessions) as session:
            locking = {panic.user_id: panic.id for panic in await Panics(session).all_locking()}
            known = await Panics(session).known([mark for mark in marks.values() if mark not in locking.values()])
        for user_id, panic_id in locking.items():
            if marks.get(user_id) != panic_id:
                await self._mirror.put_entry_ban(user_id, str(panic_id))
        for user_id, mark in marks.items():
            if user_id in locking:
                continue
            if mark in known or await self._put(user_id, mark) is None:
                await self._mirror.allow_entries(user_id, str(mark))

    async def _mark_in_redis(self, user_id: int, panic_id: uuid.UUID) -> None:
        try:
            await self._mirror.forbid_entries(user_id, str(panic_id))
        except MirrorUnavailable as error:
            log.warning("panic_without_redis", user_id=user_id, reason=str(error))

    async def _repair(self, user_id: int, panic_id: uuid.UUID) -> bool:
        try:
            await self._mirror.put_entry_ban(user_id, str(panic_id))
        except MirrorUnavailable:
            return False
        return True

    async def _in_time(self, write: Coroutine[Any, Any, Written]) -> Written:
        """Its result; it goes on when it takes too long, since a server that hangs is not waited for."""
        writing = asyncio.create_task(write, name="mark of a panic")
        self._tasks.add(writing)
        writing.add_done_callback(self._written)
        await asyncio.wait({writing}, timeout=PATIENCE_S)
        if not writing.done():
            raise DatabaseUnavailable("PostgreSQL does not answer in time")
        return writing.result()

    def _written(self, writing: asyncio.Task[Any]) -> None:
        self._tasks.discard(writing)
        if not writing.cancelled() and (error := writing.exception()) is not None:
            log.info("panic_not_written", reason=str(error))

    async def _write(self, user_id: int, panic_id: uuid.UUID, asked_by: str) -> tuple[Panic, bool]:
        async with tenant_transaction(self._sessions, user_id) as session:
            panic, is_new = await Panics(session).forbid(user_id, panic_id, asked_by)
            if is_new:
                await _record(session, panic)
        return panic, is_new

    async def _put(self, user_id: int, panic_id: uuid.UUID) -> Panic | None:
        """The panic, of which PostgreSQL may not have heard; None if it is over, or its user was deleted."""
        try:
            async with tenant_transaction(self._sessions, user_id) as session:
                panic, is_new = await Panics(session).put(user_id, panic_id)
                if panic is not None and is_new:
                    await _record(session, panic)
        except ConstraintViolated:
            log.warning("panic_of_nobody", user_id=user_id)
            return None
        return panic


async def _record(session: AsyncSession, panic: Panic) -> None:
    """A new panic, in the audit log and as a notice. What it has ended before PostgreSQL heard of it counts, too."""
    await AuditLog(session).add("panic", user_id=panic.user_id, subject=str(panic.id), asked_by=panic.asked_by)
    found = await Panics(session).runs(panic)
    await tell(session, panic.user_id, notice_of_call(panic, len(found)))
