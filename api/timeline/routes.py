"""`GET /strategy/{strategy_id}/timeline`: why a trade did or did not happen; and `/runs`: what each START came to."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query

from api.base.answers.problems import problems
from api.base.clock import utc_now
from api.base.dependencies import Paging, resources
from api.base.path_id import PathId
from api.timeline.bars import read_bars
from api.timeline.reader import read_timeline
from api.timeline.runs import read_runs, run_entry
from api.timeline.schemas import BarsQuery, RunList, StrategyBars, StrategyTimeline, TimelineQuery
from api.users.dependencies import UserId
from config.settings import Settings
from persistence.database.engine import Sessions
from persistence.mirror.mirror import RuntimeMirror

router = APIRouter(prefix="/strategy", tags=["strategy"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    sessions: Sessions
    mirror: RuntimeMirror
    settings: Settings


Opened = Annotated[Used, Depends(resources)]


@router.get("/{strategy_id:id}/timeline", operation_id="strategy_timeline", responses=problems(401, 404))
async def timeline(
    strategy_id: PathId,
    user_id: UserId,
    opened: Opened,
    asked: Annotated[TimelineQuery, Query()],
) -> StrategyTimeline:
    """When each leg of a run was due, decided, sent, acknowledged and filled, with every attempt and reason."""
    return await read_timeline(opened.sessions, opened.settings.zone, user_id, strategy_id, asked)


@router.get("/{strategy_id:id}/runs", operation_id="strategy_runs", responses=problems(401, 404))
async def runs(strategy_id: PathId, user_id: UserId, opened: Opened, paging: Paging) -> RunList:
    """What each START of the strategy came to, the latest first."""
    rows, total = await read_runs(opened.sessions, user_id, strategy_id, paging.limit, paging.offset)
    entries = [run_entry(row, opened.settings.zone) for row in rows]
    return RunList(
        runs=entries, total=total.number, total_capped=total.capped, limit=paging.limit, offset=paging.offset
    )


@router.get("/{strategy_id:id}/bars", operation_id="strategy_bars", responses=problems(401, 404))
async def bars(
    strategy_id: PathId, user_id: UserId, opened: Opened, asked: Annotated[BarsQuery, Query()]
) -> StrategyBars:
    """Minute bars of the day of a run, for a chart.

    They are of the prices that the engine heard while something ran on the symbol, and are kept for two days."""
    zone = opened.settings.zone
    return await read_bars(opened.sessions, opened.mirror, zone, user_id, strategy_id, asked, utc_now())
