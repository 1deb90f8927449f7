"""Transactions whose caller leaves in the middle, and connections that PostgreSQL has ended, harm no later one."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import text

from persistence.database.engine import Sessions, migrate, open_database, sessions_of, tenant_transaction, transaction
from persistence.errors import DatabaseUnavailable
from tests.integration.persistence.database.new_database import new_database

CONNECTIONS, CUT_OFF = 2, 300
_WHO = text("SELECT current_setting('tradeactors.user_id', true), current_user::text")
_END_OTHERS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_END_THIS = text("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Iterator[str]:
    """A database with the schema, and so with the tenants' role."""
    with new_database(postgres_url) as url:
        migrate(url)
        yield url


@pytest.fixture
async def sessions(url: str) -> AsyncIterator[Sessions]:
    engine = open_database(url, pool_size=CONNECTIONS, max_overflow=0)
    yield sessions_of(engine)
    await engine.dispose()


async def who(sessions: Sessions, user_id: int) -> tuple[str, str]:
    async with tenant_transaction(sessions, user_id) as session:
        setting, role = (await session.execute(_WHO)).one()
        return setting, role


async def test_callers_that_leave_at_any_moment_leave_no_tenant_and_no_broken_connection_behind(
    sessions: Sessions,
) -> None:
    instants = random.Random(1)  # noqa: S311
    left = 0
    for number in range(CUT_OFF):
        asking = asyncio.create_task(who(sessions, 1000 + number))
        await asyncio.sleep(instants.uniform(0, 0.004))
        left += asking.cancel()
        await asyncio.wait([asking])
        if number % 10 == 0:
            assert [await who(sessions, user_id) for user_id in (1, 2, 3)] == [
                (str(user_id), "tradeactors_tenant") for user_id in (1, 2, 3)
            ]
            async with transaction(sessions) as session:
                setting, role = (await session.execute(_WHO)).one()
            assert (setting or "", role != "tradeactors_tenant") == ("", True)
    assert left > CUT_OFF // 10, "too few were cut off for this to say anything"


async def test_a_connection_that_postgresql_has_ended_is_replaced_before_it_is_used(sessions: Sessions) -> None:
    await asyncio.gather(*(who(sessions, user_id) for user_id in range(CONNECTIONS)))
    async with transaction(sessions) as session:
        ended = (await session.execute(_END_OTHERS)).all()
    assert ended
    for user_id in range(1, 1 + 2 * CONNECTIONS):
        assert (await who(sessions, user_id))[0] == str(user_id)


async def test_a_connection_that_ends_in_a_transaction_is_said_to_be_gone(sessions: Sessions) -> None:
    async def ended_within() -> None:
        async with transaction(sessions) as session:
            await session.execute(_END_THIS)

    with pytest.raises(DatabaseUnavailable):
        await ended_within()
    assert (await who(sessions, 2))[0] == "2"
