"""`/panic` and `/risk/unlock` (row N8)."""

from typing import Annotated, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends

from api.base.answers.problems import problems
from api.base.dependencies import resources
from api.strategies.panic.schemas import PanicAnswer, PanicTaken, UnlockAnswer
from api.strategies.panic.service import PanicService
from api.users.dependencies import RecentPassword, UserId

router = APIRouter()


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    panic: PanicService


Opened = Annotated[Used, Depends(resources)]


@router.post("/panic", tags=["panic"], status_code=202, operation_id="panic", responses=problems(401))
async def panic(user_id: UserId, opened: Opened) -> PanicTaken:
    """Forbid entries, then sell everything that your strategies hold and end them. Nothing else of yours is touched.

    Repeating it answers the same panic and asks again for what is open; an `Idempotency-Key` is not looked at. It wants
    no body, no limit of requests or orders delays it, and entries stay forbidden until `POST /risk/unlock`."""
    return await opened.panic.panic(user_id)


@router.get("/panic/{panic_id}", tags=["panic"], operation_id="get_panic", responses=problems(401, 404))
async def get_panic(panic_id: UUID, user_id: UserId, opened: Opened) -> PanicAnswer:
    """How far a panic has come, strategy by strategy, until all is flat."""
    return await opened.panic.look(user_id, panic_id)


@router.post("/risk/unlock", tags=["risk"], operation_id="risk_unlock", responses=problems(401, 403))
async def unlock(user_id: UserId, opened: Opened, has_recent_password: RecentPassword) -> UnlockAnswer:
    """Allow entries again after a panic. It wants your password of the last five minutes (`POST /auth/confirm`).

    What the panic still sells is sold nevertheless; strategies and schedules stay ended and paused until you start
    them."""
    await opened.panic.unlock(user_id, has_recent_password)
    return UnlockAnswer(entries_forbidden=False)
