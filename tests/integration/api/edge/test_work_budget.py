"""One user who asks for as much as the limits allow, and another who presses STOP: in a real server process."""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import time as time_of_day
from multiprocessing.synchronize import Event

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import insert, select, text
from sqlmodel import col

from api.bootstrap import MAX_OVERFLOW, POOL_SIZE, Resources
from api.edge.admission import MOST_AT_ONCE
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.strategies import Strategy
from persistence.database.models.users import User
from tests.integration.api_user import ApiUser
from tests.integration.apps import serving
from tests.integration.served import settings_of
from tests.integration.served_apart import served_apart
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]

KEPT = 200
WATCHED_S = 6.0
QUICK_S = 0.2
FLOOD = "/strategy/list?limit=200"


@pytest.fixture(scope="module")
def real_server(postgres_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the application in a process of its own; no broker is asked."""
    folder = tmp_path_factory.mktemp("api")
    with served_apart(settings_of(postgres_url, redis_url, "http://127.0.0.1:9", folder)) as url:
        yield url


@pytest.fixture
async def web(real_server: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks HTTP to it."""
    async with httpx.AsyncClient(base_url=real_server, trust_env=False, timeout=60) as client:
        yield client


async def keep_strategies(sessions: Sessions, user: ApiUser, count: int) -> list[int]:
    """The ids of so many strategies that the user keeps."""
    async with transaction(sessions) as session:
        user_id = await session.scalar(select(col(User.id)).where(col(User.email) == user.email))
        row = {
            "user_id": user_id,
            "exchange": "NSE",
            "tradingsymbol": "INFY",
            "instrument_token": 408065,
            "product": "MIS",
            "buy_time": time_of_day(9, 30),
            "sell_time": time_of_day(15, 10),
            "stop_loss_paise": 149_050,
            "quantity": 10,
        }
        stored = await session.scalars(insert(Strategy).returning(col(Strategy.id)), [row] * count)
        return list(stored)


async def _ask_on(client: httpx.AsyncClient, ended: Event, answers: Counter[int]) -> None:
    while not ended.is_set():
        answers[(await client.get(FLOOD)).status_code] += 1


async def _ask_over(url: str, token: str, connections: int, begun: Event, ended: Event) -> None:
    headers, answers = {"Authorization": f"Bearer {token}"}, Counter[int]()
    async with AsyncExitStack() as stack:
        clients = [httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) for _ in range(connections)]
        for client in clients:
            client.timeout = httpx.Timeout(60)
            await stack.enter_async_context(client)
        begun.set()
        await asyncio.gather(*(_ask_on(client, ended, answers) for client in clients))
    assert set(answers) <= {200, 429}, answers
    assert answers[200], "the flood was served as far as the limits allow"


def _flood(url: str, token: str, connections: int, begun: Event, ended: Event) -> None:
    asyncio.run(_ask_over(url, token, connections, begun, ended))


@contextmanager
def flood(url: str, user: ApiUser, connections: int) -> Iterator[None]:
    """A user in another process asks for lists over so many connections, each as soon as it has its answer."""
    context = multiprocessing.get_context("spawn")
    begun, ended = context.Event(), context.Event()
    arguments = (url, user.tokens["access_token"], connections, begun, ended)
    process = context.Process(target=_flood, args=arguments, daemon=True)
    process.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        ended.set()
        process.join(60)
    assert process.exitcode == 0


@pytest.mark.parametrize("connections", [4, 32])
async def test_one_user_at_the_limit_does_not_delay_anothers_stop(
    web: httpx.AsyncClient, real_server: str, sessions: Sessions, connections: int
) -> None:
    greedy, trader = await ApiUser.register(web), await ApiUser.register(web)
    await keep_strategies(sessions, greedy, KEPT)
    (strategy_id,) = await keep_strategies(sessions, trader, 1)
    took_s = []
    with flood(real_server, greedy, connections):
        until = time.monotonic() + WATCHED_S
        while time.monotonic() < until:
            begun = time.perf_counter()
            answer = await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
            took_s.append(time.perf_counter() - begun)
            assert answer.status_code == 200
            await asyncio.sleep(0.02)
    took_s.sort()
    p50, p99 = took_s[len(took_s) // 2], took_s[int(len(took_s) * 0.99)]
    assert p99 < QUICK_S, f"{len(took_s)} STOPs, p50 {p50:.3f} s, p99 {p99:.3f} s"


@asynccontextmanager
async def every_connection_taken(sessions: Sessions) -> AsyncIterator[None]:
    """As many transactions as the application may have, all of them in the middle of something."""
    async with AsyncExitStack() as stack:
        for _ in range(POOL_SIZE + MAX_OVERFLOW):
            session = await stack.enter_async_context(transaction(sessions))
            await session.execute(text("SELECT 1"))
        yield


async def test_a_stop_is_served_while_others_use_up_the_connections_to_the_database(
    app: FastAPI, user: ApiUser, sessions: Sessions
) -> None:
    opened: Resources = app.state.resources
    (strategy_id,) = await keep_strategies(sessions, user, 1)
    async with every_connection_taken(opened.sessions):
        poll = asyncio.create_task(user.call("GET", "/strategy/list"))
        begun = time.perf_counter()
        answer = await user.call("POST", "/strategy/stop", strategy_id=strategy_id)
        assert (answer.status_code, time.perf_counter() - begun < 1.0) == (200, True)
        assert not poll.done()
    assert (await poll).status_code == 200


async def test_one_user_cannot_use_up_the_connections_to_the_database(user: ApiUser, sessions: Sessions) -> None:
    other = await ApiUser.register(user.client)
    (strategy_id,) = await keep_strategies(sessions, user, 1)
    async with transaction(sessions) as session:
        await session.scalar(select(Strategy).where(col(Strategy.id) == strategy_id).with_for_update())
        crowd = [asyncio.create_task(user.call("DELETE", f"/strategy/{strategy_id}")) for _ in range(60)]
        await asyncio.sleep(0.5)
        begun = time.perf_counter()
        assert (await other.call("GET", "/strategy/list")).status_code == 200
        assert time.perf_counter() - begun < 1.0
        assert not any(task.done() for task in crowd), "they wait for the row, or in line"
    answers = await asyncio.gather(*crowd)
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 59


async def test_a_stop_is_served_when_the_process_has_all_the_connections_it_may_have(
    app: FastAPI, user: ApiUser, sessions: Sessions
) -> None:
    (strategy_id,) = await keep_strategies(sessions, user, 1)
    app.state.connections = range(MOST_AT_ONCE)
    poll = await user.call("GET", "/strategy/list")
    assert (poll.status_code, poll.json()["code"], poll.headers["Retry-After"]) == (503, "overloaded", "1")
    assert poll.headers["X-Request-ID"]
    assert (await user.call("POST", "/strategy/stop", strategy_id=strategy_id)).status_code == 200
    forged = await user.client.post("/strategy/stop", headers={"Authorization": "Bearer x"}, json={"strategy_id": 1})
    assert forged.status_code == 503


async def test_a_burst_of_lists_is_weighed_by_its_rows(settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine, api_rate_per_minute=600, api_requests_at_once=0) as client:
        user, other = await ApiUser.register(client), await ApiUser.register(client)
        large = [await user.call("GET", FLOOD) for _ in range(8)]
        small = [await other.call("GET", "/strategy/list?limit=20") for _ in range(8)]
    assert [answer.status_code for answer in large][:5] == [200] * 5
    assert {answer.status_code for answer in large[6:]} == {429}
    assert {answer.status_code for answer in small} == {200}
    assert int(large[-1].headers["Retry-After"]) in {1, 2}


async def test_a_minutes_requests_do_not_all_come_at_once(settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine, api_rate_per_minute=1200) as client:
        user = await ApiUser.register(client)
        answers = Counter([(await user.call("GET", "/broker/status")).status_code for _ in range(140)])
        assert answers[429] > 5, "100 at once, and 20 more a second"
        stop = await user.call("POST", "/strategy/stop", strategy_id=1)
    assert stop.status_code == 404


async def test_who_goes_on_after_refusals_has_to_wait_for_them(settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine, api_rate_per_minute=1) as client:
        user = await ApiUser.register(client)
        begun = time.perf_counter()
        answers = await asyncio.gather(*(user.call("GET", "/broker/status") for _ in range(60)))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 429: 59}
        assert time.perf_counter() - begun > 1.5
