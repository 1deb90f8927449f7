"""Queries of strategies."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, exists, func, select, tuple_, update
from sqlmodel import col

from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.base import Repository, Total

_WANTED = (
    "user_id", "exchange", "tradingsymbol", "product", "buy_time", "sell_time", "stop_loss_paise", "stop_share",
    "quantity",
)  # fmt: skip
"""What makes two strategies equal."""


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
    ) -> tuple[Sequence[Strategy], Total]:
        """The user's strategies, newest first, and how many there are; of one status or (exchange, tradingsymbol)."""
        wanted = [col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None)]
        if status is not None:
            wanted.append(col(Strategy.status) == status)
        if traded is not None:
            wanted.append(tuple_(col(Strategy.exchange), col(Strategy.tradingsymbol)) == traded)
        newest_first = select(Strategy).where(*wanted).order_by(col(Strategy.id).desc())
        total = await self._total(newest_first)
        return (await self._session.scalars(newest_first.limit(limit).offset(offset))).all(), total

    async def lock_count(self, user_id: int) -> int:
        """How many strategies the user has; no other counts them, or the running ones, in this transaction."""
        await self._session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"quota:{user_id}", 0))))
        return await self.count(user_id)

    async def count(self, user_id: int) -> int:
        """How many strategies the user has. Exact only under `lock_count`."""
        mine = (col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None))
        return await self._session.scalar(select(func.count()).select_from(Strategy).where(*mine)) or 0

    async def watched(self, user_id: int, newest: int) -> Sequence[Strategy]:
        """Every strategy of the user that runs, and the `newest` others; newest first."""
        mine = (col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None))
        recent = select(col(Strategy.id)).where(*mine).order_by(col(Strategy.id).desc()).limit(newest)
        runs = exists().where(col(Run.strategy_id) == Strategy.id, col(Run.ended_at).is_(None))
        statement = select(Strategy).where(*mine, runs | col(Strategy.id).in_(recent))
        return (await self._session.scalars(statement.order_by(col(Strategy.id).desc()))).all()

    async def of_ids(self, user_id: int, strategy_ids: Sequence[int]) -> Sequence[Strategy]:
        """Those of the user's strategies that have these ids and are not deleted."""
        mine = (col(Strategy.user_id) == user_id, col(Strategy.deleted_at).is_(None))
        return (await self._session.scalars(select(Strategy).where(*mine, col(Strategy.id).in_(strategy_ids)))).all()

    async def equal_running(self, strategy: Strategy, most: int) -> Sequence[Strategy]:
        """Other strategies of the user that run for the same thing in the same way, oldest first; at most `most`."""
        same = [getattr(Strategy, name) == getattr(strategy, name) for name in _WANTED]
        others = (col(Strategy.id) != strategy.id, col(Strategy.deleted_at).is_(None))
        runs = exists().where(col(Run.strategy_id) == Strategy.id, col(Run.ended_at).is_(None))
        statement = select(Strategy).where(*same, *others, runs).order_by(col(Strategy.id)).limit(most)
        return (await self._session.scalars(statement)).all()

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
