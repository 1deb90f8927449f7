"""The marks of panics, in the real PostgreSQL and Valkey (row N8)."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

from actors.runtime.clients.entry_bans import stored_bans
from persistence.database.engine import Sessions, tenant_transaction, transaction
from persistence.database.models.panics import Panic, new_panic_id
from persistence.database.repositories.panics import Panics
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.rows import new_run, new_user

pytest_plugins = ["tests.integration.fixtures"]


async def forbidden(sessions: Sessions, user_id: int) -> tuple[Panic, bool]:
    async with tenant_transaction(sessions, user_id) as session:
        return await Panics(session).forbid(user_id, uuid.uuid4())


async def test_twenty_at_once_are_one_panic(sessions: Sessions) -> None:
    user = await new_user(sessions)
    made = await asyncio.gather(*(forbidden(sessions, user.id) for _ in range(8)))
    assert len({panic.id for panic, _ in made}) == 1
    assert sum(new for _, new in made) == 1


async def test_a_panic_after_the_unlock_is_another(sessions: Sessions) -> None:
    user = await new_user(sessions)
    first, _ = await forbidden(sessions, user.id)
    async with tenant_transaction(sessions, user.id) as session:
        assert await Panics(session).unlock(user.id) == first.id
        assert await Panics(session).unlock(user.id) is None
        assert await Panics(session).locking(user.id) is None
    second, new = await forbidden(sessions, user.id)
    assert (second.id != first.id, new) == (True, True)


async def test_a_panic_that_is_told_late_counts_from_its_call_and_is_not_called_again_after_the_unlock(
    sessions: Sessions,
) -> None:
    user, called = await new_user(sessions), datetime.now(UTC) - timedelta(minutes=5)
    panic_id = new_panic_id(called)
    for is_new in (True, False):
        async with tenant_transaction(sessions, user.id) as session:
            panic, new = await Panics(session).put(user.id, panic_id)
        assert panic is not None
        assert (panic.id, new) == (panic_id, is_new)
        assert timedelta(0) <= called - panic.asked_at < timedelta(milliseconds=1)
    async with tenant_transaction(sessions, user.id) as session:
        await Panics(session).unlock(user.id)
        assert await Panics(session).put(user.id, panic_id) == (None, False)
        assert await Panics(session).locking(user.id) is None


async def test_a_clock_that_is_ahead_calls_no_panic_in_the_future(sessions: Sessions) -> None:
    user = await new_user(sessions)
    async with tenant_transaction(sessions, user.id) as session:
        panic, _ = await Panics(session).forbid(user.id, new_panic_id(datetime.now(UTC) + timedelta(hours=1)))
    assert panic.asked_at <= datetime.now(UTC)


async def test_a_panic_is_finished_once_no_run_is_open_and_a_repeated_one_is_unfinished_again(
    sessions: Sessions,
) -> None:
    run = await new_run(sessions)
    panic, _ = await forbidden(sessions, run.user_id)
    async with transaction(sessions) as session:
        assert await Panics(session).open_runs(panic) == [(run.id, run.strategy_id)]
        assert not await Panics(session).finish(panic, None)
        stored = await session.get(type(run), run.id)
        assert stored is not None
        stored.ended_at, stored.status = panic.asked_at, "stopped"
    async with transaction(sessions) as session:
        assert await Panics(session).finish(panic, None)
        assert not await Panics(session).finish(panic, None)
        assert [found.id for found, _ in await Panics(session).runs(panic)] == [run.id]
    again, new = await forbidden(sessions, run.user_id)
    assert (again.id, again.finished_at, new) == (panic.id, None, False)


async def test_a_mark_in_either_store_forbids(sessions: Sessions, mirror: RuntimeMirror) -> None:
    ledger = RunLedger(sessions, mirror)
    in_postgres, in_redis = (await new_user(sessions)).id, (await new_user(sessions)).id
    await forbidden(sessions, in_postgres)
    panic_id = str(uuid.uuid4())
    assert await mirror.forbid_entries(in_redis, panic_id) == panic_id
    assert await mirror.forbid_entries(in_redis, str(uuid.uuid4())) == panic_id
    read = await stored_bans(ledger, mirror)
    assert read.complete
    assert {in_postgres, in_redis} <= read.users
    await mirror.allow_entries(in_redis, str(uuid.uuid4()))
    assert in_redis in (await stored_bans(ledger, mirror)).users, "another panic's unlock takes no mark off"
    await mirror.allow_entries(in_redis, panic_id)
    assert in_redis not in (await stored_bans(ledger, mirror)).users


async def test_redis_that_is_away_leaves_what_postgresql_says(sessions: Sessions, mirror: RuntimeMirror) -> None:
    user = await new_user(sessions)
    await forbidden(sessions, user.id)
    absent = RuntimeMirror.connect("redis://127.0.0.1:1", timeout_s=0.2)
    read = await stored_bans(RunLedger(sessions, mirror), absent)
    assert (user.id in read.users, read.complete) == (True, False)
    await absent.close()
