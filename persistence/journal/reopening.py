"""Opening a run again that ended because its shares seemed to be gone: the trader says that he still holds them."""

from sqlalchemy import exists, func, select, update
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
            runtime = {name: getattr(update_.runtime, name) for name in update_.runtime.__dataclass_fields__}
            opened = (
                update(Run)
                .where(col(Run.id) == update_.run_id, col(Run.epoch) == update_.epoch, col(Run.ended_at).is_not(None))
                .where(exists().where(col(BrokerAccount.id) == col(Run.broker_account_id)))
                .values(runtime | {"state": dict(update_.state), "ended_at": None})
                .returning(col(Run.id))
            )
            if await session.scalar(opened) is None:
                raise RunNotOpen(update_.run_id)
            await upsert_intents(session, update_)
            await append_logs(session, update_, update_.logs)
            strategy.status, strategy.updated_at = "running", update_.runtime.updated_at
