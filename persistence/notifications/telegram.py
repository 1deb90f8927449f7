"""Queries of the bot at Telegram: codes and confirmations, and which process asks for updates.

Any number of processes may want to ask. One holds the lease, and each update is taken once: a
process that has lost its lease without knowing takes nothing. Times are those of the database's clock.
"""

from datetime import timedelta
from enum import Enum

from sqlalchemy import ColumnElement, and_, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import col

from persistence.database.models.telegram import (
    TelegramCode,
    TelegramConfirmation,
    TelegramPoller,
    TelegramUpdate,
)
from persistence.database.repositories.base import Repository

POLLER_LEASE = timedelta(seconds=45)
"""How long a process that does not come again still holds the bot. A question takes less."""

CODE_LASTS = timedelta(minutes=10)
"""How long a code is good by which a chat connects."""

CONFIRMED_WITHIN = timedelta(minutes=1)
"""How long a panic waits for its confirmation."""

MOST_WRONG_WORDS = 3
"""How many wrong words a panic takes before it must be asked for again."""

OFFSET_LASTS = timedelta(days=6)
"""How long after the last update the offset is used. After a week without one Telegram begins with any number, perhaps
a lower one, and would take those below the offset for done."""

KEPT = timedelta(days=2)
"""How long it is remembered that an update was taken. Telegram keeps updates for a day."""


class Taken(Enum):
    """What happens to an update that this process wants to take."""

    NEW = "new"
    """It is this process's."""
    AGAIN = "again"
    """A process has taken it and not said that it is done: it may have died over it, or still be at it."""
    DONE = "done"
    """It was carried out before."""
    NOT_OURS = "not_ours"
    """Another process has the lease by now."""


class TelegramCodes(Repository):
    """Codes by which chats connect, and confirmations of panics, by their hashes."""

    async def put(self, user_id: int, code_hash: bytes) -> None:
        """Give the user a code, in place of an earlier one."""
        facts = {"code_hash": code_hash, "expires_at": func.clock_timestamp() + literal(CODE_LASTS)}
        statement = upsert(TelegramCode).values(user_id=user_id, **facts)
        await self._session.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=facts))

    async def use(self, code_hash: bytes) -> int | None:
        """The user of a code that is good; it is not any more."""
        good = (col(TelegramCode.code_hash) == code_hash, col(TelegramCode.expires_at) > func.clock_timestamp())
        return await self._session.scalar(delete(TelegramCode).where(*good).returning(col(TelegramCode.user_id)))

    async def remove(self, user_id: int) -> None:
        """Forget the user's code."""
        await self._session.execute(delete(TelegramCode).where(col(TelegramCode.user_id) == user_id))

    async def ask(self, user_id: int, channel_id: int, word_hash: bytes) -> None:
        """Have a panic wait for its word, in place of an earlier one."""
        facts = {
            "word_hash": word_hash,
            "attempts": 0,
            "used_by": None,
            "expires_at": func.clock_timestamp() + literal(CONFIRMED_WITHIN),
        }
        statement = upsert(TelegramConfirmation).values(channel_id=channel_id, user_id=user_id, **facts)
        await self._session.execute(statement.on_conflict_do_update(index_elements=["channel_id"], set_=facts))

    async def confirm(self, user_id: int, channel_id: int, word_hash: bytes, update_id: int) -> bool:
        """Use the word of a panic, once; the same update may come again. Each try is counted before it is compared."""
        waiting = and_(
            col(TelegramConfirmation.channel_id) == channel_id,
            col(TelegramConfirmation.user_id) == user_id,
            col(TelegramConfirmation.expires_at) > func.clock_timestamp(),
            or_(col(TelegramConfirmation.used_by).is_(None), col(TelegramConfirmation.used_by) == update_id),
        )
        tries = update(TelegramConfirmation).where(waiting, col(TelegramConfirmation.attempts) < MOST_WRONG_WORDS)
        counted = await self._session.scalar(
            tries.values(attempts=TelegramConfirmation.attempts + 1).returning(col(TelegramConfirmation.channel_id))
        )
        if counted is None:
            return False
        right = update(TelegramConfirmation).where(waiting, col(TelegramConfirmation.word_hash) == word_hash)
        used = right.values(used_by=update_id).returning(col(TelegramConfirmation.channel_id))
        return await self._session.scalar(used) is not None


class TelegramUpdates(Repository):
    """The lease of a bot, and its updates."""

    def _held(self, bot_id: int, holder: str) -> ColumnElement[bool]:
        mine = (col(TelegramPoller.bot_id) == bot_id, col(TelegramPoller.holder) == holder)
        return and_(*mine, col(TelegramPoller.leased_until) > func.clock_timestamp())

    async def lease(self, bot_id: int, holder: str) -> bool:
        """Take the lease of a bot or make it longer; False while another process has it."""
        new = upsert(TelegramPoller).values(bot_id=bot_id).on_conflict_do_nothing()
        await self._session.execute(new)
        free = or_(
            col(TelegramPoller.holder) == holder,
            col(TelegramPoller.leased_until).is_(None),
            col(TelegramPoller.leased_until) <= func.clock_timestamp(),
        )
        taken = update(TelegramPoller).where(col(TelegramPoller.bot_id) == bot_id, free)
        until = func.clock_timestamp() + literal(POLLER_LEASE)
        ours = taken.values(holder=holder, leased_until=until).returning(col(TelegramPoller.bot_id))
        return await self._session.scalar(ours) is not None

    async def release(self, bot_id: int, holder: str) -> None:
        """Let another process have it at once."""
        ours = update(TelegramPoller).where(self._held(bot_id, holder))
        await self._session.execute(ours.values(holder=None, leased_until=None))

    async def offset(self, bot_id: int) -> int | None:
        """What to ask Telegram with; None: for all that it has not forgotten yet."""
        fresh = col(TelegramPoller.heard_at) > func.clock_timestamp() - literal(OFFSET_LASTS)
        kept = select(col(TelegramPoller.next_update_id)).where(col(TelegramPoller.bot_id) == bot_id, fresh)
        return await self._session.scalar(kept)

    async def keep_offset(self, bot_id: int, holder: str, next_update_id: int) -> None:
        """All updates below this one are taken."""
        ours = update(TelegramPoller).where(self._held(bot_id, holder))
        await self._session.execute(ours.values(next_update_id=next_update_id, heard_at=func.clock_timestamp()))

    async def take(self, bot_id: int, holder: str, update_id: int) -> Taken:
        """Take an update, under the lease."""
        held = select(col(TelegramPoller.bot_id)).where(self._held(bot_id, holder)).with_for_update(read=True)
        if await self._session.scalar(held) is None:
            return Taken.NOT_OURS
        new = upsert(TelegramUpdate).values(bot_id=bot_id, update_id=update_id).on_conflict_do_nothing()
        if await self._session.scalar(new.returning(col(TelegramUpdate.update_id))) is not None:
            return Taken.NEW
        known = (col(TelegramUpdate.bot_id) == bot_id, col(TelegramUpdate.update_id) == update_id)
        done = await self._session.scalar(select(col(TelegramUpdate.done_at)).where(*known))
        return Taken.AGAIN if done is None else Taken.DONE

    async def done(self, bot_id: int, update_id: int) -> None:
        """An update was carried out, and its answer sent as far as that was possible."""
        known = (col(TelegramUpdate.bot_id) == bot_id, col(TelegramUpdate.update_id) == update_id)
        await self._session.execute(update(TelegramUpdate).where(*known).values(done_at=func.clock_timestamp()))

    async def forget_old(self) -> None:
        """Forget updates that Telegram has forgotten, too."""
        old = col(TelegramUpdate.taken_at) < func.clock_timestamp() - literal(KEPT)
        await self._session.execute(delete(TelegramUpdate).where(old))
