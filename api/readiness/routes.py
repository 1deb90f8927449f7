"""`/readiness`: will my strategies trade today? (row N3)."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends

from api.base.answers.problems import problems
from api.base.dependencies import resources
from api.readiness.schemas import ReadinessAnswer
from api.readiness.service import ReadinessService
from api.users.dependencies import UserId

router = APIRouter(prefix="/readiness", tags=["readiness"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    readiness: ReadinessService


Opened = Annotated[Used, Depends(resources)]


@router.get("", operation_id="get_readiness", responses=problems(401))
async def get_readiness(user_id: UserId, opened: Opened) -> ReadinessAnswer:
    """Whether your strategies will trade today, as it was last found; `as_of` says when that was.

    It is looked at before the session, before each BUY and after a login at the broker; if nothing of today was found
    since the last login or START, at once."""
    return await opened.readiness.last_found(user_id)


@router.post("/refresh", operation_id="refresh_readiness", responses=problems(401))
async def refresh_readiness(user_id: UserId, opened: Opened) -> ReadinessAnswer:
    """Look at once, at most once a minute: asked more often, the answer is what was found less than a minute ago."""
    return await opened.readiness.refresh(user_id)
