"""Runs that have ended, of which their trader knows better: he still holds their shares, or has sold them himself."""

from typing import Any

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from persistence.database.engine import Sessions, transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.errors import RunNotOpen
from persistence.journal.ledger import append_logs, run_record, upsert_intents
from persistence.journal.records import RunRecord, RunUpdate


class EndedRuns:
    """Runs that have ended. `RunLedger` has those that are open."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def load(self, run_id: int) -> RunRecord:
        """All that is known of a run that has ended; its epoch is that of its last actor.

        Raises:
            RunNotOpen: if it does not exist, has not ended, or its account was disconnected.
        """
        wanted = (
            select(Run, Strategy, col(BrokerAccount.broker))
            .join(Strategy, col(Strategy.id) == col(Run.strategy_id))
            .join(BrokerAccount, col(BrokerAccount.id) == col(Run.broker_account_id))
            .where(col(Run.id) == run_id, col(Run.ended_at).is_not(None))
        )
        async with transaction(self._sessions) as session:
            row = (await session.execute(wanted)).one_or_none()
            intents = (await session.scalars(select(Intent).where(col(Intent.run_id) == run_id))).all()
        if row is None:
            raise RunNotOpen(run_id)
        run, strategy, broker = row
        return run_record(run, strategy, broker, intents)

    async def reopen(self, update_: RunUpdate) -> None:
        """Open the run again as `update_` describes it, whole or not at all.

        Raises:
            RunNotOpen: it is not the strategy's last run, it is open already, or another actor has had it since.
        """
        async with transaction(self._sessions) as session:
            locked = select(Strategy).where(col(Strategy.id) == update_.strategy_id, col(Strategy.deleted_at).is_(None))
            strategy = await session.scalar(locked.with_for_update())  # no START may come in between
            latest = select(func.max(col(Run.id))).where(col(Run.strategy_id) == update_.strategy_id)
            if strategy is None or await session.scalar(latest) != update_.run_id:
                raise RunNotOpen(update_.run_id)
            connected = exists().where(col(BrokerAccount.id) == col(Run.broker_account_id))
            await _change(session, update_, connected, ended_at=None)
            await upsert_intents(session, update_)
            strategy.status, strategy.updated_at = "running", update_.runtime.updated_at

    async def amend(self, update_: RunUpdate) -> None:
        """Describe the run as `update_` does, whole or not at all. It stays ended, since when it was.

        Raises:
            RunNotOpen: it is open again, or another actor has had it since.
        """
        async with transaction(self._sessions) as session:
            await _change(session, update_)


async def _change(session: AsyncSession, update_: RunUpdate, *conditions: ColumnElement[bool], **values: Any) -> None:
    runtime = {name: getattr(update_.runtime, name) for name in update_.runtime.__dataclass_fields__}
    changed = (
        update(Run)
        .where(col(Run.id) == update_.run_id, col(Run.epoch) == update_.epoch, col(Run.ended_at).is_not(None))
        .where(*conditions)
        .values(runtime | {"state": dict(update_.state)} | values)
        .returning(col(Run.id))
    )
    if await session.scalar(changed) is None:
        raise RunNotOpen(update_.run_id)
    await append_logs(session, update_, update_.logs)
