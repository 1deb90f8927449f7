"""Queries of what traders are notified of. `tell` is how any part of the product notifies one (row N1)."""

from collections.abc import Sequence
from datetime import datetime, time

from sqlalchemy import delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from actors.domain.notices.notice import Notice, NoticeKind
from persistence.database.models.notifications import Notification, NotificationPreferences
from persistence.database.repositories.base import Repository, Total


async def tell(session: AsyncSession, user_id: int, notice: Notice) -> bool:
    """Notify a user of a fact, in the transaction that records the fact: both are durable, or neither is.

    False if there is a notice under the same key, or an open one of the same condition: the user knows. Call it as
    often as the fact may be recorded again. It sends nothing; senders find the row after the commit.
    """
    values = {
        "user_id": user_id,
        "key": notice.key,
        "kind": notice.kind,
        "text": notice.shown,
        "brief": notice.shown_in_public,
        "condition": notice.condition,
        "strategy_id": notice.strategy_id,
        "run_id": notice.run_id,
        "at": notice.at,
    }
    written = upsert(Notification).values(values).on_conflict_do_nothing().returning(col(Notification.id))
    return await session.scalar(written) is not None


LOGIN = "login:"
"""How the conditions begin of notices that something does not trade because the user has to log in at the broker."""


async def knows_of_login(session: AsyncSession, user_id: int) -> bool:
    """Whether a notice is open that asks the user to log in at the broker: another one would say the same."""
    asks = or_(col(Notification.kind) == NoticeKind.LOGIN_NEEDED, col(Notification.condition).startswith(LOGIN))
    mine = (col(Notification.user_id) == user_id, col(Notification.condition).is_not(None), asks)
    still = select(exists().where(*mine, col(Notification.over_at).is_(None)))
    return bool(await session.scalar(still))


async def resolve(session: AsyncSession, user_id: int, condition: str, text: str, at: datetime) -> bool:
    """Say that a condition is over; False if no notice of it is open, and then nothing is said."""
    ended = await _end(session, user_id, [condition], at)
    for row in ended:
        over = Notice(kind=NoticeKind(row.kind), key=f"{row.key}:over", text=text, at=at)
        facts = {"strategy_id": row.strategy_id, "run_id": row.run_id, "resolves": True, "at": at}
        texts = {"text": over.shown, "brief": over.shown_in_public}
        await session.execute(
            insert(Notification).values(user_id=user_id, key=over.key, kind=row.kind, **texts, **facts)
        )
    return bool(ended)


async def end_conditions(session: AsyncSession, user_id: int, conditions: Sequence[str], at: datetime) -> None:
    """These conditions are over, and another notice says it: a second one would be too many."""
    await _end(session, user_id, conditions, at)


async def _end(session: AsyncSession, user_id: int, conditions: Sequence[str], at: datetime) -> Sequence[Notification]:
    statement = (
        update(Notification)
        .where(col(Notification.user_id) == user_id, col(Notification.condition).in_(conditions))
        .where(col(Notification.over_at).is_(None))
        .values(over_at=at)
        .returning(Notification)
    )
    return (await session.scalars(statement)).all()


class Notifications(Repository):
    """The inbox of one user, and the user's preferences."""

    async def page(
        self, user_id: int, limit: int, offset: int, *, unread: bool
    ) -> tuple[Sequence[Notification], Total]:
        """The user's notices, newest first, and how many there are; or of those that were not read."""
        wanted = select(Notification).where(col(Notification.user_id) == user_id)
        if unread:
            wanted = wanted.where(col(Notification.read_at).is_(None))
        newest_first = wanted.order_by(col(Notification.id).desc())
        total = await self._total(newest_first)
        return (await self._session.scalars(newest_first.limit(limit).offset(offset))).all(), total

    async def unread(self, user_id: int) -> Total:
        """How many the user has not read."""
        mine = (col(Notification.user_id) == user_id, col(Notification.read_at).is_(None))
        return await self._total(select(Notification).where(*mine))

    async def mark_read(self, user_id: int, through: int) -> None:
        """All up to this one, by the clock of the database; what has come since stays unread."""
        unread = (
            col(Notification.user_id) == user_id,
            col(Notification.id) <= through,
            col(Notification.read_at).is_(None),
        )
        await self._session.execute(
            update(Notification).where(*unread).values(read_at=func.now()),
            execution_options={"synchronize_session": False},
        )

    async def hand_over_alone(self, user_id: int, key: str) -> Notification:
        """The notice of a key, which the caller makes the deliveries of: senders do not."""
        mine = (col(Notification.user_id) == user_id, col(Notification.key) == key)
        alone = update(Notification).where(*mine).values(handed_over_at=func.now()).returning(Notification)
        return (await self._session.scalars(alone)).one()

    async def preferences(self, user_id: int) -> NotificationPreferences | None:
        """What the user has chosen; None for nothing."""
        mine = col(NotificationPreferences.user_id) == user_id
        return await self._session.scalar(select(NotificationPreferences).where(mine))

    async def set_preferences(
        self, user_id: int, quiet: tuple[time, time] | None, levels: dict[str, str], *, amounts: bool
    ) -> None:
        """Keep what the user chooses, in place of what was chosen before."""
        begins, ends = quiet or (None, None)
        facts = {"quiet_from": begins, "quiet_until": ends, "amounts": amounts, "levels": levels}
        statement = upsert(NotificationPreferences).values(user_id=user_id, **facts)
        await self._session.execute(
            statement.on_conflict_do_update(index_elements=["user_id"], set_=facts | {"updated_at": func.now()})
        )

    async def remove_all(self, user_id: int) -> None:
        """Forget everything of a user."""
        for table in (Notification, NotificationPreferences):
            await self._session.execute(delete(table).where(col(table.user_id) == user_id))
