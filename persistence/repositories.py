"""Every query of the API. A repository works in the caller's transaction and never commits.

Tenant data is only ever found by its `user_id` (row K1): another tenant's row is as absent as one that never was.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from persistence.models import AuditEntry, BrokerAccount, Intent, OrderLog, RefreshToken, Run, Strategy, User


class Repository:
    """Base: the session of the transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session


class Users(Repository):
    """Tenants."""

    async def add(self, email: str, password_hash: str) -> User:
        """Store a new user. The database refuses an address that is taken (`users_email_key`)."""
        user = User(email=email, password_hash=password_hash)
        self._session.add(user)
        await self._session.flush()
        return user

    async def by_email(self, email: str) -> User | None:
        """The user of an address in lower case."""
        return await self._session.scalar(select(User).where(col(User.email) == email))

    async def set_password_hash(self, user_id: int, password_hash: str) -> None:
        """Replace the stored hash, for instance by a stronger one of the same password."""
        await self._session.execute(update(User).where(col(User.id) == user_id).values(password_hash=password_hash))

    async def by_id(self, user_id: int) -> User | None:
        """The user, if there still is one."""
        return await self._session.get(User, user_id)


class RefreshTokens(Repository):
    """Refresh tokens by their hash."""

    async def add(
        self, user_id: int, token_hash: bytes, family_id: uuid.UUID, issued_at: datetime, expires_at: datetime
    ) -> None:
        """Store a token that was just issued."""
        token = RefreshToken(
            user_id=user_id,
            token_hash=token_hash,
            family_id=family_id,
            issued_at=issued_at,
            expires_at=expires_at,
        )
        self._session.add(token)
        await self._session.flush()

    async def lock(self, token_hash: bytes) -> RefreshToken | None:
        """The token, locked until the transaction ends, so that it is used at most once."""
        statement = select(RefreshToken).where(col(RefreshToken.token_hash) == token_hash)
        return await self._session.scalar(statement.with_for_update())

    async def revoke_family(self, family_id: uuid.UUID, at: datetime) -> None:
        """End the login that a token belongs to."""
        await self._session.execute(
            update(RefreshToken)
            .where(col(RefreshToken.family_id) == family_id, col(RefreshToken.revoked_at).is_(None))
            .values(revoked_at=at)
        )


class BrokerAccounts(Repository):
    """Broker connections, one per user."""

    async def of_user(self, user_id: int, *, lock: bool = False) -> BrokerAccount | None:
        """The user's connection; `lock` keeps it from being replaced or removed meanwhile."""
        statement = select(BrokerAccount).where(col(BrokerAccount.user_id) == user_id)
        return await self._session.scalar(statement.with_for_update() if lock else statement)

    async def put(self, user_id: int, values: dict[str, Any]) -> BrokerAccount:
        """Store the user's connection in place of the one there was, if any.

        It keeps its id only while it is the same account at the same broker: executions know an account by its id.
        """
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


class Strategies(Repository):
    """What users want traded. A deleted strategy is not found."""

    async def add(self, strategy: Strategy) -> Strategy:
        """Store a new strategy; its id is set afterwards."""
        self._session.add(strategy)
        await self._session.flush()
        return strategy

    async def get(self, user_id: int, strategy_id: int, *, lock: bool = False) -> Strategy | None:
        """The user's strategy; `lock` lets nobody else start, change or delete it in this transaction."""
        statement = select(Strategy).where(
            col(Strategy.id) == strategy_id, col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None)
        )
        return await self._session.scalar(statement.with_for_update() if lock else statement)

    async def page(self, user_id: int, limit: int, offset: int) -> tuple[Sequence[Strategy], int]:
        """The user's strategies, newest first, and how many there are."""
        mine = (col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None))
        statement = select(Strategy).where(*mine).order_by(col(Strategy.id).desc()).limit(limit).offset(offset)
        total = await self._session.scalar(select(func.count()).select_from(Strategy).where(*mine))
        return (await self._session.scalars(statement)).all(), total or 0

    async def change(self, user_id: int, strategy_id: int, values: dict[str, Any]) -> None:
        """Set columns of the user's strategy."""
        await self._session.execute(
            update(Strategy)
            .where(col(Strategy.id) == strategy_id, col(Strategy.user_id) == user_id)
            .values(values | {"updated_at": func.now()})
        )

    async def remove(self, user_id: int, strategy_id: int) -> None:
        """Delete the user's strategy; if it ever ran, it is only marked, because its logs are kept."""
        ran = select(exists().where(col(Run.strategy_id) == strategy_id))
        if await self._session.scalar(ran):
            await self.change(user_id, strategy_id, {"deleted_at": func.now()})
            return
        await self._session.execute(
            delete(Strategy).where(col(Strategy.id) == strategy_id, col(Strategy.user_id) == user_id)
        )


class Runs(Repository):
    """STARTs of strategies."""

    async def open_of(self, user_id: int, strategy_id: int) -> Run | None:
        """The run that has not ended, if any."""
        statement = select(Run).where(
            col(Run.strategy_id) == strategy_id, col(Run.user_id) == user_id, col(Run.ended_at).is_(None)
        )
        return await self._session.scalar(statement)

    async def latest_of(self, user_id: int, strategy_id: int) -> Run | None:
        """The last run, open or ended."""
        statement = select(Run).where(col(Run.strategy_id) == strategy_id, col(Run.user_id) == user_id)
        return await self._session.scalar(statement.order_by(col(Run.id).desc()).limit(1))

    async def any_open(self, user_id: int) -> bool:
        """Whether anything of the user's runs."""
        statement = select(exists().where(col(Run.user_id) == user_id, col(Run.ended_at).is_(None)))
        return bool(await self._session.scalar(statement))

    async def add(self, run: Run) -> Run:
        """Store a new run; its id and defaults are set afterwards."""
        self._session.add(run)
        await self._session.flush()
        await self._session.refresh(run)
        return run

    async def add_intent(self, intent: Intent) -> None:
        """Store the first intent of a run."""
        self._session.add(intent)
        await self._session.flush()


class OrderLogs(Repository):
    """What happened to orders; written by the engine's ledger only."""

    async def page(self, user_id: int, strategy_id: int, limit: int, offset: int) -> tuple[Sequence[OrderLog], int]:
        """The lines of the user's strategy, oldest first, and how many there are."""
        mine = (col(OrderLog.user_id) == user_id, col(OrderLog.strategy_id) == strategy_id)
        oldest_first = select(OrderLog).where(*mine).order_by(col(OrderLog.occurred_at), col(OrderLog.id))
        total = await self._session.scalar(select(func.count()).select_from(OrderLog).where(*mine))
        return (await self._session.scalars(oldest_first.limit(limit).offset(offset))).all(), total or 0


class AuditLog(Repository):
    """Who did what."""

    async def add(
        self, action: str, *, user_id: int | None, subject: str = "", address: str | None = None, **detail: str
    ) -> None:
        """Append a line; neither `subject` nor `detail` may hold a secret."""
        self._session.add(AuditEntry(user_id=user_id, action=action, subject=subject, detail=detail, address=address))
        await self._session.flush()
