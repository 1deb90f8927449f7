"""The FastAPI application. `uvicorn --factory api.app:create_app` serves it with the settings of the environment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from api.bootstrap import open_resources
from api.engine_port import StrategyEngine
from api.errors import install_error_handlers
from api.metrics import Metrics, MetricsMiddleware
from api.recovery import keep_recovering
from api.routes import auth, broker, health, strategy
from config.logging import configure_logging
from config.settings import Settings, load_settings

DESCRIPTION = """Buys and sells on the second, stops out on the tick: one actor per strategy.

Prices are rupees with two decimals, times of day are those of the exchange (IST). Every error is
`{"detail": "<sentence>", "code": "<stable_snake_case>"}`."""


def create_app(settings: Settings | None = None, engine: StrategyEngine | None = None) -> FastAPI:
    """Build the application; it connects to everything when it starts up (see `open_resources`).

    Without `settings` they are read from the environment, and logging is set up from them. Without `engine` the Ray
    engine is used.
    """
    if settings is None:
        settings = load_settings()
        configure_logging(settings.log_format)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_resources(settings, engine) as resources:
            app.state.resources = resources
            sweep = asyncio.create_task(keep_recovering(resources.engine, metrics), name="recovery sweep")
            try:
                yield
            finally:
                sweep.cancel()
                with suppress(asyncio.CancelledError):
                    await sweep

    app = FastAPI(title="TradeActors", version="1", description=DESCRIPTION, lifespan=lifespan)
    app.state.metrics = metrics
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    install_error_handlers(app)
    for router in (auth.router, broker.router, strategy.router, health.router):
        app.include_router(router)
    return app
