"""`/healthz`, `/readyz`, `/metrics`: for operators and load balancers."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Annotated, Literal, Protocol

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from actors.ports.engine import StrategyEngine
from api.base.dependencies import resources
from api.brokers.service import BrokerService
from api.overview.deployment_metrics import deployment_text
from api.overview.looking import RecentFacts
from config.capacity import Capacity
from config.settings import Settings
from persistence.database.engine import Sessions, ping, transaction
from persistence.database.engine_load import EngineLoad
from persistence.errors import DatabaseUnavailable, MirrorUnavailable
from persistence.mirror.mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)
router = APIRouter(tags=["health"])


class Used(Protocol):
    """What the routes of this room use of `api.bootstrap.Resources`."""

    settings: Settings
    capacity: Capacity
    sessions: Sessions
    mirror: RuntimeMirror
    engine: StrategyEngine
    brokers: BrokerService
    recent: RecentFacts


Opened = Annotated[Used, Depends(resources)]

CHECK_TIMEOUT_S = 2.0


Part = Literal["database", "redis", "engine", "encryption_keys"]


class Alive(BaseModel):
    """The process serves."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether everything that requests need answers; `checks` has "ok" or the fault of each part."""

    status: Literal["ready", "not_ready"]
    checks: dict[Part, str]


@router.head("/healthz", operation_id="healthz", include_in_schema=False)  # as monitors of web sites ask
@router.get("/healthz", operation_id="healthz")
async def healthz() -> Alive:
    """Liveness: asks nobody."""
    return Alive()


@router.head("/readyz", operation_id="readyz", include_in_schema=False)
@router.get("/readyz", operation_id="readyz", responses={503: {"model": Readiness}})
async def readyz(
    opened: Opened, response: Response, exclude: Annotated[list[Part] | None, Query(max_length=10)] = None
) -> Readiness:
    """Readiness: asks the database, Redis and the engine, and whether the encryption keys are those of the database.

    A part in `exclude` is asked too, but its fault does not count.
    """
    parts: dict[Part, Awaitable[object]] = {
        "database": ping(opened.sessions),
        "redis": opened.mirror.ping(),
        "engine": opened.engine.health(),
        "encryption_keys": opened.brokers.check_keys(),
    }
    answers = await asyncio.gather(*(_check(part) for part in parts.values()))
    checks = dict(zip(parts, answers, strict=True))
    ready = all(answer == "ok" or part in (exclude or ()) for part, answer in checks.items())
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "not_ready", checks=checks)


_METRICS = {"text/plain": {"schema": {"type": "string"}, "example": "# HELP tradeactors_recovered_runs_total …\n"}}


@router.get("/metrics", operation_id="metrics", response_class=Response, responses={200: {"content": _METRICS}})
async def metrics(request: Request, opened: Opened) -> Response:
    """Figures of this process, and of the deployment as far as PostgreSQL and Redis know them, for Prometheus."""
    limits = {"running": opened.capacity.running, "symbols": opened.capacity.symbols}
    request.app.state.metrics.places(await _places(opened), limits)
    brokers, streams = opened.settings.brokers, []
    with contextlib.suppress(MirrorUnavailable):
        streams = await opened.mirror.get_streams(brokers)
    request.app.state.metrics.feeds_seen(dict(zip(brokers, streams, strict=False)))
    figures: bytes = request.app.state.metrics.text() + deployment_text(await opened.recent.facts())
    return Response(figures, media_type=CONTENT_TYPE_LATEST)


async def _places(opened: Opened) -> dict[str, int]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S), transaction(opened.sessions) as session:
            load = await EngineLoad(session).count()
    except (TimeoutError, DatabaseUnavailable):  # the other figures are worth having nevertheless
        log.warning("places_not_counted")
        return {}
    return {"running": load.running, "symbols": load.symbols}


async def _check(part: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await part
    except TimeoutError:
        return "timeout"
    except Exception as error:  # noqa: BLE001 - any fault of a part is what this call is there to report
        return f"failed: {type(error).__name__}"
    return "ok"
