"""A panic whose process reaches no PostgreSQL, no Redis, or neither, and what it owes them when they are back (row N8).

The process under test has lines of its own to the real stores, which the test cuts; the application beside it has not.
On the real stack, with the stores' processes stopped and killed: tests/chaos/test_panic_without_stores.py.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlmodel import col

from api.base.errors import ApiError
from api.strategies.panic.marks import EntryMarks
from api.strategies.panic.pursuit import PanicPursuit
from api.strategies.panic.service import PanicService
from broker.exchange_time import IST
from persistence.database.engine import Sessions, open_database, sessions_of, transaction
from persistence.database.models.panics import Panic
from persistence.errors import DatabaseUnavailable
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api.strategies.test_panic import (
    NOWHERE_DATABASE,
    NOWHERE_REDIS,
    notices,
    panicked,
    until_finished,
    user_id_of,
)
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]

NO_STORE = "Neither PostgreSQL nor Redis answers"
NO_POSTGRESQL, NO_EXECUTION = "PostgreSQL does not answer", "Not every process that sends orders"


class Line:
    """Leads to a store, or, while it is cut, to one that is not there."""

    def __init__(self, there: object, nowhere: object) -> None:
        self._there, self._nowhere, self.cut = there, nowhere, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._nowhere if self.cut else self._there, name)


@dataclass
class Process:
    """What a process of the API has for panics."""

    service: PanicService
    pursuit: PanicPursuit
    database: Line
    redis: Line

    def cut(self, *, database: bool = True, redis: bool = True) -> None:
        self.database.cut, self.redis.cut = database, redis

    async def panic(self, user_id: int) -> tuple[uuid.UUID, list[str]]:
        taken = await self.service.panic(user_id)
        return taken.panic_id, taken.warnings

    async def round_in_vain(self) -> None:
        with pytest.raises(DatabaseUnavailable):
            await self.pursuit.round()


@pytest.fixture
async def process(
    app: FastAPI, engine: FakeEngine, sessions: Sessions, mirror: RuntimeMirror
) -> AsyncIterator[Process]:
    database, redis = open_database(NOWHERE_DATABASE), RuntimeMirror.connect(NOWHERE_REDIS)
    to_database, to_redis = Line(sessions, sessions_of(database)), Line(mirror, redis)
    reached = cast("Sessions", to_database)
    marks = EntryMarks(reached, cast("RuntimeMirror", to_redis))
    pursuit = PanicPursuit(reached, marks, engine, app.state.resources.schedules.pause_all)
    service = PanicService(reached, marks, engine, pursuit, IST, lambda: datetime.now(UTC))
    yield Process(service, pursuit, to_database, to_redis)
    await redis.close()
    await database.dispose()


async def recently() -> bool:
    return True


async def panics_of(sessions: Sessions, user_id: int) -> list[Panic]:
    async with transaction(sessions) as session:
        mine = select(Panic).where(col(Panic.user_id) == user_id)
        return list((await session.scalars(mine.order_by(col(Panic.asked_at)))).all())


async def test_what_no_store_has_heard_is_told_to_the_engine_in_each_round_and_to_the_stores_when_they_are_back(
    process: Process, trader: ApiUser, engine: FakeEngine, mirror: RuntimeMirror
) -> None:
    strategy_id, user_id = await trader.started(), await user_id_of(trader)
    process.cut()
    panic_id, (warning,) = await process.panic(user_id)
    assert warning.startswith(NO_STORE)
    assert (engine.forbidden, engine.panicked) == ([user_id], [user_id])
    await process.round_in_vain()
    assert (engine.forbidden, engine.panicked) == ([user_id] * 2, [user_id] * 2)
    assert (await trader.call("GET", f"/panic/{panic_id}")).status_code == 404
    process.cut(database=False, redis=False)
    await process.pursuit.round()
    assert user_id in await mirror.users_without_entries()
    refused = await trader.call("POST", "/strategy/start", strategy_id=await trader.strategy())
    assert refused.json()["code"] == "entries_forbidden"
    finished = await until_finished(trader, str(panic_id))
    assert [(o["strategy_id"], o["outcome"]) for o in cast("list[Any]", finished["strategies"])] == [
        (strategy_id, "flat")
    ]
    called, done = await notices(trader)
    assert called.startswith("PANIC: nothing more is bought, 1 strategy is being ended")
    assert done == "PANIC is done. All is flat. Your account holds nothing else."


async def test_pressed_again_without_a_store_it_is_the_same_panic(process: Process, trader: ApiUser) -> None:
    user_id = await user_id_of(trader)
    process.cut()
    first, _ = await process.panic(user_id)
    assert [(await process.panic(user_id))[0] for _ in range(2)] == [first, first]
    process.cut(database=False, redis=False)
    await process.pursuit.round()
    assert await panicked(trader) == str(first)


async def test_what_was_sold_before_postgresql_heard_of_it_is_its_outcome_too(
    process: Process, trader: ApiUser, engine: FakeEngine
) -> None:
    strategy_id, user_id = await trader.started(), await user_id_of(trader)
    process.cut()
    panic_id, _ = await process.panic(user_id)
    await engine.end(engine.running[strategy_id], position="sold", message="Sold")
    await asyncio.sleep(0.01)  # PostgreSQL's clock goes on: by it, the sale is older than the panic's row
    process.cut(database=False, redis=False)
    await process.pursuit.round()
    finished = await until_finished(trader, str(panic_id))
    assert [o["strategy_id"] for o in cast("list[Any]", finished["strategies"])] == [strategy_id]
    assert (await notices(trader))[0].startswith("PANIC: nothing more is bought, 1 strategy is being ended")


async def test_without_postgresql_alone_redis_keeps_it_and_the_trader_is_told_so(
    process: Process, trader: ApiUser, mirror: RuntimeMirror
) -> None:
    user_id = await user_id_of(trader)
    process.cut(redis=False)
    panic_id, (warning,) = await process.panic(user_id)
    assert warning.startswith(NO_POSTGRESQL)
    assert (await mirror.entry_bans())[user_id] == str(panic_id)


async def test_a_process_that_hears_late_that_entries_were_allowed_forbids_them_no_more(
    process: Process, trader: ApiUser, sessions: Sessions, mirror: RuntimeMirror
) -> None:
    user_id = await user_id_of(trader)
    process.cut(redis=False)
    panic_id, _ = await process.panic(user_id)
    await until_finished_when_known(trader, panic_id)  # the application has found the mark in Redis
    assert (await trader.call("POST", "/risk/unlock")).status_code == 200
    process.cut(database=False, redis=False)
    for _ in range(2):
        await process.pursuit.round()
    assert user_id not in await mirror.users_without_entries()
    (panic,) = await panics_of(sessions, user_id)
    assert panic.unlocked_at is not None
    assert process.pursuit.owed(user_id) is None


async def until_finished_when_known(trader: ApiUser, panic_id: uuid.UUID) -> None:
    async with asyncio.timeout(20):
        while (await trader.call("GET", f"/panic/{panic_id}")).status_code == 404:  # noqa: ASYNC110 - asked from outside
            await asyncio.sleep(0.1)
    await until_finished(trader, str(panic_id))


async def test_entries_are_allowed_after_what_is_owed_was_told_and_not_before(
    process: Process, trader: ApiUser, sessions: Sessions, mirror: RuntimeMirror
) -> None:
    user_id = await user_id_of(trader)
    process.cut()
    panic_id, _ = await process.panic(user_id)
    with pytest.raises(DatabaseUnavailable):
        await process.service.unlock(user_id, recently)
    process.cut(database=False, redis=False)
    await process.service.unlock(user_id, recently)
    await process.pursuit.round()
    (panic,) = await panics_of(sessions, user_id)
    assert (panic.id, panic.unlocked_at is None) == (panic_id, False)
    assert user_id not in await mirror.users_without_entries()


async def test_what_nobody_has_heard_is_an_error_and_owed_to_nobody(
    process: Process, trader: ApiUser, engine: FakeEngine, sessions: Sessions
) -> None:
    user_id = await user_id_of(trader)
    process.cut()
    engine.up = False
    with pytest.raises(ApiError) as refused:
        await process.service.panic(user_id)
    assert (refused.value.status, refused.value.code) == (503, "panic_unheard")
    engine.up = True
    process.cut(database=False, redis=False)
    await process.pursuit.round()
    assert await panics_of(sessions, user_id) == []


async def test_strategies_that_hear_it_are_enough_for_it_to_be_a_panic(
    process: Process, trader: ApiUser, engine: FakeEngine
) -> None:
    user_id = await user_id_of(trader)
    process.cut()
    engine.up, engine.reached = False, frozenset({7})
    taken = await process.service.panic(user_id)
    assert taken.stopping == [7]
    assert [warning.startswith(said) for warning, said in zip(taken.warnings, (NO_STORE, NO_EXECUTION), strict=True)]


async def test_the_panic_of_a_user_who_was_deleted_meanwhile_keeps_no_other_from_being_told(
    process: Process, trader: ApiUser, sessions: Sessions
) -> None:
    nobody, user_id = 2**40, await user_id_of(trader)
    process.cut()
    for each in (nobody, user_id):
        await process.panic(each)
    process.cut(database=False, redis=False)
    await process.pursuit.round()
    assert process.pursuit.owed(nobody) is None
    (panic,) = await panics_of(sessions, user_id)
    assert datetime.now(UTC) - panic.asked_at < timedelta(minutes=1)
