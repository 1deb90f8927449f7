"""`/strategy`: create, run, watch and change strategies (rows C1, D1, I1, L1)."""

from typing import Annotated, Protocol

from fastapi import APIRouter, Depends, Query, Response

from api.base.answers.problems import problems
from api.base.dependencies import PageQuery, Paging, resources
from api.base.fields import StrategyStatusWord, Symbol
from api.base.idempotency import Keyed
from api.base.path_id import PathId
from api.strategies.held_and_closed import WordService
from api.strategies.schemas import (
    OrderLogPage,
    StopRequest,
    StrategyAnswer,
    StrategyCreateRequest,
    StrategyIdAnswer,
    StrategyIdRequest,
    StrategyPage,
    StrategyPatched,
    StrategyPatchRequest,
    StrategyStarted,
    StrategyStatus,
)
from api.strategies.service import StrategyService
from api.strategies.start_and_stop import LifecycleService
from api.strategies.status import order_log_answer, strategy_answer
from api.users.dependencies import UserId
from config.settings import Settings

router = APIRouter(prefix="/strategy", tags=["strategy"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    strategies: StrategyService
    lifecycle: LifecycleService
    words: WordService
    settings: Settings


Opened = Annotated[Used, Depends(resources)]


class StrategyListQuery(PageQuery):
    """Which strategies; `total` counts those."""

    status: StrategyStatusWord | None = None
    symbol: Symbol | None = None


@router.post("/create", status_code=201, operation_id="create_strategy", responses=problems(401, 409))
async def create(body: StrategyCreateRequest, user_id: UserId, opened: Opened, keyed: Keyed) -> StrategyIdAnswer:
    """Describe a strategy. It does nothing until it is started."""
    return await opened.strategies.create(user_id, body, keyed)


@router.post("/start", operation_id="start_strategy", responses=problems(401, 404, 409))
async def start(body: StrategyIdRequest, user_id: UserId, opened: Opened, keyed: Keyed) -> StrategyStarted:
    """Arm the next session. Repeating it while the strategy runs changes nothing and answers the same; repeated with
    its `Idempotency-Key` it also arms nothing after the run has ended."""
    return await opened.lifecycle.start(user_id, body.strategy_id, keyed)


@router.post(
    "/stop",
    operation_id="stop_strategy",
    responses=problems(401, 404) | {202: {"model": StrategyStatus, "description": "The exit is still working"}},
)
async def stop(body: StopRequest, user_id: UserId, opened: Opened, response: Response) -> StrategyStatus:
    """Sell what is open and end the run. 202: the position is not sold yet; the exit goes on.

    An `Idempotency-Key` is not looked at: each STOP is carried out, and nothing that is kept can delay it."""
    status, flat = await opened.lifecycle.stop(user_id, body.strategy_id, pause_schedule=body.pause_schedule)
    response.status_code = 200 if flat else 202
    return status


@router.get("/list", operation_id="list_strategies", responses=problems(401))
async def list_strategies(
    user_id: UserId, opened: Opened, query: Annotated[StrategyListQuery, Query()]
) -> StrategyPage:
    """Your strategies, newest first; all of them, or those of one status or symbol."""
    rows, total = await opened.strategies.page(user_id, query.limit, query.offset, query.status, query.symbol)
    zone = opened.settings.zone
    strategies = [strategy_answer(row, zone) for row in rows]
    return StrategyPage(
        strategies=strategies, total=total.number, total_capped=total.capped, limit=query.limit, offset=query.offset
    )


@router.get("/status/{strategy_id:id}", operation_id="strategy_status", responses=problems(401, 404))
async def status(strategy_id: PathId, user_id: UserId, opened: Opened) -> StrategyStatus:
    """Where a strategy stands; its final result stays readable after the end."""
    return await opened.lifecycle.status(user_id, strategy_id)


@router.get("/{strategy_id:id}", operation_id="get_strategy", responses=problems(401, 404))
async def get(strategy_id: PathId, user_id: UserId, opened: Opened) -> StrategyAnswer:
    """What you asked for."""
    return strategy_answer(await opened.strategies.get(user_id, strategy_id), opened.settings.zone)


@router.patch("/{strategy_id:id}", operation_id="patch_strategy", responses=problems(401, 404, 409))
async def patch(strategy_id: PathId, body: StrategyPatchRequest, user_id: UserId, opened: Opened) -> StrategyPatched:
    """Change a strategy. While it runs, only its stop-loss can be moved: then both guards have it when this answers,
    or `stop_loss_confirmed` is false."""
    strategy, guarded = await opened.strategies.patch(user_id, strategy_id, body)
    answer = strategy_answer(strategy, opened.settings.zone)
    return StrategyPatched(**answer.model_dump(), stop_loss_confirmed=guarded)


@router.post("/{strategy_id:id}/closed", operation_id="strategy_closed_by_trader", responses=problems(401, 404, 409))
async def closed(strategy_id: PathId, user_id: UserId, opened: Opened, keyed: Keyed) -> StrategyStatus:
    """Say that you have sold the shares yourself. The run ends, unless your account still shows them."""
    return await opened.words.closed(user_id, strategy_id, keyed)


@router.post("/{strategy_id:id}/held", operation_id="strategy_held_by_trader", responses=problems(401, 404, 409))
async def held(strategy_id: PathId, user_id: UserId, opened: Opened, keyed: Keyed) -> StrategyStatus:
    """Say that you still hold shares that were taken for sold. They are guarded again, as far as they are there."""
    return await opened.words.held(user_id, strategy_id, keyed)


@router.delete("/{strategy_id:id}", status_code=204, operation_id="delete_strategy", responses=problems(401, 404, 409))
async def delete(strategy_id: PathId, user_id: UserId, opened: Opened) -> Response:
    """Delete a strategy that does not run."""
    await opened.strategies.delete(user_id, strategy_id)
    return Response(status_code=204)


@router.get("/{strategy_id:id}/orders", operation_id="strategy_orders", responses=problems(401, 404))
async def orders(strategy_id: PathId, user_id: UserId, opened: Opened, paging: Paging) -> OrderLogPage:
    """Everything that happened to the strategy's orders, oldest first."""
    lines, total = await opened.strategies.orders(user_id, strategy_id, paging.limit, paging.offset)
    answers = [order_log_answer(line, opened.settings.zone) for line in lines]
    return OrderLogPage(
        orders=answers, total=total.number, total_capped=total.capped, limit=paging.limit, offset=paging.offset
    )
