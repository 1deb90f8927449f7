"""Every query of the API. A repository works in the caller's transaction and never commits.

Tenant data is only ever found by its `user_id` (row K1): another tenant's row is as absent as one that never was.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Select, delete, exists, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from persistence.database.models import (
    AuditEntry,
    BrokerAccount,
    Intent,
    Login,
    OrderLog,
    RefreshToken,
    Run,
    Strategy,
    User,
)

# "keys", "turn" and "own": any constants that no other program uses in this database
_KEYS_LOCK, _ROTATION_LOCK, _OWNERS_LOCK = 0x6B657973, 0x7475726E, 0x6F776E

ACCOUNT_TAKEN = "broker_accounts_broker_broker_user_id_key"
"""The constraint by which an account at a broker has one owner, over all users."""


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
        """Replace the stored hash: of another password, or a stronger one of the same."""
        await self._session.execute(update(User).where(col(User.id) == user_id).values(password_hash=password_hash))

    async def by_id(self, user_id: int) -> User | None:
        """The user, unless the account was deleted."""
        return await self._session.scalar(self._live(user_id))

    async def lock_live(self, user_id: int) -> User | None:
        """The user, whose account cannot be deleted before this transaction ends; None if it was deleted already.

        Any number of transactions may hold this lock at once. Take it before any lock on what the user owns.
        """
        return await self._session.scalar(self._live(user_id).with_for_update(read=True, key_share=True))

    async def lock_password(self, user_id: int) -> User | None:
        """As `lock_live`, and no other changes the password in this transaction."""
        return await self._session.scalar(self._live(user_id).with_for_update(key_share=True))

    async def lock_for_deletion(self, user_id: int) -> User | None:
        """The user, of whom nothing new can be stored before this transaction ends. Waits for `lock_live`."""
        return await self._session.scalar(self._live(user_id).with_for_update())

    async def erase(self, user_id: int, at: datetime) -> None:
        """Forget who the user was: the address is free again, no password fits. The id stays, for the logs."""
        values = {"email": f"deleted-{user_id}@deleted.invalid", "password_hash": "deleted", "deleted_at": at}
        await self._session.execute(update(User).where(col(User.id) == user_id).values(values))

    @staticmethod
    def _live(user_id: int) -> Select[User]:
        statement = select(User).where(col(User.id) == user_id, col(User.deleted_at).is_(None))
        return statement.execution_options(populate_existing=True)


class Logins(Repository):
    """Logins, from the password to the logout."""

    async def start(self, login_id: uuid.UUID, user_id: int, at: datetime, address: str | None = None) -> None:
        """Store a new login; `address` is the network that the password came from."""
        self._session.add(Login(id=login_id, user_id=user_id, started_at=at, address=address))
        await self._session.flush()

    async def is_known(self, user_id: int | None, address: str) -> bool:
        """Whether a login of the user has begun at that network before. Unknown users cost the same query."""
        statement = select(exists().where(col(Login.user_id) == (user_id or 0), col(Login.address) == address))
        return bool(await self._session.scalar(statement))

    async def is_live(self, user_id: int, login_id: uuid.UUID) -> bool:
        """Whether the user's login has not ended, nor the user deleted the account."""
        statement = select(col(User.id)).join(Login, col(Login.user_id) == col(User.id))
        live = (col(Login.id) == login_id, col(Login.ended_at).is_(None), col(User.deleted_at).is_(None))
        return await self._session.scalar(statement.where(col(User.id) == user_id, *live)) is not None

    async def end(self, user_id: int, at: datetime, reason: str, login_id: uuid.UUID | None = None) -> list[uuid.UUID]:
        """End one login of the user or, without `login_id`, all of them; the ids of those that went on until now.

        Their refresh tokens are forgotten. `reason` is one of the words of `logins.end_reason`.
        """
        statement = update(Login).where(col(Login.user_id) == user_id, col(Login.ended_at).is_(None))
        if login_id is not None:
            statement = statement.where(col(Login.id) == login_id)
        ended = await self._session.scalars(
            statement.values(ended_at=at, end_reason=reason).returning(col(Login.id)),
            execution_options={"synchronize_session": False},
        )
        ids = list(ended)
        tokens = (col(RefreshToken.user_id) == user_id, col(RefreshToken.login_id).in_(ids))
        await self._session.execute(delete(RefreshToken).where(*tokens))
        return ids


class RefreshTokens(Repository):
    """Refresh tokens by their hash."""

    async def add(
        self, user_id: int, token_hash: bytes, login_id: uuid.UUID, issued_at: datetime, expires_at: datetime
    ) -> None:
        """Store a token that was just issued."""
        token = RefreshToken(
            user_id=user_id,
            token_hash=token_hash,
            login_id=login_id,
            issued_at=issued_at,
            expires_at=expires_at,
        )
        self._session.add(token)
        await self._session.flush()

    async def owner(self, token_hash: bytes) -> int | None:
        """The id of the user whom the token was given to."""
        statement = select(col(RefreshToken.user_id)).where(col(RefreshToken.token_hash) == token_hash)
        return await self._session.scalar(statement)

    async def lock(self, user_id: int, token_hash: bytes) -> RefreshToken | None:
        """The user's token of a login that goes on; both are locked, so that the token is used at most once."""
        statement = select(RefreshToken).join(Login, col(Login.id) == col(RefreshToken.login_id))
        mine = (col(RefreshToken.user_id) == user_id, col(RefreshToken.token_hash) == token_hash)
        return await self._session.scalar(statement.where(*mine, col(Login.ended_at).is_(None)).with_for_update())

    async def remove_expired(self, user_id: int, now: datetime) -> None:
        """Forget the user's tokens that are too old to matter even if they were kept."""
        expired = (col(RefreshToken.user_id) == user_id, col(RefreshToken.expires_at) <= now)
        await self._session.execute(delete(RefreshToken).where(*expired))


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


class Strategies(Repository):
    """What users want traded. A deleted strategy is not found."""

    async def add(self, strategy: Strategy) -> Strategy:
        """Store a new strategy; its id is set afterwards."""
        self._session.add(strategy)
        await self._session.flush()
        return strategy

    async def get(self, user_id: int, strategy_id: int, *, lock: bool = False) -> Strategy | None:
        """The user's strategy; `lock` lets no other start, change or delete it in this transaction."""
        statement = select(Strategy).where(
            col(Strategy.id) == strategy_id, col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None)
        )
        return await self._session.scalar(statement.with_for_update() if lock else statement)

    async def page(
        self,
        user_id: int,
        limit: int,
        offset: int,
        status: str | None = None,
        traded: tuple[str, str] | None = None,
    ) -> tuple[Sequence[Strategy], int]:
        """The user's strategies, newest first, and how many there are; of one status or (exchange, tradingsymbol)."""
        wanted = [col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None)]
        if status is not None:
            wanted.append(col(Strategy.status) == status)
        if traded is not None:
            wanted.append(tuple_(col(Strategy.exchange), col(Strategy.tradingsymbol)) == traded)
        statement = select(Strategy).where(*wanted).order_by(col(Strategy.id).desc()).limit(limit).offset(offset)
        total = await self._session.scalar(select(func.count()).select_from(Strategy).where(*wanted))
        return (await self._session.scalars(statement)).all(), total or 0

    async def lock_count(self, user_id: int) -> int:
        """How many strategies the user has; no other counts them, or the running ones, in this transaction."""
        await self._session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"quota:{user_id}", 0))))
        mine = (col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None))
        return await self._session.scalar(select(func.count()).select_from(Strategy).where(*mine)) or 0

    async def watched(self, user_id: int, newest: int) -> Sequence[Strategy]:
        """Every strategy of the user that runs, and the `newest` others; newest first."""
        mine = (col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None))
        recent = select(col(Strategy.id)).where(*mine).order_by(col(Strategy.id).desc()).limit(newest)
        runs = exists().where(col(Run.strategy_id) == Strategy.id, col(Run.ended_at).is_(None))
        statement = select(Strategy).where(*mine, runs | col(Strategy.id).in_(recent))
        return (await self._session.scalars(statement.order_by(col(Strategy.id).desc()))).all()

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

    async def remove_all(self, user_id: int) -> Sequence[Strategy]:
        """Mark all strategies of a user as deleted, none of which may run; those that were not before."""
        statement = update(Strategy).where(col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None))
        deleted = await self._session.scalars(statement.values(deleted_at=func.now()).returning(Strategy))
        return deleted.all()


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

    async def latest_of_each(self, user_id: int, strategy_ids: Sequence[int]) -> dict[int, Run]:
        """As `latest_of`, of several strategies, by their ids; those that never ran are left out."""
        mine = (col(Run.user_id) == user_id, col(Run.strategy_id).in_(strategy_ids))
        latest = select(func.max(col(Run.id))).where(*mine).group_by(col(Run.strategy_id))
        runs = await self._session.scalars(select(Run).where(col(Run.id).in_(latest), *mine))
        return {run.strategy_id: run for run in runs}

    async def of_strategy(self, user_id: int, strategy_id: int, run_id: int) -> Run | None:
        """One run of the user's strategy, open or ended."""
        mine = (col(Run.id) == run_id, col(Run.strategy_id) == strategy_id, col(Run.user_id) == user_id)
        return await self._session.scalar(select(Run).where(*mine))

    async def intents(self, run: Run) -> Sequence[Intent]:
        """What the run has wished to trade: the entry, then its exits in their order."""
        wanted = select(Intent).where(col(Intent.run_id) == run.id)
        return (await self._session.scalars(wanted.order_by(col(Intent.leg), col(Intent.seq)))).all()

    async def count_open(self, user_id: int) -> int:
        """How many strategies of the user run. Exact only under `Strategies.lock_count`."""
        mine = (col(Run.user_id) == user_id, col(Run.ended_at).is_(None))
        return await self._session.scalar(select(func.count()).select_from(Run).where(*mine)) or 0

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

    async def of_run(self, run: Run) -> Sequence[OrderLog]:
        """Every line of a run, oldest first."""
        mine = (col(OrderLog.user_id) == run.user_id, col(OrderLog.run_id) == run.id)
        lines = select(OrderLog).where(*mine).order_by(col(OrderLog.occurred_at), col(OrderLog.id))
        return (await self._session.scalars(lines)).all()


class AuditLog(Repository):
    """Who did what."""

    async def add(
        self, action: str, *, user_id: int | None, subject: str = "", address: str | None = None, **detail: str
    ) -> None:
        """Append a line; neither `subject` nor `detail` may hold a secret. It names the request that the log names."""
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id is not None:
            detail["request_id"] = str(request_id)
        self._session.add(AuditEntry(user_id=user_id, action=action, subject=subject, detail=detail, address=address))
        await self._session.flush()

    async def page(self, user_id: int, limit: int, offset: int) -> tuple[Sequence[AuditEntry], int]:
        """The user's own lines, newest first, and how many there are."""
        mine = col(AuditEntry.user_id) == user_id
        newest_first = select(AuditEntry).where(mine).order_by(col(AuditEntry.id).desc())
        total = await self._session.scalar(select(func.count()).select_from(AuditEntry).where(mine))
        return (await self._session.scalars(newest_first.limit(limit).offset(offset))).all(), total or 0
