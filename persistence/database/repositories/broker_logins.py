"""Queries of the codes by which logins at brokers come back to their users (row N2)."""

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from persistence.database.models.brokers import BrokerLoginCode
from persistence.database.repositories.base import Repository

REMEMBERED = timedelta(days=1)
"""How long a code is kept after its end, so that a page which is loaded again says the same."""

KEPT_OF_A_KIND = 20
"""How many links a user has at most, how many states that no link has made, and how many of each link. A newer one
takes the place of the oldest."""


class BrokerLoginCodes(Repository):
    """States and links, by their hash. A code's times are those of the caller's clock."""

    async def owner(self, code_hash: bytes) -> int | None:
        """The id of the user whom the code was made for."""
        statement = select(col(BrokerLoginCode.user_id)).where(col(BrokerLoginCode.code_hash) == code_hash)
        return await self._session.scalar(statement)

    async def add(self, code: BrokerLoginCode) -> None:
        """Store a new code. The user's codes that ended long ago, and those beyond `KEPT_OF_A_KIND`, are forgotten.

        The database refuses a code of a connection that is not there any more.
        """
        self._session.add(code)
        await self._session.flush()
        mine = col(BrokerLoginCode.user_id) == code.user_id
        alike = (col(BrokerLoginCode.kind) == code.kind) & col(BrokerLoginCode.link_id).is_not_distinct_from(
            code.link_id
        )
        newest = (
            select(col(BrokerLoginCode.id))
            .where(mine, alike)
            .order_by(col(BrokerLoginCode.id).desc())
            .limit(KEPT_OF_A_KIND)
        )
        too_many = alike & col(BrokerLoginCode.id).not_in(newest)
        too_old = col(BrokerLoginCode.expires_at) <= code.created_at - REMEMBERED
        await self._session.execute(
            delete(BrokerLoginCode).where(mine, or_(too_many, too_old)),
            execution_options={"synchronize_session": False},
        )

    async def open_link(self, user_id: int, code_hash: bytes, now: datetime) -> BrokerLoginCode | None:
        """A link that is still good: not too old, and no login by it has connected yet."""
        good = (
            col(BrokerLoginCode.kind) == "link",
            col(BrokerLoginCode.taken_at).is_(None),
            col(BrokerLoginCode.expires_at) > now,
        )
        return await self._session.scalar(self._of(user_id, code_hash).where(*good))

    async def state(self, user_id: int, code_hash: bytes) -> BrokerLoginCode | None:
        """A state, whether it is still good or not."""
        return await self._session.scalar(self._of(user_id, code_hash).where(col(BrokerLoginCode.kind) == "state"))

    async def take(self, user_id: int, code_hash: bytes, now: datetime) -> BrokerLoginCode | None:
        """Use a state, if it is still good and so is the link that it was made by. Of two at once one is given it."""
        link = aliased(BrokerLoginCode)
        used = select(col(link.id)).where(col(link.id) == col(BrokerLoginCode.link_id), col(link.taken_at).is_not(None))
        good = (
            col(BrokerLoginCode.user_id) == user_id,
            col(BrokerLoginCode.code_hash) == code_hash,
            col(BrokerLoginCode.kind) == "state",
            col(BrokerLoginCode.taken_at).is_(None),
            col(BrokerLoginCode.expires_at) > now,
            ~used.exists(),
        )
        taken = update(BrokerLoginCode).where(*good).values(taken_at=now).returning(BrokerLoginCode)
        return await self._session.scalar(taken, execution_options={"populate_existing": True})

    async def give_back(self, user_id: int, state_id: int) -> None:
        """The state is as good as before: nothing has come of it."""
        await self._set(user_id, state_id, taken_at=None)

    async def finish(self, user_id: int, state_id: int, outcome: str) -> None:
        """Note what a state has come to."""
        await self._set(user_id, state_id, outcome=outcome)

    async def use_up(self, user_id: int, link_id: int, now: datetime) -> None:
        """A login by the link has connected: it opens nothing any more."""
        await self._set(user_id, link_id, taken_at=now, outcome="connected")

    async def _set(self, user_id: int, code_id: int, **values: object) -> None:
        mine = (col(BrokerLoginCode.user_id) == user_id, col(BrokerLoginCode.id) == code_id)
        await self._session.execute(update(BrokerLoginCode).where(*mine).values(values))

    @staticmethod
    def _of(user_id: int, code_hash: bytes) -> Select[BrokerLoginCode]:
        return select(BrokerLoginCode).where(
            col(BrokerLoginCode.user_id) == user_id, col(BrokerLoginCode.code_hash) == code_hash
        )
