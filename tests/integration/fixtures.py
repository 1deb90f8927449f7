"""The application and its parts on the real PostgreSQL, Valkey and paper exchange.

A plugin that the test modules name, so that tests of other parts do not import the API.
"""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.app import create_app
from config.settings import Settings, load_settings
from persistence.database.engine import Sessions
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from persistence.secrets.encryption import generate_key
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange


@pytest.fixture(scope="session")
def paper() -> Iterator[PaperExchange]:
    """A paper exchange in a process of its own."""
    with PaperExchange(default_source="hold") as exchange:
        yield exchange


@pytest.fixture
async def engine(sessions: Sessions, mirror: RuntimeMirror) -> FakeEngine:
    """An engine that remembers what it was asked."""
    return FakeEngine(RunLedger(sessions, mirror))


@pytest.fixture
def settings(postgres_url: str, redis_url: str, paper: PaperExchange, tmp_path: Path) -> Settings:
    """Settings of an API on the real database, Redis and paper exchange."""
    return load_settings(
        env_file=None,
        database_url=postgres_url,
        redis_url=redis_url,
        paper_root=paper.url,
        brokers=("paper",),
        jwt_secret=SecretStr("integration tests sign with this secret"),
        encryption_keys=(SecretStr(generate_key()),),
        data_dir=tmp_path,
        max_running=200,
        max_running_total=100_000,  # tests share the database, and leave their runs behind
    )


@pytest.fixture
async def app(settings: Settings, engine: FakeEngine) -> AsyncIterator[FastAPI]:
    """The application, started."""
    app = create_app(settings, engine)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the application as an app does; faults of the server come as answers."""
    # Each client has an address of its own, so that tests do not throttle each other.
    address = f"2001:db8:{secrets.randbelow(65536):x}:{secrets.randbelow(65536):x}::1"
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


@pytest.fixture
async def user(client: httpx.AsyncClient) -> ApiUser:
    """A registered user without a broker."""
    return await ApiUser.register(client)


@pytest.fixture
async def trader(user: ApiUser, paper: PaperExchange) -> ApiUser:
    """A user with a connected broker account."""
    user.paper = paper.control.new_account()
    answer = await user.connect()
    assert answer.status_code == 200, answer.text
    return user
