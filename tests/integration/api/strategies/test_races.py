"""Calls that come at the same time, from one process of the API and from two: one run, one order of things."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col

from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Intent, Run
from persistence.database.models.strategies import Strategy
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import Fields, RuntimeMirror
from tests.integration.api_user import ApiUser, served
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.mirrored import running_of, runtime_of, strategy_of

pytest_plugins = ["tests.integration.fixtures"]


@pytest.fixture
async def twin(trader: ApiUser, settings: Settings, engine: FakeEngine) -> AsyncIterator[ApiUser]:
    """The trader, at a second process of the API."""
    async with serving(settings, engine) as client:
        yield at(trader, client)


async def at_once(*calls: Awaitable[httpx.Response]) -> list[httpx.Response]:
    return list(await asyncio.gather(*calls))


async def runs_of(sessions: Sessions, strategy_id: int) -> list[Run]:
    async with transaction(sessions) as session:
        runs = await session.scalars(select(Run).where(col(Run.strategy_id) == strategy_id).order_by(col(Run.id)))
        return list(runs)


async def stored(sessions: Sessions, strategy_id: int) -> Strategy:
    async with transaction(sessions) as session:
        strategy = await session.get(Strategy, strategy_id)
    assert strategy is not None
    return strategy


async def test_a_hundred_starts_are_one_run_one_intent_and_one_answer(
    trader: ApiUser, twin: ApiUser, sessions: Sessions, engine: FakeEngine
) -> None:
    strategy_id = await trader.strategy()
    starts = [partial(user.call, "POST", "/strategy/start", strategy_id=strategy_id) for user in (trader, twin)]
    answers = await at_once(*(served(start) for _ in range(50) for start in starts))
    assert Counter((answer.status_code, answer.json().get("code")) for answer in answers) == {(200, None): 100}
    assert len({answer.text for answer in answers}) == 1
    (run,) = await runs_of(sessions, strategy_id)
    async with transaction(sessions) as session:
        intents = (await session.scalars(select(Intent).where(col(Intent.run_id) == run.id))).all()
    assert len(intents) == 1
    assert set(engine.ensured) == {(run.id, strategy_id)}


async def test_a_hundred_stops_are_one_end_and_one_answer(
    trader: ApiUser, twin: ApiUser, sessions: Sessions, engine: FakeEngine, mirror: RuntimeMirror
) -> None:
    strategy_id = await trader.started()
    answers = await at_once(
        *(user.call("POST", "/strategy/stop", strategy_id=strategy_id) for _ in range(50) for user in (trader, twin))
    )
    assert Counter((answer.status_code, answer.json().get("code")) for answer in answers) == {(200, None): 100}
    assert len({answer.text for answer in answers}) == 1
    (run,) = await runs_of(sessions, strategy_id)
    assert run.ended_at is not None
    assert len(engine.stop_timeouts) <= 2  # one for each process
    assert await runtime_of(mirror, strategy_id) == {}


async def test_starts_racing_stops_leave_database_redis_and_engine_of_one_mind(
    trader: ApiUser, twin: ApiUser, sessions: Sessions, mirror: RuntimeMirror
) -> None:
    strategy_id = await trader.strategy()
    answers = await at_once(
        *(
            user.call("POST", f"/strategy/{verb}", strategy_id=strategy_id)
            for _ in range(15)
            for user in (trader, twin)
            for verb in ("start", "stop")
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    runs = await runs_of(sessions, strategy_id)
    assert sum(run.ended_at is None for run in runs) <= 1
    running = runs[-1].ended_at is None
    assert (await stored(sessions, strategy_id)).status == ("running" if running else "stopped")
    assert (strategy_id in await running_of(mirror, "INFY")) is running
    status = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert status["strategy_status"] == ("running" if running else "stopped")


class StoppedInBetween(RuntimeMirror):
    """Lets something happen between the commit of a START and its keys."""

    happening: Callable[[], Awaitable[object]]

    async def put_run(self, strategy_id: int, symbol: str, strategy: Fields, runtime: Fields) -> None:
        await self.happening()
        await super().put_run(strategy_id, symbol, strategy, runtime)


async def test_a_stop_between_commit_and_mirror_of_a_start_leaves_no_keys(
    trader: ApiUser, app: FastAPI, mirror: RuntimeMirror, engine: FakeEngine
) -> None:
    strategy_id = await trader.strategy()
    late = StoppedInBetween(mirror._redis)
    late.happening = lambda: trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    app.state.resources.lifecycle._mirror = late
    assert (await trader.call("POST", "/strategy/start", strategy_id=strategy_id)).status_code == 200
    assert await runtime_of(mirror, strategy_id) == {}
    assert await strategy_of(mirror, strategy_id) == {}
    assert strategy_id not in await running_of(mirror, "INFY")
    status = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert (status["strategy_status"], status["message"]) == ("stopped", "Stopped")


class HeldEngine(FakeEngine):
    """Moves the stop at once, and answers the first to ask only when the test sets `go_on`."""

    def hold(self) -> None:
        self.first_moved, self.go_on = asyncio.Event(), asyncio.Event()

    async def move_stop(self, strategy_id: int, stop_loss_paise: int, stop_share: int | None = None) -> bool | None:
        confirmed = await super().move_stop(strategy_id, stop_loss_paise, stop_share)
        if not self.first_moved.is_set():
            self.first_moved.set()
            await self.go_on.wait()
        return confirmed


@pytest.fixture
async def engine(sessions: Sessions, mirror: RuntimeMirror) -> FakeEngine:
    held = HeldEngine(RunLedger(sessions, mirror))
    held.hold()
    held.go_on.set()
    return held


async def test_of_two_racing_moves_of_the_stop_the_one_that_the_engine_took_last_is_stored(
    trader: ApiUser, twin: ApiUser, engine: HeldEngine, sessions: Sessions, mirror: RuntimeMirror
) -> None:
    strategy_id = await trader.started()
    engine.hold()
    first = asyncio.create_task(trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1480.0))
    await engine.first_moved.wait()
    second = await twin.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1470.0)
    engine.go_on.set()
    assert ((await first).status_code, second.status_code) == (200, 200)
    assert [stop for _, stop in engine.moved] == [148_000, 147_000]
    (run,) = await runs_of(sessions, strategy_id)
    assert (run.stop_loss_paise, (await stored(sessions, strategy_id)).stop_loss_paise) == (147_000, 147_000)
    assert (await strategy_of(mirror, strategy_id))["stop_loss"] == "1470.00"
    assert (await trader.call("GET", f"/strategy/{strategy_id}")).json()["stop_loss"] == 1470.0


async def test_many_moves_of_the_stop_end_with_engine_and_row_alike(
    trader: ApiUser, twin: ApiUser, engine: FakeEngine, sessions: Sessions
) -> None:
    strategy_id = await trader.started()
    answers = await at_once(
        *(
            user.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1400.0 + n)
            for n, user in enumerate([trader, twin] * 10)
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(engine.moved) == 20
    assert (await stored(sessions, strategy_id)).stop_loss_paise == engine.moved[-1][1]


async def test_a_move_that_meets_the_end_of_the_run_is_kept_for_the_next(
    trader: ApiUser, engine: HeldEngine, sessions: Sessions
) -> None:
    strategy_id = await trader.started()
    engine.hold()
    move = asyncio.create_task(trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1480.0))
    await engine.first_moved.wait()
    await trader.call("POST", "/strategy/stop", strategy_id=strategy_id)
    engine.go_on.set()
    assert (await move).json()["stop_loss"] == 1480.0
    assert (await trader.call("POST", "/strategy/start", strategy_id=strategy_id)).status_code == 200
    assert (await runs_of(sessions, strategy_id))[-1].stop_loss_paise == 148_000


async def test_a_move_that_meets_another_run_moves_that_one(
    trader: ApiUser, engine: HeldEngine, sessions: Sessions
) -> None:
    strategy_id = await trader.started()
    engine.hold()
    move = asyncio.create_task(trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1480.0))
    await engine.first_moved.wait()
    for verb in ("stop", "start"):
        assert (await trader.call("POST", f"/strategy/{verb}", strategy_id=strategy_id)).status_code == 200
    back = await trader.call("PATCH", f"/strategy/{strategy_id}", stop_loss=1490.0)
    assert back.json()["stop_loss"] == 1490.0
    engine.go_on.set()
    assert (await move).json()["stop_loss"] == 1480.0
    assert (await runs_of(sessions, strategy_id))[-1].stop_loss_paise == 148_000
    assert (await stored(sessions, strategy_id)).stop_loss_paise == 148_000


async def test_changes_that_are_each_in_order_but_not_together_are_not_both_stored(
    trader: ApiUser, twin: ApiUser, sessions: Sessions
) -> None:
    strategy_id = await trader.strategy()
    answers = await at_once(
        trader.call("PATCH", f"/strategy/{strategy_id}", buy_time="14:00"),
        twin.call("PATCH", f"/strategy/{strategy_id}", sell_time="13:00"),
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 422: 1}
    strategy = await stored(sessions, strategy_id)
    assert strategy.buy_time < strategy.sell_time


async def test_the_cap_on_strategies_holds_however_many_are_created_at_once(
    trader: ApiUser, settings: Settings, engine: FakeEngine
) -> None:
    async with (
        serving(settings, engine, max_strategies=5) as here,
        serving(settings, engine, max_strategies=5) as there,
    ):
        users = (at(trader, here), at(trader, there))
        answers = await at_once(*(user.create() for _ in range(10) for user in users))
    assert Counter(answer.status_code for answer in answers) == {201: 5, 409: 15}
    assert (await trader.call("GET", "/strategy/list")).json()["total"] == 5


async def test_the_cap_on_running_strategies_holds_however_many_are_started_at_once(
    trader: ApiUser, settings: Settings, engine: FakeEngine
) -> None:
    ids = [await trader.strategy() for _ in range(10)]
    async with serving(settings, engine, max_running=3) as here, serving(settings, engine, max_running=3) as there:
        users = (at(trader, here), at(trader, there))
        answers = await at_once(
            *(user.call("POST", "/strategy/start", strategy_id=id_) for id_ in ids for user in users)
        )
    assert Counter(answer.status_code for answer in answers) == {200: 6, 409: 14}
    running = (await trader.call("GET", "/strategy/list?status=running")).json()
    assert running["total"] == 3


async def test_a_broker_account_that_is_replaced_at_once_never_breaks_a_start(
    trader: ApiUser, sessions: Sessions
) -> None:
    ids = [await trader.strategy() for _ in range(5)]
    calls = [trader.call("POST", "/strategy/start", strategy_id=strategy_id) for strategy_id in ids]
    answers = await at_once(*calls, *(trader.call("DELETE", "/broker") for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {200, 204, 409}
    connected = (await trader.call("GET", "/broker/status")).json()["broker_connected"]
    for strategy_id in ids:
        assert connected or all(run.ended_at for run in await runs_of(sessions, strategy_id))
