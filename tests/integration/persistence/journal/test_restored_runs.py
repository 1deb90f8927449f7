"""The mark that a restore leaves on runs, and what it does to processes of before the restore."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from actors.domain.session import LateExit
from actors.domain.strategy.snapshot import load_state
from actors.domain.strategy.spec import Restored
from actors.runtime.clients.journal_mapping import loaded_run
from persistence.database.engine import Sessions, migrate, open_database, sessions_of, transaction
from persistence.errors import StaleEpoch
from persistence.journal.ledger import RunLedger
from persistence.journal.restored_runs import mark_restored_runs
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.persistence.database.new_database import new_database
from tests.integration.persistence.journal.test_reopening import an_update, guarding_again
from tests.integration.rows import new_run

pytest_plugins = ["tests.integration.fixtures"]

BACKED_UP_AT = datetime(2026, 11, 27, 5, 0, tzinfo=UTC)
RESTORED_AT = BACKED_UP_AT + timedelta(hours=2)
PROVABLE_UNTIL = date(2026, 11, 27)


@dataclass
class RestoredDatabase:
    """A database of the test's own, as `pg_restore` leaves it."""

    url: str
    sessions: Sessions
    ledger: RunLedger

    async def mark(self, *, restored_at: datetime = RESTORED_AT) -> int:
        return await asyncio.to_thread(
            mark_restored_runs,
            self.url,
            backed_up_at=BACKED_UP_AT,
            restored_at=restored_at,
            provable_until=lambda _: PROVABLE_UNTIL,
        )

    async def row(self, run_id: int) -> Mapping[str, Any]:
        async with transaction(self.sessions) as session:
            found = await session.execute(text("SELECT * FROM runs WHERE id = :id"), {"id": run_id})
            return dict(found.mappings().one())


@pytest.fixture
async def database(postgres_url: str, mirror: RuntimeMirror) -> AsyncIterator[RestoredDatabase]:
    with new_database(postgres_url) as url:
        await asyncio.to_thread(migrate, url)
        engine = open_database(url, pool_size=3)
        sessions = sessions_of(engine)
        yield RestoredDatabase(url, sessions, RunLedger(sessions, mirror))
        await engine.dispose()


async def test_schedules_know_that_they_were_restored_and_are_looked_at_again(database: RestoredDatabase) -> None:
    run = await new_run(database.sessions)
    at = {"user": run.user_id, "strategy": run.strategy_id, "at": BACKED_UP_AT}
    async with transaction(database.sessions) as session:
        await session.execute(
            text(
                "INSERT INTO schedules (strategy_id, user_id, days, special_sessions, from_date, active_since, "
                "looked_at, next_look_at) VALUES (:strategy, :user, 127, false, current_date, :at, :at, :at)"
            ),
            at,
        )
    await database.mark()
    async with transaction(database.sessions) as session:
        row = (await session.execute(text("SELECT restored_at, next_look_at, active_since FROM schedules"))).one()
    assert tuple(row) == (RESTORED_AT, RESTORED_AT, BACKED_UP_AT)


async def test_a_backup_of_a_version_without_schedules_is_marked(database: RestoredDatabase) -> None:
    await new_run(database.sessions)
    async with transaction(database.sessions) as session:
        await session.execute(text("DROP TABLE schedule_days, schedules"))
    assert await database.mark() == 1


async def test_every_open_run_carries_the_mark_to_its_next_actor(database: RestoredDatabase) -> None:
    run = await new_run(database.sessions)
    assert await database.mark() == 1
    record = await database.ledger.load_run(run.id)
    loaded = loaded_run(record, ZoneInfo("Asia/Kolkata"), LateExit.SELL, timedelta(seconds=5))
    state = load_state(loaded.run, loaded.snapshot)
    assert state.restored == Restored(BACKED_UP_AT, PROVABLE_UNTIL)


async def test_what_an_open_run_knew_stays(database: RestoredDatabase) -> None:
    run = await new_run(database.sessions)
    await database.ledger.load_run(run.id)
    await database.ledger.record(guarding_again(run))
    await database.mark()
    row = await database.row(run.id)
    assert row["state"]["phase"] == "guarding"
    assert row["state"]["restored"]["provable_until"] == "2026-11-27"


async def test_an_actor_of_before_the_restore_can_neither_record_nor_claim(database: RestoredDatabase) -> None:
    run = await new_run(database.sessions)
    earlier = await database.ledger.load_run(run.id)
    await database.mark()
    later = await database.ledger.load_run(run.id)
    assert later.epoch > earlier.epoch + 1_000_000  # whatever number of restarts the other stack makes
    assert not await database.ledger.claim_intent(run.id, "ENTRY", 1, earlier.epoch)
    with pytest.raises(StaleEpoch):
        await database.ledger.record(guarding_again(run, earlier.epoch))
    assert await database.ledger.claim_intent(run.id, "ENTRY", 1, later.epoch)


async def test_a_second_restore_is_above_the_first(database: RestoredDatabase) -> None:
    run = await new_run(database.sessions)
    await database.mark()
    first = (await database.row(run.id))["epoch"]
    await database.mark(restored_at=RESTORED_AT - timedelta(days=1))  # by a clock that was set back
    assert (await database.row(run.id))["epoch"] > first


async def test_what_has_ended_is_not_touched(database: RestoredDatabase) -> None:
    run = await new_run(database.sessions)
    await database.ledger.load_run(run.id)
    await database.ledger.record(an_update(run))
    before = await database.row(run.id)
    assert await database.mark() == 0
    assert await database.row(run.id) == before


async def test_the_audit_log_says_that_this_database_was_restored(database: RestoredDatabase) -> None:
    await database.mark()
    async with transaction(database.sessions) as session:
        subject = await session.scalar(text("SELECT subject FROM audit_log WHERE action = 'restored_from_backup'"))
    assert subject == BACKED_UP_AT.isoformat()


async def test_the_statement_for_operators_with_a_database_of_their_own_marks_as_a_restore_does(
    database: RestoredDatabase,
) -> None:
    run = await new_run(database.sessions)
    page = (Path(__file__).parents[4] / "docs" / "operations.md").read_text(encoding="utf-8")
    statement = re.search(r"UPDATE runs SET epoch = .*?;", page, re.DOTALL)
    assert statement is not None
    async with transaction(database.sessions) as session:
        connection = await session.connection()
        await connection.exec_driver_sql(re.sub(r"<(.*?)>", r"\1", statement[0]))
    record = await database.ledger.load_run(run.id)
    loaded = loaded_run(record, ZoneInfo("Asia/Kolkata"), LateExit.SELL, timedelta(seconds=5))
    at = datetime.fromisoformat("2026-11-27T18:00:00+05:30")
    assert load_state(loaded.run, loaded.snapshot).restored == Restored(at, date(2026, 11, 30))
    assert loaded.epoch > datetime(2026, 1, 1, tzinfo=UTC).timestamp()
