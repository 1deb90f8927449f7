"""Record keeping by the API: months are made ahead, ended logins and old answers forgotten, an outage ends nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from structlog.testing import capture_logs

from api.operations.record_keeping import keep_records
from persistence.database.engine import Sessions, migrate, open_database, sessions_of, transaction
from persistence.database.partitions import months_ahead, partitions_of
from tests.integration.persistence.database.new_database import new_database
from tests.integration.rows import new_user

LATER = datetime.now(UTC) + timedelta(days=200)
KEPT_FOR = timedelta(days=90)


@asynccontextmanager
async def keeping(sessions: Sessions) -> AsyncIterator[None]:
    task = asyncio.create_task(keep_records(sessions, KEPT_FOR, lambda: LATER, first_s=0.0, every_s=0.02))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_months_to_come_are_there_and_old_logins_are_not(postgres_url: str) -> None:
    with new_database(postgres_url) as url:
        await asyncio.to_thread(migrate, url)
        engine = open_database(url, pool_size=2, statement_timeout_s=5)
        sessions = sessions_of(engine)
        user = await new_user(sessions)
        login = text("INSERT INTO logins (id, user_id, started_at) VALUES (gen_random_uuid(), :user, now())")
        answers = text(
            "INSERT INTO kept_answers (user_id, key_hash, request_hash, status, answer, kept_at) "
            "SELECT :user, sha256(kept::text::bytea), sha256(''), 201, '{}', now() - kept "
            "FROM unnest(ARRAY[interval '23 h', interval '25 h']) AS kept"
        )
        async with transaction(sessions) as session:
            await session.execute(login, {"user": user.id})
            await session.execute(answers, {"user": user.id})
        async with keeping(sessions), asyncio.timeout(30):
            while not await is_done(sessions):  # noqa: ASYNC110 - the database tells of no change
                await asyncio.sleep(0.05)
        await engine.dispose()


async def is_done(sessions: Sessions) -> bool:
    async with transaction(sessions) as session:
        logins = await session.scalar(text("SELECT count(*) FROM logins"))
        answers = await session.scalar(text("SELECT count(*) FROM kept_answers"))
        months = [{part.first for part in await partitions_of(session, log)} for log in ("order_logs", "audit_log")]
    return logins == 0 and answers == 1 and all(set(months_ahead(LATER)) <= there for there in months)


async def test_without_a_database_it_goes_on_and_says_so() -> None:
    engine = open_database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with capture_logs() as logs:
        async with keeping(sessions_of(engine)), asyncio.timeout(30):
            while len(logs) < 3:  # noqa: ASYNC110 - nor does a list
                await asyncio.sleep(0.02)
    await engine.dispose()
    assert {line["event"] for line in logs} == {"records_not_kept"}
