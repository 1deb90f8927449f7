"""What is to trade today: the only place that knows where today's trades come from."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from sqlalchemy.ext.asyncio import AsyncSession

from persistence.database.models.runs import Run
from persistence.database.models.strategies import Strategy
from persistence.database.readiness import ReadinessRows


@dataclass(frozen=True, slots=True)
class PlannedTrade:
    """A strategy that is to buy today; instants in the exchange's zone."""

    strategy: Strategy
    buy_at: datetime
    sell_at: datetime
    started: bool = True


@dataclass(frozen=True, slots=True)
class PlannedDay:
    """`waiting`: what is still to be bought, by buy time. `held`: runs of today that hold shares, or are about to.

    `begun`: how many trades of today are no longer waiting, however they have ended.
    """

    waiting: tuple[PlannedTrade, ...]
    held: tuple[tuple[Run, Strategy], ...]
    begun: int


async def what_is_to_trade(session: AsyncSession, user_id: int, now: datetime, zone: tzinfo) -> PlannedDay:
    """Today's trades of a user: of the strategies that were started.

    Schedules (row N4) that have not started theirs yet belong in here, with `started=False`.
    """
    begins = datetime.combine(now.astimezone(zone).date(), datetime.min.time(), zone)
    runs = await ReadinessRows(session).runs_of_day(user_id, begins, begins + timedelta(days=1))
    waiting = [(run, strategy) for run, strategy in runs if _waits(run, now)]
    held = tuple((run, strategy) for run, strategy in runs if run.ended_at is None and run.position != "none")
    trades = (
        PlannedTrade(strategy, run.buy_at.astimezone(zone), run.sell_at.astimezone(zone)) for run, strategy in waiting
    )
    return PlannedDay(tuple(trades), held, len(runs) - len(waiting))


def _waits(run: Run, now: datetime) -> bool:
    return run.ended_at is None and run.position == "none" and run.buy_at > now
