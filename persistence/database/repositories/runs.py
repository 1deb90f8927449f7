"""Queries of runs."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import exists, func, select
from sqlalchemy.orm import QueryableAttribute, defer
from sqlmodel import col

from actors.domain.identifiers import Instrument
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.base import Repository, Total

_RUN = select(Run).options(defer(cast("QueryableAttribute[Any]", Run.state), raiseload=True))


class Runs(Repository):
    """STARTs of strategies. What is found has no `state`, which grows with the orders of a run and is its actor's."""

    async def open_of(self, user_id: int, strategy_id: int) -> Run | None:
        """The run that has not ended, if any."""
        mine = (col(Run.strategy_id) == strategy_id, col(Run.user_id) == user_id, col(Run.ended_at).is_(None))
        return await self._session.scalar(_RUN.where(*mine))

    async def latest_of(self, user_id: int, strategy_id: int) -> Run | None:
        """The last run, open or ended."""
        statement = _RUN.where(col(Run.strategy_id) == strategy_id, col(Run.user_id) == user_id)
        return await self._session.scalar(statement.order_by(col(Run.id).desc()).limit(1))

    async def latest_of_each(self, user_id: int, strategy_ids: Sequence[int]) -> dict[int, Run]:
        """As `latest_of`, of several strategies, by their ids; those that never ran are left out."""
        mine = (col(Run.user_id) == user_id, col(Run.strategy_id).in_(strategy_ids))
        latest = select(func.max(col(Run.id))).where(*mine).group_by(col(Run.strategy_id))
        runs = await self._session.scalars(_RUN.where(col(Run.id).in_(latest), *mine))
        return {run.strategy_id: run for run in runs}

    async def of_strategy(self, user_id: int, strategy_id: int, run_id: int) -> Run | None:
        """One run of the user's strategy, open or ended."""
        mine = (col(Run.id) == run_id, col(Run.strategy_id) == strategy_id, col(Run.user_id) == user_id)
        return await self._session.scalar(_RUN.where(*mine))

    async def page(self, user_id: int, strategy_id: int, limit: int, offset: int) -> tuple[Sequence[Run], Total]:
        """The runs of the user's strategy, the latest first, and how many there are."""
        newest_first = _RUN.where(col(Run.strategy_id) == strategy_id, col(Run.user_id) == user_id)
        newest_first = newest_first.order_by(col(Run.id).desc())
        total = await self._total(newest_first)
        return (await self._session.scalars(newest_first.limit(limit).offset(offset))).all(), total

    async def count_open(self, user_id: int) -> int:
        """How many strategies of the user run. Exact only under `Strategies.lock_count`."""
        mine = (col(Run.user_id) == user_id, col(Run.ended_at).is_(None))
        return await self._session.scalar(select(func.count()).select_from(Run).where(*mine)) or 0

    async def any_open(self, user_id: int) -> bool:
        """Whether anything of the user's runs."""
        statement = select(exists().where(col(Run.user_id) == user_id, col(Run.ended_at).is_(None)))
        return bool(await self._session.scalar(statement))

    async def open_strategies(self, user_id: int) -> Sequence[int]:
        """The ids of the user's strategies that run."""
        mine = (col(Run.user_id) == user_id, col(Run.ended_at).is_(None))
        return (await self._session.scalars(select(col(Run.strategy_id)).where(*mine))).all()

    async def traded_now(self, user_id: int) -> Sequence[tuple[str, str]]:
        """Symbol and broker of everything that the user's strategies run on, each once."""
        mine = (col(Run.user_id) == user_id, col(Run.ended_at).is_(None))
        named = (col(Strategy.exchange), col(Strategy.tradingsymbol), col(Strategy.instrument_token))
        traded = select(*named, col(BrokerAccount.broker)).join(Run, col(Run.strategy_id) == col(Strategy.id))
        traded = traded.join(BrokerAccount, col(BrokerAccount.id) == col(Run.broker_account_id)).where(*mine)
        rows = (await self._session.execute(traded.distinct())).all()
        return sorted({(Instrument(exchange, name, token).symbol, broker) for exchange, name, token, broker in rows})

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
