"""More than one application on the same database, Redis and engine: with other settings, or as a second process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx

from actors.ports.engine import StrategyEngine
from api.app import create_app
from config.settings import Settings
from tests.integration.api_user import ApiUser


@asynccontextmanager
async def serving(settings: Settings, engine: StrategyEngine, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application of its own, with some settings changed."""
    app = create_app(settings.model_copy(update=changes), engine)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield client


def at(user: ApiUser, client: httpx.AsyncClient) -> ApiUser:
    """The same user, at another application."""
    return replace(user, client=client, is_known=False)
