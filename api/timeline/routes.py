"""`GET /strategy/{strategy_id}/timeline`: why a trade did or did not happen."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query

from api.base.answers.problems import problems
from api.base.dependencies import resources
from api.base.path_id import PathId
from api.timeline.reader import read_timeline
from api.timeline.schemas import StrategyTimeline, TimelineQuery
from api.users.dependencies import UserId
from config.settings import Settings
from persistence.database.engine import Sessions

router = APIRouter(prefix="/strategy", tags=["strategy"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    sessions: Sessions
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
