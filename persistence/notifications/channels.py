"""Queries of the channels of users. Addresses are stored encrypted, and found again by their hash."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import col

from persistence.database.models.notifications import NotificationChannel
from persistence.database.repositories.base import Repository

MOST_OF_A_USER = 10
"""How many channels a user may have, verified or not."""

MOST_WRONG_CODES = 5
"""How many wrong codes a channel takes before its code is good for nothing."""

_IDENTITY = frozenset({"kind", "address_hash"})
_Channel = NotificationChannel


class Channels(Repository):
    """Channels, by their user."""

    async def of_user(self, user_id: int) -> Sequence[NotificationChannel]:
        """All of the user's, oldest first; they are few."""
        mine = select(_Channel).where(col(_Channel.user_id) == user_id)
        return (await self._session.scalars(mine.order_by(col(_Channel.id)))).all()

    async def get(self, user_id: int, channel_id: int) -> NotificationChannel | None:
        """One of the user's."""
        mine = (col(_Channel.user_id) == user_id, col(_Channel.id) == channel_id)
        return await self._session.scalar(select(_Channel).where(*mine))

    async def of_address(self, user_id: int, kind: str, address_hash: bytes) -> NotificationChannel | None:
        """The user's channel of an address."""
        mine = (
            col(_Channel.user_id) == user_id,
            col(_Channel.kind) == kind,
            col(_Channel.address_hash) == address_hash,
        )
        return await self._session.scalar(select(_Channel).where(*mine))

    async def of_chat(self, address_hash: bytes) -> NotificationChannel | None:
        """The channel of a chat of Telegram, which is one user's at a time."""
        there = (col(_Channel.kind) == "telegram", col(_Channel.address_hash) == address_hash)
        return await self._session.scalar(select(_Channel).where(*there))

    async def mute(self, user_id: int, channel_id: int, until: datetime | None) -> None:
        """Send nothing there until then but what money may depend on; None: send everything again."""
        mine = (col(_Channel.user_id) == user_id, col(_Channel.id) == channel_id)
        await self._session.execute(update(_Channel).where(*mine).values(muted_until=until))

    async def revive(self, user_id: int, channel_id: int) -> None:
        """A channel that was taken for one that does not work is tried again."""
        mine = (col(_Channel.user_id) == user_id, col(_Channel.id) == channel_id, col(_Channel.state) == "failed")
        await self._session.execute(update(_Channel).where(*mine).values(state="active", failures=0))

    async def put(self, user_id: int, values: dict[str, Any]) -> NotificationChannel:
        """Store a channel, or put another code and state into the user's channel of the same address."""
        statement = upsert(_Channel).values(values | {"user_id": user_id})
        written = statement.on_conflict_do_update(
            index_elements=["user_id", "kind", "address_hash"],
            set_={name: value for name, value in values.items() if name not in _IDENTITY} | {"code_attempts": 0},
        )
        stored = await self._session.scalars(written.returning(_Channel), execution_options={"populate_existing": True})
        return stored.one()

    async def verify(self, user_id: int, channel_id: int, code_hash: bytes, now: datetime) -> bool:
        """Use the code of a channel: whether it was the right one, in time. A wrong one counts; two at once count both.

        Each try is counted before it is compared, so that many at once have as few tries as one after another.
        """
        mine = (col(_Channel.user_id) == user_id, col(_Channel.id) == channel_id)
        tries = update(_Channel).where(*mine, col(_Channel.code_expires_at) > now)
        tries = tries.where(col(_Channel.code_attempts) < MOST_WRONG_CODES)
        counted = await self._session.scalar(
            tries.values(code_attempts=col(_Channel.code_attempts) + 1).returning(col(_Channel.id))
        )
        if counted is None:
            return False
        right = update(_Channel).where(*mine, col(_Channel.code_hash) == code_hash)
        verified = right.values(
            state="active", verified_at=now, code_hash=None, code_expires_at=None, failures=0, last_failure=None
        )
        return await self._session.scalar(verified.returning(col(_Channel.id))) is not None

    async def remove(self, user_id: int, channel_id: int) -> bool:
        """Forget one of the user's, and what is on its way there."""
        mine = (col(_Channel.user_id) == user_id, col(_Channel.id) == channel_id)
        gone = delete(_Channel).where(*mine).returning(col(_Channel.id))
        return await self._session.scalar(gone) is not None

    async def remove_address(self, kind: str, address_hash: bytes, *, user_id: int | None = None) -> bool:
        """Forget an address; without a user, whichever user had it."""
        there = delete(_Channel).where(col(_Channel.kind) == kind, col(_Channel.address_hash) == address_hash)
        if user_id is not None:
            there = there.where(col(_Channel.user_id) == user_id)
        return (await self._session.scalars(there.returning(col(_Channel.id)))).first() is not None

    async def remove_others(self, user_id: int, kind: str, address_hash: bytes) -> None:
        """A browser is one user's at a time: the user who subscribes it takes it over."""
        others = delete(_Channel).where(
            col(_Channel.kind) == kind, col(_Channel.address_hash) == address_hash, col(_Channel.user_id) != user_id
        )
        await self._session.execute(others, execution_options={"synchronize_session": False})

    async def count(self, user_id: int) -> int:
        """How many the user has."""
        statement = select(func.count()).select_from(_Channel).where(col(_Channel.user_id) == user_id)
        return await self._session.scalar(statement) or 0

    async def remove_all(self, user_id: int) -> None:
        """Forget all of a user's."""
        await self._session.execute(delete(_Channel).where(col(_Channel.user_id) == user_id))

    async def key_versions(self) -> frozenset[str]:
        """The versions of the keys that addresses were sealed with."""
        return frozenset(await self._session.scalars(select(col(_Channel.key_version)).distinct()))

    async def sealed_with_another(self, key_version: str, after_id: int, limit: int) -> Sequence[NotificationChannel]:
        """Some rows beyond an id whose key is another, lowest id first, locked until the transaction ends."""
        statement = (
            select(_Channel)
            .where(col(_Channel.key_version) != key_version, col(_Channel.id) > after_id)
            .order_by(col(_Channel.id))
            .limit(limit)
            .with_for_update(key_share=True)
        )
        return (await self._session.scalars(statement)).all()

    async def reseal(self, channel: NotificationChannel, box: bytes, key_version: str) -> None:
        """Put the same address of a locked row under another key."""
        mine = (col(_Channel.id) == channel.id, col(_Channel.user_id) == channel.user_id)
        statement = update(_Channel).where(*mine).values(address_box=box, key_version=key_version)
        await self._session.execute(statement, execution_options={"synchronize_session": False})
