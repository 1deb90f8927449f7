"""One application for all tests of a module, in one loop: each test has a user and a day of its own."""

import secrets
from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

import broker.kite.client  # noqa: F401 - loaded at the first call otherwise, which on a busy machine ends before
from api.app import create_app
from config.settings import load_settings
from persistence.secrets.encryption import generate_key
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

LOOP: Literal["module"] = "module"


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    """An engine that remembers what it was asked."""
    return FakeEngine()


@pytest.fixture(scope="module")
def changes() -> dict[str, Any]:
    """Settings of a module that are others than here."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope=LOOP)
async def app(
    postgres_url: str,
    redis_url: str,
    paper: PaperExchange,
    engine: FakeEngine,
    tmp_path_factory: pytest.TempPathFactory,
    changes: dict[str, Any],
) -> AsyncIterator[FastAPI]:
    """The application, started."""
    settings = load_settings(
        env_file=None,
        database_url=postgres_url,
        redis_url=redis_url,
        paper_root=paper.url,
        jwt_secret=SecretStr("integration tests sign with this secret"),
        encryption_keys=(SecretStr(generate_key()),),
        data_dir=tmp_path_factory.mktemp("data"),
        max_running=200,
        max_running_total=100_000,
        **{"brokers": ("paper",)} | changes,
    )
    app = create_app(settings, engine)
    async with app.router.lifespan_context(app):
        yield app


@pytest_asyncio.fixture(loop_scope=LOOP)
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the application as an app does."""
    address = f"2001:db8:{secrets.randbelow(65536):x}:{secrets.randbelow(65536):x}::1"
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


@pytest_asyncio.fixture(loop_scope=LOOP)
async def user(client: httpx.AsyncClient) -> ApiUser:
    """A registered user without a broker."""
    return await ApiUser.register(client)


@pytest_asyncio.fixture(loop_scope=LOOP)
async def trader(user: ApiUser, paper: PaperExchange) -> ApiUser:
    """A user with a connected broker account."""
    user.paper = paper.control.new_account()
    answer = await user.connect()
    assert answer.status_code == 200, answer.text
    return user
