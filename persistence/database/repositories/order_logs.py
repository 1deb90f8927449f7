"""Queries of what happened to a strategy's orders."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlmodel import col

from persistence.database.models.order_logs import OrderLog
from persistence.database.repositories.base import Repository, Total


class OrderLogs(Repository):
    """What happened to orders; written by the engine's ledger only."""

    async def page(self, user_id: int, strategy_id: int, limit: int, offset: int) -> tuple[Sequence[OrderLog], Total]:
        """The lines of the user's strategy, oldest first, and how many there are."""
        mine = (col(OrderLog.user_id) == user_id, col(OrderLog.strategy_id) == strategy_id)
        oldest_first = select(OrderLog).where(*mine).order_by(col(OrderLog.occurred_at), col(OrderLog.id))
        total = await self._total(oldest_first)
        return (await self._session.scalars(oldest_first.limit(limit).offset(offset))).all(), total
