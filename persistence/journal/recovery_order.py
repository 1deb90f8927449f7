"""In which order the open runs are brought back after a restart."""

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from persistence.database.models.runs import Run


async def open_runs(session: AsyncSession) -> list[tuple[int, int]]:
    """(run_id, strategy_id) of every open run: what holds shares first, then what buys soonest (row J1)."""
    statement = select(col(Run.id), col(Run.strategy_id)).where(col(Run.ended_at).is_(None))
    urgent_first = statement.order_by((col(Run.filled_quantity) > 0).desc(), col(Run.buy_at), col(Run.id))
    return [(row[0], row[1]) for row in await session.execute(urgent_first)]
