"""How much one user may ask of the API at a time, and that STOP is served whatever else is asked."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import select, text
from sqlmodel import col
from starlette.types import Message

from api.bootstrap import MAX_OVERFLOW, POOL_SIZE, Resources
from api.edge.admission import MOST_AT_ONCE
from api.edge.rate_limit import RateLimits
from api.edge.requests_at_once import RequestsAtOnce
from api.edge.work_budget import WorkBudget
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.strategies import Strategy
from tests.integration.api.kept_strategies import keep_strategies
from tests.integration.api_user import ApiUser
from tests.integration.apps import serving
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]

LARGE_LIST = "/strategy/list?limit=200"


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


async def test_a_burst_of_lists_is_weighed_by_its_rows(app: FastAPI, user: ApiUser, sessions: Sessions) -> None:
    # A clock that stands: lists that a busy machine takes seconds for are no burst.
    app.state.work_budget = WorkBudget(RateLimits(600, 0, clock=lambda: 0.0), RequestsAtOnce(0))
    other = await ApiUser.register(user.client)
    await keep_strategies(sessions, user, 200)
    await keep_strategies(sessions, other, 200)
    large = [await user.call("GET", LARGE_LIST) for _ in range(8)]
    small = [await other.call("GET", "/strategy/list?limit=20") for _ in range(8)]
    assert [answer.status_code for answer in large] == [200] * 5 + [429] * 3
    assert {answer.status_code for answer in small} == {200}
    assert large[-1].headers["Retry-After"] == "1"


async def test_a_large_list_with_little_in_it_costs_what_is_in_it(settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine, api_rate_per_minute=600, api_requests_at_once=0) as client:
        user = await ApiUser.register(client)
        answers = [await user.call("GET", LARGE_LIST) for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200}


async def test_a_minutes_requests_do_not_all_come_at_once(settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine, api_rate_per_minute=60) as client:
        user = await ApiUser.register(client)
        answers = Counter([(await user.call("GET", "/broker/status")).status_code for _ in range(40)])
        assert answers[200] >= 5, "five at once, and one more a second"
        assert answers[429] > 5
        stop = await user.call("POST", "/strategy/stop", strategy_id=1)
    assert stop.status_code == 404


async def test_who_goes_on_after_refusals_has_to_wait_for_them(settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine, api_rate_per_minute=1) as client:
        user = await ApiUser.register(client)
        begun = time.perf_counter()
        answers = await asyncio.gather(*(user.call("GET", "/broker/status") for _ in range(60)))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 429: 59}
        assert time.perf_counter() - begun > 1.5


async def test_an_app_that_asks_for_several_things_at_once_gets_them_all(user: ApiUser, sessions: Sessions) -> None:
    await keep_strategies(sessions, user, 60)
    paths = ["/strategy/list?limit=50", "/broker/status", "/strategy/list?limit=50&offset=50"] * 5
    answers = await asyncio.gather(*(user.call("GET", path) for path in paths))
    assert {answer.status_code for answer in answers} == {200}


async def test_clients_that_never_read_their_answers_keep_no_place(app: FastAPI, user: ApiUser) -> None:
    await user.is_in()
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/strategy/list",
        "raw_path": b"/strategy/list",
        "root_path": "",
        "query_string": b"limit=200",
        "headers": [(b"authorization", f"Bearer {user.tokens['access_token']}".encode())],
        "client": ("192.0.2.1", 50_000),
    }

    async def receive() -> Message:
        return {"type": "http.request"}

    async def ask(answered: asyncio.Event) -> None:
        async def send(_message: Message) -> None:
            answered.set()
            await asyncio.Event().wait()

        await app(scope | {"state": {}}, receive, send)

    answered = [asyncio.Event() for _ in range(8)]
    crowd = [asyncio.create_task(ask(event)) for event in answered]
    try:
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in answered)), 5)
        assert (await user.call("GET", LARGE_LIST)).status_code == 200
    finally:
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
