"""In which order the open runs are brought back after a restart."""

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from actors.domain.strategy.spec import run_label
from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy


async def open_runs(session: AsyncSession, strategy_id: int | None = None) -> list[tuple[int, int]]:
    """(run_id, strategy_id) of every open run, or of one strategy's: what holds shares first, then what buys soonest
    (row J1).
    """
    statement = select(col(Run.id), col(Run.strategy_id)).where(col(Run.ended_at).is_(None))
    if strategy_id is not None:
        statement = statement.where(col(Run.strategy_id) == strategy_id)
    urgent_first = statement.order_by((col(Run.filled_quantity) > 0).desc(), col(Run.buy_at), col(Run.id))
    return [(row[0], row[1]) for row in await session.execute(urgent_first)]


async def open_run_labels(session: AsyncSession) -> dict[int, str]:
    """The label of every open run, by its id."""
    columns = (col(Run.id), col(Strategy.tradingsymbol), col(Run.quantity), col(Run.buy_at))
    of_runs = select(*columns).join(Strategy, col(Strategy.id) == col(Run.strategy_id))
    return {
        run_id: run_label(symbol, quantity, buy_at)
        for run_id, symbol, quantity, buy_at in await session.execute(of_runs.where(col(Run.ended_at).is_(None)))
    }
