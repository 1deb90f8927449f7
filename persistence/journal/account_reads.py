"""What the engine reads of broker accounts: their secrets, and every intent that may have an order there."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlmodel import col

from persistence.database.engine import Sessions, transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.panics import Panic
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.journal.records import AccountRecord, KnownIntent

_KNOWN_AFTER_END = timedelta(days=1)


class AccountReads:
    """Reads of accounts, each a transaction of its own."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def known_intents(self, account_id: int) -> list[KnownIntent]:
        """Every intent of the account's open runs, and of those that ended within the last day."""
        recent = col(Run.ended_at).is_(None) | (col(Run.ended_at) > func.now() - _KNOWN_AFTER_END)
        statement = (
            select(Strategy, col(Run.id), col(Run.product), col(Run.ended_at), col(Intent.leg), col(Intent.tag))
            .join(Run, col(Run.strategy_id) == col(Strategy.id))
            .join(Intent, col(Intent.run_id) == col(Run.id))
            .where(col(Run.broker_account_id) == account_id, recent)
            .order_by(col(Intent.id))
        )
        async with transaction(self._sessions) as session:
            rows = (await session.execute(statement)).all()
        return [
            KnownIntent(
                run_id=run_id,
                strategy_id=strategy.id,
                user_id=strategy.user_id,
                leg=leg,
                tag=tag,
                exchange=strategy.exchange,
                tradingsymbol=strategy.tradingsymbol,
                product=product,
                ended=ended_at is not None,
            )
            for strategy, run_id, product, ended_at, leg, tag in rows
        ]

    async def accounts_in_use(self) -> list[int]:
        """The accounts that have such intents."""
        recent = col(Run.ended_at).is_(None) | (col(Run.ended_at) > func.now() - _KNOWN_AFTER_END)
        statement = select(col(Run.broker_account_id)).where(recent, col(Run.broker_account_id).is_not(None)).distinct()
        async with transaction(self._sessions) as session:
            return [account_id for account_id in await session.scalars(statement) if account_id is not None]

    async def users_without_entries(self) -> frozenset[int]:
        """The users who have forbidden entries (row N8)."""
        async with transaction(self._sessions) as session:
            return frozenset(await session.scalars(select(col(Panic.user_id)).where(col(Panic.unlocked_at).is_(None))))

    async def load_account(self, account_id: int) -> AccountRecord | None:
        """A broker account with its secrets encrypted; None if the user has disconnected it."""
        async with transaction(self._sessions) as session:
            account = await session.get(BrokerAccount, account_id)
        return account_record(account) if account else None

    async def feed_accounts(self, broker: str) -> list[tuple[int, datetime]]:
        """(id, connected_at) of all accounts of a broker, the one connected last first."""
        statement = select(col(BrokerAccount.id), col(BrokerAccount.connected_at))
        newest_first = statement.order_by(col(BrokerAccount.connected_at).desc(), col(BrokerAccount.id).desc())
        async with transaction(self._sessions) as session:
            rows = await session.execute(newest_first.where(col(BrokerAccount.broker) == broker))
            return [(row[0], row[1]) for row in rows]


def account_record(account: BrokerAccount) -> AccountRecord:
    """The row as the engine and the API pass it on."""
    return AccountRecord(
        account_id=account.id,
        user_id=account.user_id,
        broker=account.broker,
        broker_user_id=account.broker_user_id,
        secrets_box=account.secrets_box,
        key_version=account.key_version,
        token_obtained_at=account.token_obtained_at,
    )
