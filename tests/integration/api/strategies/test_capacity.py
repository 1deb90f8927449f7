"""Room for all: a START that would take more of the deployment than there is, is refused; what runs goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from api.strategies.start_rate import STARTS_AT_ONCE, STARTS_IN_WORK
from config.settings import Settings
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.engine_load import EngineLoad, Load
from tests.integration.api_user import ApiUser
from tests.integration.apps import at, serving
from tests.integration.rows import new_run
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]


@pytest.fixture
async def taken(sessions: Sessions) -> Load:
    """What runs in the database, which other tests use too; one run more for certain."""
    await new_run(sessions)
    async with transaction(sessions) as session:
        return await EngineLoad(session).count()


async def trader_at(client: httpx.AsyncClient, paper: PaperExchange) -> ApiUser:
    user = await ApiUser.register(client)
    user.paper = paper.control.new_account()
    assert (await user.connect()).status_code == 200
    return user


@asynccontextmanager
async def two_traders(
    settings: Settings, engine: FakeEngine, paper: PaperExchange, **changes: Any
) -> AsyncIterator[tuple[ApiUser, ApiUser]]:
    """Each at a process of its own."""
    async with serving(settings, engine, **changes) as here, serving(settings, engine, **changes) as there:
        yield await trader_at(here, paper), await trader_at(there, paper)


async def start(user: ApiUser, strategy_id: int) -> httpx.Response:
    return await user.call("POST", "/strategy/start", strategy_id=strategy_id)


async def test_a_start_beyond_the_places_is_refused_whichever_user_took_them(
    settings: Settings, engine: FakeEngine, paper: PaperExchange, taken: Load
) -> None:
    limit = taken.running + 1
    async with two_traders(settings, engine, paper, max_running_total=limit, max_running=9) as (first, second):
        running = await first.started()
        refused_id = await second.strategy()
        refused = await start(second, refused_id)
        assert (refused.status_code, refused.json()["code"]) == (503, "engine_full")
        assert str(limit) in refused.json()["detail"]
        assert int(refused.headers["Retry-After"]) > 0
        status = (await second.call("GET", f"/strategy/status/{refused_id}")).json()
        assert status["strategy_status"] == "created"
        assert (await start(first, running)).status_code == 200  # what runs has its place
        assert (await first.call("POST", "/strategy/stop", strategy_id=running)).status_code == 200
        assert (await start(second, refused_id)).status_code == 200


async def test_two_users_who_race_for_the_last_place_cannot_both_have_it(
    settings: Settings, engine: FakeEngine, paper: PaperExchange, taken: Load
) -> None:
    chosen = {"max_running_total": taken.running + 1, "max_running": 9}
    async with two_traders(settings, engine, paper, **chosen) as traders:
        wanted = [(trader, await trader.strategy()) for trader in traders for _ in range(4)]
        answers = await asyncio.gather(*(start(trader, strategy_id) for trader, strategy_id in wanted))
    assert sorted(answer.status_code for answer in answers) == [200] + [503] * 7


async def test_who_starts_and_stops_in_turn_has_to_wait_and_what_runs_is_answered(
    settings: Settings, engine: FakeEngine, trader: ApiUser
) -> None:
    async with serving(settings, engine, starts_per_minute=1, max_running=9, max_running_total=10_000) as client:
        user = at(trader, client)
        running, strategy_id = await user.started(), await user.strategy()
        answers = []
        for _ in range(STARTS_AT_ONCE):
            answers.append(await start(user, strategy_id))
            await user.call("POST", "/strategy/stop", strategy_id=strategy_id)
        assert [answer.status_code for answer in answers] == [200] * (STARTS_AT_ONCE - 1) + [429]
        assert answers[-1].json()["code"] == "rate_limited"
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
        status = (await user.call("GET", f"/strategy/status/{strategy_id}")).json()
        assert status["strategy_status"] == "stopped"
        assert (await start(user, running)).status_code == 200


class SlowEngine(FakeEngine):
    """Takes a while to make a process; counts how many it makes at a time."""

    at_once = most = 0

    async def ensure_running(self, run_id: int, strategy_id: int, label: str = "") -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.2)
        self.at_once -= 1
        await super().ensure_running(run_id, strategy_id, label)


async def test_of_one_user_two_processes_are_made_at_a_time(settings: Settings, trader: ApiUser) -> None:
    engine = SlowEngine()
    async with serving(settings, engine, max_running=50, max_running_total=10_000, api_requests_at_once=0) as client:
        user = at(trader, client)
        wanted = [await user.strategy() for _ in range(6)]
        answers = await asyncio.gather(*(start(user, strategy_id) for strategy_id in wanted))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert engine.most == STARTS_IN_WORK


async def test_a_symbol_beyond_the_limit_is_refused_and_one_that_is_followed_is_not(
    settings: Settings, engine: FakeEngine, paper: PaperExchange, trader: ApiUser, taken: Load, sessions: Sessions
) -> None:
    await trader.started()
    async with transaction(sessions) as session:
        followed = (await EngineLoad(session).count()).symbols
    async with serving(settings, engine, max_symbols=followed, max_running_total=1000, max_running=9) as client:
        user = at(trader, client)
        other = await user.strategy(symbol="HDFCBANK", stop_loss=10.0)
        refused = await start(user, other)
        assert (refused.status_code, refused.json()["code"]) == (503, "engine_full")
        assert (await start(user, await user.strategy())).status_code == 200
    assert taken.symbols <= followed


async def test_runs_beyond_a_lower_limit_are_recovered_and_start_again_idempotently(
    settings: Settings, engine: FakeEngine, trader: ApiUser
) -> None:
    running = [await trader.started() for _ in range(2)]
    async with serving(settings, engine, max_running_total=1, max_running=1) as client:
        user = at(trader, client)
        for strategy_id in running:
            assert (await start(user, strategy_id)).status_code == 200
        report = await engine.recover()
    assert report.failed == 0


async def test_places_are_in_the_metrics(settings: Settings, engine: FakeEngine, taken: Load) -> None:
    async with serving(settings, engine, max_running_total=12345, max_symbols=77) as client:
        lines = (await client.get("/metrics")).text.splitlines()
    assert 'tradeactors_places{of="running",what="limit"} 12345.0' in lines
    assert 'tradeactors_places{of="symbols",what="limit"} 77.0' in lines
    used = next(line for line in lines if line.startswith('tradeactors_places{of="running",what="used"}'))
    assert float(used.split()[-1]) >= taken.running


async def test_the_count_crosses_the_walls_and_nothing_else_does(sessions: Sessions, taken: Load) -> None:
    run = await new_run(sessions)
    async with tenant_transaction(sessions, run.user_id) as session:
        assert await session.scalar(text("SELECT count(*) FROM runs")) == 1
        assert (await EngineLoad(session).count()).running >= taken.running + 1
