"""Queries of users' connections to brokers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import col

from persistence.database.models.brokers import BrokerAccount
from persistence.database.repositories.base import Repository

_KEYS_LOCK = 0x6B657973  # "keys", "turn" and "own": any constants that no other program uses in this database


_ROTATION_LOCK = 0x7475726E


_OWNERS_LOCK = 0x6F776E


ACCOUNT_TAKEN = "broker_accounts_broker_broker_user_id_key"
"""The constraint by which an account at a broker has one owner, over all users."""


class BrokerAccounts(Repository):
    """Broker connections, one per user."""

    async def of_user(self, user_id: int, *, lock: bool = False) -> BrokerAccount | None:
        """The user's connection; `lock` keeps it from being replaced or removed meanwhile."""
        statement = select(BrokerAccount).where(col(BrokerAccount.user_id) == user_id)
        return await self._session.scalar(statement.with_for_update() if lock else statement)

    async def put(self, user_id: int, values: dict[str, Any]) -> BrokerAccount:
        """Store the user's connection in place of the one there was, if any.

        It keeps its id only while it is the same account at the same broker: executions know an account by its id.
        The database refuses an account that another user has connected (`ACCOUNT_TAKEN`).
        """
        # One after another: two who swap their accounts would wait for each other.
        await self._session.execute(select(func.pg_advisory_xact_lock(_OWNERS_LOCK)))
        other = (col(BrokerAccount.broker) != values["broker"]) | (
            col(BrokerAccount.broker_user_id) != values["broker_user_id"]
        )
        await self._session.execute(delete(BrokerAccount).where(col(BrokerAccount.user_id) == user_id, other))
        statement = (
            upsert(BrokerAccount)
            .values(values | {"user_id": user_id})
            .on_conflict_do_update(constraint="broker_accounts_user_id_key", set_=values)
            .returning(BrokerAccount)
        )
        stored = await self._session.scalars(statement, execution_options={"populate_existing": True})
        return stored.one()

    async def remove(self, user_id: int) -> None:
        """Forget the user's connection."""
        await self._session.execute(delete(BrokerAccount).where(col(BrokerAccount.user_id) == user_id))

    async def key_versions(self) -> frozenset[str]:
        """The versions of the keys that anybody's secrets were sealed with."""
        return frozenset(await self._session.scalars(select(col(BrokerAccount.key_version)).distinct()))

    async def begin_rotation(self) -> bool:
        """Whether no other rotation of keys is under way; none begins before this transaction ends."""
        return bool(await self._session.scalar(select(func.pg_try_advisory_xact_lock(_ROTATION_LOCK))))

    async def keep_keys(self) -> None:
        """No key is dropped before this transaction ends: take this lock, read the keys, then seal with the newest."""
        await self._session.execute(select(func.pg_advisory_xact_lock_shared(_KEYS_LOCK)))

    async def lock_keys(self) -> None:
        """Nothing is sealed before this transaction ends, so that a key which no row needs may be dropped."""
        await self._session.execute(select(func.pg_advisory_xact_lock(_KEYS_LOCK)))

    async def sealed_with_another(self, key_version: str, after_id: int, limit: int) -> Sequence[BrokerAccount]:
        """Some rows beyond an id whose key is another, lowest id first, locked until the transaction ends."""
        statement = (
            select(BrokerAccount)
            .where(col(BrokerAccount.key_version) != key_version, col(BrokerAccount.id) > after_id)
            .order_by(col(BrokerAccount.id))
            .limit(limit)
            .with_for_update(key_share=True)  # a START, which refers to the row, need not wait
        )
        return (await self._session.scalars(statement)).all()

    async def reseal(self, account: BrokerAccount, box: bytes, key_version: str) -> bool:
        """Put the same secrets under another key. False if they are not the same any more; nothing is changed then."""
        unchanged = (
            col(BrokerAccount.id) == account.id,
            col(BrokerAccount.user_id) == account.user_id,
            col(BrokerAccount.secrets_box) == account.secrets_box,
            col(BrokerAccount.key_version) == account.key_version,
        )
        statement = update(BrokerAccount).where(*unchanged).values(secrets_box=box, key_version=key_version)
        resealed = await self._session.scalar(
            statement.returning(col(BrokerAccount.id)), execution_options={"synchronize_session": False}
        )
        return resealed is not None
