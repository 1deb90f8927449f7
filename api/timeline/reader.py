"""The timeline of a user's strategy, read from the database: it stays for as long as the order log does."""

from datetime import tzinfo

from api.base.errors import ApiError
from api.strategies.service import found
from api.timeline.legs import timeline_before_start, timeline_of_run
from api.timeline.schemas import StrategyTimeline, TimelineQuery
from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.models.runs import Run
from persistence.database.repositories.runs import Runs
from persistence.database.repositories.strategies import Strategies
from persistence.database.repositories.timelines import Timelines
from persistence.mirror.fields import instrument_of


async def read_timeline(
    sessions: Sessions, zone: tzinfo, user_id: int, strategy_id: int, asked: TimelineQuery
) -> StrategyTimeline:
    """A page of the run that is asked for or, without one, of the latest.

    Raises:
        ApiError: 404 `strategy_not_found`; 404 `run_not_found`, also for a run of another strategy (row K1).
    """
    async with tenant_transaction(sessions, user_id) as session:
        strategy = found(await Strategies(session).get(user_id, strategy_id))
        run = await _run_of(Runs(session), user_id, strategy_id, asked.run_id)
        if run is None:
            return timeline_before_start(strategy_id, asked.limit, asked.offset)
        page = await Timelines(session).page(run, asked.limit, asked.offset)
    symbol = instrument_of(strategy).symbol
    return timeline_of_run(run, symbol, page, zone, asked.limit, asked.offset)


async def _run_of(runs: Runs, user_id: int, strategy_id: int, run_id: int | None) -> Run | None:
    if run_id is None:
        return await runs.latest_of(user_id, strategy_id)
    run = await runs.of_strategy(user_id, strategy_id, run_id)
    if run is None:
        raise ApiError(404, "run_not_found", "No such run of this strategy")
    return run
