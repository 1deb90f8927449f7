"""`/strategy/{id}/schedule` and `/schedule` (row N4)."""

from enum import Enum
from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query, Response

from api.base.answers.problems import problems
from api.base.dependencies import resources
from api.base.path_id import PathId
from api.strategies.schedules.schemas import (
    OverviewQuery,
    ScheduleAnswer,
    ScheduleOverview,
    SchedulePauseRequest,
    ScheduleRequest,
    ScheduleSkipRequest,
)
from api.strategies.schedules.service import ScheduleService
from api.users.dependencies import UserId

router = APIRouter()

_OF_ONE: list[str | Enum] = ["strategy"]
_PATH = "/strategy/{strategy_id:id}/schedule"


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    schedules: ScheduleService


Opened = Annotated[Used, Depends(resources)]


@router.put(_PATH, tags=_OF_ONE, operation_id="put_schedule", responses=problems(401, 404, 409))
async def put(strategy_id: PathId, body: ScheduleRequest, user_id: UserId, opened: Opened) -> ScheduleAnswer:
    """Start the strategy by itself on these days, from 08:40 of each. It takes the place of an earlier schedule.

    A day that cannot be started in time is missed, and never moved to another day; you hear why."""
    return await opened.schedules.put(user_id, strategy_id, body)


@router.get(_PATH, tags=_OF_ONE, operation_id="get_schedule", responses=problems(401, 404))
async def get(strategy_id: PathId, user_id: UserId, opened: Opened) -> ScheduleAnswer:
    """On which days the strategy starts by itself, and what happened on the last ones."""
    return await opened.schedules.get(user_id, strategy_id)


@router.delete(_PATH, tags=_OF_ONE, status_code=204, operation_id="delete_schedule", responses=problems(401, 404))
async def delete(strategy_id: PathId, user_id: UserId, opened: Opened) -> Response:
    """Start the strategy no longer by itself. A run that is open goes on."""
    await opened.schedules.delete(user_id, strategy_id)
    return Response(status_code=204)


@router.post(f"{_PATH}/pause", tags=_OF_ONE, operation_id="pause_schedule", responses=problems(401, 404, 409))
async def pause(strategy_id: PathId, body: SchedulePauseRequest, user_id: UserId, opened: Opened) -> ScheduleAnswer:
    """Leave out all days, until a day or until it is resumed. A run that is open goes on."""
    return await opened.schedules.pause(user_id, strategy_id, body.until)


@router.post(f"{_PATH}/resume", tags=_OF_ONE, operation_id="resume_schedule", responses=problems(401, 404, 409))
async def resume(strategy_id: PathId, user_id: UserId, opened: Opened) -> ScheduleAnswer:
    """Go on after a pause. Today counts, if there is time before the buy."""
    return await opened.schedules.resume(user_id, strategy_id)


@router.post(f"{_PATH}/skip", tags=_OF_ONE, operation_id="skip_schedule_day", responses=problems(401, 404, 409))
async def skip(strategy_id: PathId, body: ScheduleSkipRequest, user_id: UserId, opened: Opened) -> ScheduleAnswer:
    """Leave one day out."""
    return await opened.schedules.skip(user_id, strategy_id, body.date)


@router.get("/schedule", tags=["schedule"], operation_id="schedule_overview", responses=problems(401))
async def overview(user_id: UserId, opened: Opened, query: Annotated[OverviewQuery, Query()]) -> ScheduleOverview:
    """What your strategies do by themselves in the coming days, today first."""
    return await opened.schedules.overview(user_id, query.days)
