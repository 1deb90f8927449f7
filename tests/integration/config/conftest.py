"""Two stores of a test module's own, for the commands that look at a deployment."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text

from config.settings import PREFIX
from persistence.database.engine import Sessions, migrate, transaction
from persistence.mirror.keys import PROCESSES
from persistence.mirror.mirror import RuntimeMirror
from persistence.secrets.encryption import generate_key
from tests.integration.config.looked_at import TwoStores
from tests.integration.persistence.database.new_database import new_database
from tests.kit.databases import new_valkey


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command sets up logging for its process, which here is that of all tests."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module")
def stores(postgres_url: str) -> Iterator[TwoStores]:
    """A database and a Valkey of this module's own."""
    with new_database(postgres_url) as url, new_valkey() as server:
        migrate(url)
        yield TwoStores(url, server.connection_url)


@pytest.fixture
def two_stores(stores: TwoStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoStores:
    """The deployment of the settings: every process of it says that it runs, for ten minutes
    without saying it again, and nothing else is there."""
    variables = {"DATABASE_URL": stores.database_url, "REDIS_URL": stores.redis_url, "DATA_DIR": str(tmp_path)}
    variables |= {"BROKERS": "paper", "JWT_SECRET": "a secret of the tests, long enough"}
    for name, value in (variables | {"ENCRYPTION_KEYS": generate_key()}).items():
        monkeypatch.setenv(PREFIX + name, value)
    monkeypatch.chdir(tmp_path)

    async def empty(sessions: Sessions, mirror: RuntimeMirror) -> None:
        async with transaction(sessions) as session:
            await session.execute(text("UPDATE runs SET ended_at = now(), status = 'stopped', position = 'sold'"))
        await mirror._redis.flushall()
        seconds, _ = await mirror._redis.time()
        said = json.dumps({"host": "10.0.0.1", "pid": 77})
        for name in ("feed:0", "execution:0", "execution:1", "ledger:0", "ledger:1", "api:host:77"):
            await mirror._redis.hset(PROCESSES, name, f"{seconds + 600} {said}")

    stores.make(empty)
    return stores
