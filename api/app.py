"""The FastAPI application. `uvicorn --factory api.app:create_app` serves it with the settings of the environment."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from actors.ports.engine import StrategyEngine
from api.base.background import end
from api.base.clock import utc_now
from api.base.metrics import Metrics
from api.bootstrap import open_resources
from api.brokers import login_routes as broker_login_routes
from api.brokers import routes as broker_routes
from api.brokers.paper import routes as paper_routes
from api.edge.error_handlers import install_error_handlers
from api.edge.middleware import with_edge
from api.edge.strict_json import strict_json
from api.edge.work_budget import WorkBudget
from api.events import routes as event_routes
from api.notifications import channel_routes as notification_channel_routes
from api.notifications import routes as notification_routes
from api.openapi.document import describe
from api.openapi.page import DOCS_PATH, docs_router
from api.operations import routes as operation_routes
from api.operations.heartbeat import Heartbeat
from api.operations.presence import keep_api_present, keep_emptied_shown
from api.operations.record_keeping import keep_records
from api.operations.recovery_sweep import keep_recovering
from api.readiness import routes as readiness_routes
from api.reference import routes as reference_routes
from api.strategies import routes as strategy_routes
from api.strategies.panic import routes as panic_routes
from api.strategies.preview import routes as preview_routes
from api.strategies.schedules import routes as schedule_routes
from api.timeline import day_orders as day_order_routes
from api.timeline import routes as timeline_routes
from api.users import routes as user_routes
from api.users.dependencies import PasswordPlace, access_claims, limit_address, user_of_token
from api.web.routes import BUNDLE, web_router
from config.logging import configure_logging
from config.settings import Settings, load_settings

if TYPE_CHECKING:
    from api.users.passwords.hashing import Passwords


class Application(FastAPI):
    """FastAPI within the edge of `api.edge.middleware`, with the description of `api.openapi.document`."""

    def __init__(self, *, metrics: Metrics, cors_origins: Sequence[str], **options: Any) -> None:
        self._metrics = metrics
        self.passwords: Passwords | None = None  # once everything is opened
        self._cors_origins = cors_origins
        super().__init__(**options)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the edge around all of Starlette's middleware, its handling of faults included."""
        inner = super().build_middleware_stack()
        return with_edge(inner, self._metrics, self._cors_origins, user_of_token, self._check_place)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(self.routes)
        return self.openapi_schema

    def _check_place(self, path: str) -> None:
        if self.passwords is not None and path in _OPEN_PASSWORD_PATHS:
            self.passwords.check_place()


def create_app(
    settings: Settings | None = None, engine: StrategyEngine | None = None, bundle: Path = BUNDLE
) -> FastAPI:
    """Build the application; it connects to everything when it starts up (see `open_resources`).

    Without `settings` they are read from the environment, and logging is set up from them. Without `engine` the Ray
    engine is used. `bundle` is the folder of the app's files.
    """
    if settings is None:
        settings = load_settings()
        configure_logging(settings.log_format)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings, engine) as resources:
            app.state.resources = resources
            app.state.tokens = resources.tokens
            application.passwords = resources.passwords
            sweep = asyncio.create_task(keep_recovering(resources.engine, metrics), name="recovery sweep")
            kept_for = timedelta(days=settings.login_retention_days)
            records = asyncio.create_task(keep_records(resources.sessions, kept_for, utc_now), name="record keeping")
            pursuit = asyncio.create_task(resources.pursuit.keep_pursuing(), name="pursuit of panics")
            sending = asyncio.create_task(resources.sender.run(), name="sender of notices")
            summaries = asyncio.create_task(resources.summaries.run(), name="summaries of the day")
            arming = asyncio.create_task(resources.arming.keep_arming(), name="arming of schedules")
            rounds = asyncio.create_task(resources.readiness_rounds.keep_asking(), name="rounds of readiness")
            present = asyncio.create_task(keep_api_present(resources.mirror), name="presence of this process")
            emptied = asyncio.create_task(
                keep_emptied_shown(resources.engine, resources.mirror), name="nodes that are being emptied"
            )
            heartbeat = Heartbeat(settings, resources.recent, resources.readiness_rounds.operator)
            beating = asyncio.create_task(heartbeat.keep_beating(), name="sign that the engine can trade")
            beside = [sweep, records, pursuit, sending, summaries, arming, rounds, present, emptied, beating]
            if resources.poller is not None:
                beside.append(asyncio.create_task(resources.poller.run(), name="poller of Telegram"))
            try:
                yield
            finally:
                await end(*beside)

    app = application = Application(
        metrics=metrics,
        cors_origins=settings.cors_origins,
        lifespan=lifespan,
        title="TradeActors",
        docs_url=None,
        openapi_url="/openapi.json" if settings.docs_served else None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,  # one path for each call: a redirect would repeat the request, token and all
    )
    app.state.metrics = metrics
    app.state.work_budget = WorkBudget.from_settings(settings)
    install_error_handlers(app)
    app.router.routes.extend(_routes())
    app.include_router(web_router(bundle))
    if settings.docs_served:
        app.include_router(docs_router(DOCS_PATH, app.title))
    return app


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """The calls of the API, built once a process: they are the same for each application."""
    every = APIRouter()
    for router in (  # most asked first
        strategy_routes.router,
        user_routes.router,
        panic_routes.router,
        schedule_routes.router,
        preview_routes.router,
        broker_routes.router,
        paper_routes.router,
        broker_login_routes.router,
        event_routes.router,
        timeline_routes.router,
        day_order_routes.router,
        reference_routes.router,
        readiness_routes.router,
        notification_routes.router,
        notification_channel_routes.router,
        notification_channel_routes.push_router,
    ):
        _include(every, router)
    every.include_router(operation_routes.router)
    # FastAPI builds each when it is first asked: no request, a STOP perhaps, is to wait for that.
    for route in every.routes:
        route.matches({"type": "http", "method": "GET", "path": "", "root_path": "", "headers": []})
    return tuple(every.routes)


def _include(every: APIRouter, router: APIRouter) -> None:
    """Add the routes of a router. Those with a token count their user's requests, the others those of an address.

    Authentication errors come before body errors.
    """
    for wants_token in (True, False):
        for reads in (False, True):
            routes = [r for r in router.routes if needs_token(r) == wants_token and _reads_body(r) == reads]
            first = [] if wants_token else [Depends(limit_address)]
            if reads:
                first = [Depends(access_claims if wants_token else limit_address), Depends(strict_json)]
            if routes:
                every.include_router(APIRouter(routes=routes), dependencies=first)


def needs_token(route: object) -> bool:
    """Whether a route answers 401 without an access token."""
    return isinstance(route, APIRoute) and _asks_for_claims(route.dependant)


def _reads_body(route: object) -> bool:
    return isinstance(route, APIRoute) and route.body_field is not None


def _asks_for_claims(dependant: Dependant) -> bool:
    return dependant.call is access_claims or any(map(_asks_for_claims, dependant.dependencies))


_OPEN_PASSWORD_PATHS = frozenset(
    route.path
    for route in user_routes.router.routes
    if isinstance(route, APIRoute) and PasswordPlace in route.dependencies and not needs_token(route)
)
"""Requests that need a place in the queue of passwords, and no token."""
