"""Queries of panics (row N8)."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, DateTime, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import QueryableAttribute, defer
from sqlmodel import col

from persistence.database.models.panics import Panic, called_at
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.base import Repository


class Panics(Repository):
    """Marks that forbid entries, and what has come of the runs that they end."""

    async def forbid(self, user_id: int, panic_id: uuid.UUID, asked_by: str = "user") -> tuple[Panic, bool]:
        """Forbid the user's entries; the panic that does so, and whether it is new. An earlier one stays what it was.

        One that has finished is unfinished again: what it finds open by now is ended, too.
        """
        panic, is_new = await self.put(user_id, panic_id, asked_by)
        if panic is None:  # the id is that of an earlier panic, which was unlocked: Redis was away then
            return await self.forbid(user_id, uuid.uuid4(), asked_by)
        return panic, is_new

    async def put(self, user_id: int, panic_id: uuid.UUID, asked_by: str = "user") -> tuple[Panic | None, bool]:
        """As `forbid`, of that panic and no other: None, and nothing is done, if entries were allowed again after it.

        It counts from when it was called, by its id: what was sold before PostgreSQL heard of it is its work, too.
        """
        asked_at = func.least(func.now(), called_at(panic_id), type_=DateTime(timezone=True))
        wanted = insert(Panic).values(id=panic_id, user_id=user_id, asked_by=asked_by, asked_at=asked_at)
        new = await self._session.scalar(wanted.on_conflict_do_nothing().returning(col(Panic.id)))
        locked = col(Panic.unlocked_at).is_(None)
        again = update(Panic).where(col(Panic.user_id) == user_id, locked).values(finished_at=None).returning(Panic)
        return await self._session.scalar(again), new is not None

    async def of_user(self, user_id: int, panic_id: uuid.UUID) -> Panic | None:
        """One panic of the user."""
        mine = (col(Panic.id) == panic_id, col(Panic.user_id) == user_id)
        return await self._session.scalar(select(Panic).where(*mine))

    async def locking(self, user_id: int) -> Panic | None:
        """The panic that forbids the user's entries, if any."""
        mine = (col(Panic.user_id) == user_id, col(Panic.unlocked_at).is_(None))
        return await self._session.scalar(select(Panic).where(*mine))

    async def known(self, panic_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Those of the ids that are stored."""
        return set(await self._session.scalars(select(col(Panic.id)).where(col(Panic.id).in_(panic_ids))))

    async def all_locking(self) -> Sequence[Panic]:
        """Every panic that forbids entries, of all users."""
        return (await self._session.scalars(select(Panic).where(col(Panic.unlocked_at).is_(None)))).all()

    async def unfinished(self) -> Sequence[Panic]:
        """Every panic with runs that may be open, of all users."""
        return (await self._session.scalars(select(Panic).where(col(Panic.finished_at).is_(None)))).all()

    async def unlock(self, user_id: int) -> uuid.UUID | None:
        """Allow the user's entries again; the panic that had forbidden them, if any."""
        mine = (col(Panic.user_id) == user_id, col(Panic.unlocked_at).is_(None))
        unlocked = update(Panic).where(*mine).values(unlocked_at=func.now()).returning(col(Panic.id))
        return await self._session.scalar(unlocked)

    async def finish(self, panic: Panic, not_touched: Mapping[str, Any] | None) -> bool:
        """Note that no run of the panic is open any more, unless one is; whether this call noted it."""
        is_open = exists().where(*_runs_of(panic), col(Run.ended_at).is_(None))
        done = update(Panic).where(col(Panic.id) == panic.id, col(Panic.finished_at).is_(None), ~is_open)
        finished = await self._session.scalar(
            done.values(finished_at=func.now(), not_touched=not_touched).returning(col(Panic.id))
        )
        return finished is not None

    async def open_runs(self, panic: Panic) -> Sequence[tuple[int, int]]:
        """(run id, strategy id) of the panic's runs that are open."""
        wanted = select(col(Run.id), col(Run.strategy_id)).where(*_runs_of(panic), col(Run.ended_at).is_(None))
        return [(run_id, strategy_id) for run_id, strategy_id in await self._session.execute(wanted)]

    async def runs(self, panic: Panic) -> Sequence[tuple[Run, Strategy]]:
        """The runs that the panic found open, and their strategies; oldest first."""
        when = or_(col(Run.ended_at).is_(None), col(Run.ended_at) >= panic.asked_at)
        light = defer(cast("QueryableAttribute[Any]", Run.state), raiseload=True)
        wanted = select(Run, Strategy).options(light).join(Strategy, col(Strategy.id) == col(Run.strategy_id))
        found = await self._session.execute(wanted.where(*_runs_of(panic), when).order_by(col(Run.id)))
        return [(run, strategy) for run, strategy in found]


def _runs_of(panic: Panic) -> tuple[ColumnElement[bool], ...]:
    """Runs that began before entries were allowed again: a START may have raced the panic, and is ended as well."""
    mine = (col(Run.user_id) == panic.user_id,)
    return mine if panic.unlocked_at is None else (*mine, col(Run.started_at) < panic.unlocked_at)
