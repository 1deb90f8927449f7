"""The API waits for PostgreSQL for a bounded time, and counts a bounded number of rows."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import text

from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from tests.integration.api_user import ApiUser
from tests.integration.apps import serving
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]


@pytest.fixture
async def client(settings: Settings, engine: FakeEngine) -> AsyncIterator[httpx.AsyncClient]:
    """An API whose statements have half a second."""
    async with serving(settings, engine, api_statement_timeout_s=0.5) as client:
        yield client


async def user_id_of(user: ApiUser) -> int:
    return int((await user.call("GET", "/auth/validate")).json()["user_id"])


async def test_a_statement_that_does_not_end_is_given_up_and_the_same_request_is_served_later(
    user: ApiUser, sessions: Sessions
) -> None:
    user_id = await user_id_of(user)
    async with transaction(sessions) as session:
        await session.execute(text("SELECT FROM users WHERE id = :id FOR UPDATE"), {"id": user_id})
        began = time.monotonic()
        answer = await user.call("DELETE", "/broker")
        assert (answer.status_code, answer.json()["code"]) == (503, "database_busy")
        assert int(answer.headers["Retry-After"]) > 0
        assert time.monotonic() - began < 3
    assert (await user.call("DELETE", "/broker")).status_code == 204


async def test_of_a_long_activity_a_thousand_lines_are_counted(user: ApiUser, sessions: Sessions) -> None:
    user_id = await user_id_of(user)
    lines = text("INSERT INTO audit_log (user_id, action) SELECT :id, 'test' FROM generate_series(1, :count)")

    async def counted(more: int) -> tuple[int, bool]:
        async with transaction(sessions) as session:
            await session.execute(lines, {"id": user_id, "count": more})
        seen = (await user.call("GET", "/auth/activity?limit=1&offset=1100")).json()
        return seen["total"], seen["total_capped"]

    assert await counted(10) == (11, False)  # one is of the registration
    assert await counted(989) == (1000, False)
    assert await counted(200) == (1000, True)
    assert len((await user.call("GET", "/auth/activity?limit=200&offset=1100")).json()["activity"]) == 100
