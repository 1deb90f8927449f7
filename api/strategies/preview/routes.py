"""`POST /strategy/preview`."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends

from api.base.answers.problems import problems
from api.base.dependencies import resources
from api.strategies.preview.schemas import StrategyPreview, StrategyPreviewRequest
from api.strategies.preview.service import PreviewService
from api.users.dependencies import UserId

router = APIRouter(prefix="/strategy", tags=["strategy"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    previews: PreviewService


Opened = Annotated[Used, Depends(resources)]


@router.post("/preview", operation_id="preview_strategy", responses=problems(401, 404, 409))
async def preview(body: StrategyPreviewRequest, user_id: UserId, opened: Opened) -> StrategyPreview:
    """What a START would arm, and what it may cost: of the body of create, or of a stored strategy. Nothing is stored.
    What create or START would refuse is refused here in the same words."""
    return await opened.previews.preview(user_id, body)
