"""Queries of the answers that are kept by the Idempotency-Key of their request."""

from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from persistence.database.models.kept_answers import KeptAnswer
from persistence.database.repositories.base import Repository

KEPT_FOR = timedelta(hours=24)
"""How long an answer is given again. By the clock of the database, which all processes share."""

MOST_KEPT = 1000
"""How many answers of a user are kept; beyond that the oldest goes."""

_ENDED = func.now() - KEPT_FOR


class KeptAnswers(Repository):
    """What users were answered lately, where it must not be done twice. An answer that is too old is not found."""

    async def get(self, user_id: int, key_hash: bytes) -> KeptAnswer | None:
        """The answer that the user was given under a key."""
        mine = (col(KeptAnswer.user_id) == user_id, col(KeptAnswer.key_hash) == key_hash)
        statement = select(KeptAnswer).where(*mine, col(KeptAnswer.kept_at) > _ENDED)
        return await self._session.scalar(statement.execution_options(populate_existing=True))

    async def add(self, user_id: int, key_hash: bytes, request_hash: bytes, status: int, answer: str) -> bool:
        """Keep an answer; False if there is one under this key.

        A transaction that keeps one under the same key at this moment is waited for: its end decides.
        """
        facts = {"request_hash": request_hash, "status": status, "answer": answer, "kept_at": func.now()}
        statement = insert(KeptAnswer).values(user_id=user_id, key_hash=key_hash, **facts)
        written = statement.on_conflict_do_update(
            index_elements=["user_id", "key_hash"], set_=facts, where=col(KeptAnswer.kept_at) <= _ENDED
        )
        if await self._session.scalar(written.returning(col(KeptAnswer.user_id))) is None:
            return False
        await self._forget_beyond(user_id, MOST_KEPT)
        return True

    async def remove_all(self, user_id: int) -> None:
        """Forget all answers of a user."""
        await self._session.execute(delete(KeptAnswer).where(col(KeptAnswer.user_id) == user_id))

    async def _forget_beyond(self, user_id: int, most: int) -> None:
        mine = col(KeptAnswer.user_id) == user_id
        newest = select(col(KeptAnswer.kept_at)).where(mine).order_by(col(KeptAnswer.kept_at).desc())
        last = newest.offset(most - 1).limit(1).scalar_subquery()
        old = select(col(KeptAnswer.key_hash)).where(mine, col(KeptAnswer.kept_at) < last)
        skipping = old.with_for_update(skip_locked=True)  # another transaction of the user may be forgetting them
        await self._session.execute(delete(KeptAnswer).where(mine, col(KeptAnswer.key_hash).in_(skipping)))
