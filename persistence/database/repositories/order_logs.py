"""Queries of what happened to a strategy's orders."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlmodel import col

from persistence.database.models.order_logs import OrderLog
from persistence.database.models.strategies import Strategy
from persistence.database.repositories.base import Repository, Total

_AHEAD = timedelta(hours=1)
"""How far the clock of the process that saw a line may be ahead of the database's."""

_LATE = timedelta(days=7)
"""How long after it happened a line may be recorded."""


class OrderLogs(Repository):
    """What happened to orders; written by the engine's ledger only."""

    async def page(self, user_id: int, strategy_id: int, limit: int, offset: int) -> tuple[Sequence[OrderLog], Total]:
        """The lines of the user's strategy, oldest first, and how many there are."""
        mine = (col(OrderLog.user_id) == user_id, col(OrderLog.strategy_id) == strategy_id)
        oldest_first = select(OrderLog).where(*mine).order_by(col(OrderLog.occurred_at), col(OrderLog.id))
        total = await self._total(oldest_first)
        return (await self._session.scalars(oldest_first.limit(limit).offset(offset))).all(), total

    async def between(
        self, user_id: int, first: datetime, beyond: datetime, limit: int, offset: int
    ) -> tuple[Sequence[tuple[OrderLog, Strategy]], Total]:
        """The lines of all strategies of the user from `first` on and before `beyond`, oldest first, and how many.

        Each with its strategy, also where that is deleted.
        """
        mine = (col(OrderLog.user_id) == user_id, col(OrderLog.occurred_at) >= first)
        # A line is recorded when it has happened, or, after an outage, some hours later: this names its partitions.
        recorded = (col(OrderLog.recorded_at) >= first - _AHEAD, col(OrderLog.recorded_at) < beyond + _LATE)
        wanted = (*mine, col(OrderLog.occurred_at) < beyond, *recorded)
        total = await self._total(select(OrderLog).where(*wanted))
        lines = select(OrderLog, Strategy).join(Strategy, col(Strategy.id) == col(OrderLog.strategy_id)).where(*wanted)
        lines = lines.order_by(col(OrderLog.occurred_at), col(OrderLog.id))
        rows = await self._session.execute(lines.limit(limit).offset(offset))
        return [(line, strategy) for line, strategy in rows], total
