"""The timeline of a user's strategy, read from the database: it stays for as long as the order log does."""

from datetime import tzinfo

from api.base.errors import ApiError
from api.strategies.service import found
from api.timeline.legs import timeline_before_start, timeline_of_run
from api.timeline.schemas import StrategyTimeline
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.repositories.order_logs import OrderLogs
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies
from persistence.mirror.fields import instrument_of


async def read_timeline(
    sessions: Sessions, zone: tzinfo, user_id: int, strategy_id: int, run_id: int | None
) -> StrategyTimeline:
    """Of the given run or, without one, of the latest.

    Raises:
        ApiError: 404 `strategy_not_found`; 404 `run_not_found`, also for a run of another strategy (row K1).
    """
    async with tenant_transaction(sessions, user_id) as session:
        strategy = found(await Strategies(session).get(user_id, strategy_id))
        runs = Runs(session)
        if run_id is None:
            run = await runs.latest_of(user_id, strategy_id)
            if run is None:
                return timeline_before_start(strategy_id)
        else:
            run = await runs.of_strategy(user_id, strategy_id, run_id)
            if run is None:
                raise ApiError(404, "run_not_found", "No such run of this strategy")
        intents, lines = await runs.intents(run), await OrderLogs(session).of_run(run)
    return timeline_of_run(run, instrument_of(strategy).symbol, intents, lines, zone)
