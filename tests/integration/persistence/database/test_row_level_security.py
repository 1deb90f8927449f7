"""The second wall of row K1: raw SQL of one tenant's transaction, against every table, without naming a user."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession

from persistence.database.engine import (
    TENANT_ROLE,
    Sessions,
    migrate,
    open_database,
    sessions_of,
    tenant_transaction,
    transaction,
)
from persistence.database.models.runs import Run
from persistence.errors import ConstraintViolated, SchemaRefused
from tests.integration.rows import new_run

pytest_plugins = ["tests.integration.fixtures"]

OF_NO_TENANT = {"alembic_version", "invitations", "operator_faults", "telegram_pollers", "telegram_updates"}
TENANT_TABLES = (
    "users", "logins", "refresh_tokens", "broker_accounts", "strategies", "runs", "intents", "order_logs", "audit_log",
    "kept_answers", "broker_login_codes", "panics", "notifications", "notification_preferences",
    "notification_channels",
    "notification_deliveries", "telegram_codes", "telegram_confirmations", "schedules", "schedule_days", "readiness",
)  # fmt: skip
OWN = {"users": "id = :me", "intents": "run_id IN (SELECT id FROM runs WHERE user_id = :me)"}
"""How the rows of a user are found, where it is not by `user_id`."""

WRITABLE = {
    "users": "email = 'taken@over.example', disconnected_account = '', reset_code_hash = NULL, "
    "reset_code_expires_at = NULL",
    "logins": "ended_at = now(), last_used_at = now(), last_address = '', confirmed_at = now()",
    "refresh_tokens": "used_at = now()",
    "broker_accounts": "secrets_box = ''",
    "broker_login_codes": "taken_at = now(), outcome = 'connected'",
    "strategies": "quantity = 1",
    "runs": "state = '{}'",
    "kept_answers": "answer = ''",
    "panics": "finished_at = now(), unlocked_at = now(), not_touched = '{}'",
    "notifications": "read_at = now(), handed_over_at = now()",
    "notification_channels": "last_failure = ''",
    "notification_preferences": "amounts = true",
    "telegram_codes": "expires_at = now()",
    "telegram_confirmations": "used_by = 1",
    "schedules": "days = 1",
    "schedule_days": "code = 'test'",
    "readiness": "body = '{}', told = '{}'",
}
DELETABLE = (
    "refresh_tokens", "broker_accounts", "broker_login_codes", "strategies", "kept_answers", "notifications",
    "notification_preferences", "notification_channels", "notification_deliveries", "readiness",
    "schedules", "telegram_codes", "telegram_confirmations",
)  # fmt: skip
NEW_ROWS = {
    "logins": "(id, user_id, started_at) VALUES (gen_random_uuid(), :user, now())",
    "refresh_tokens": "(user_id, login_id, token_hash, issued_at, expires_at) "
    "VALUES (:user, (SELECT gen_random_uuid()), sha256(random()::text::bytea), now(), now() + interval '1 day')",
    "broker_accounts": "(user_id, broker, broker_user_id, api_key_hint, secrets_box, key_version, token_obtained_at) "
    "VALUES (:user, 'paper', 'AB1', '', '', '', now())",
    "broker_login_codes": "(user_id, broker_account_id, kind, code_hash, created_at, expires_at) "
    "VALUES (:user, :account, 'state', sha256(random()::text::bytea), now(), now() + interval '1 hour')",
    "strategies": "(user_id, exchange, tradingsymbol, instrument_token, product, buy_time, sell_time, stop_loss_paise, "
    "quantity) VALUES (:user, 'NSE', 'INFY', 1, 'MIS', '09:30', '15:10', 100, 1)",
    "runs": "(user_id, strategy_id, broker_account_id, tag_key, buy_at, sell_at, stop_loss_paise, quantity, product) "
    "VALUES (:user, :strategy, :account, '0123456789abcdef', now(), now() + interval '1 h', 100, 1, 'MIS')",
    "intents": "(run_id, leg, seq, side, quantity, tag) "
    "VALUES (:run, 'EXIT', 9, 'SELL', 1, substr(md5(random()::text), 1, 20))",
    "audit_log": "(user_id, action) VALUES (:user, 'test')",
    "kept_answers": "(user_id, key_hash, request_hash, status, answer) "
    "VALUES (:user, sha256(random()::text::bytea), sha256(''), 201, '{}')",
    "panics": "(id, user_id, unlocked_at) VALUES (gen_random_uuid(), :user, now())",
    "notifications": "(user_id, key, kind, text, brief, at) VALUES (:user, random()::text, 'x', 'x', 'x', now())",
    "notification_preferences": "(user_id, amounts) VALUES (:user, false)",
    "notification_channels": "(user_id, kind, hint, address_box, key_version, address_hash, state) "
    "VALUES (:user, 'email', 'x', '', 'x', sha256(random()::text::bytea), 'unverified')",
    "notification_deliveries": "(user_id, notification_id, channel_id, silent, due_at) VALUES (:user, "
    "(SELECT max(id) FROM notifications), (SELECT max(id) FROM notification_channels), false, now())",
    "telegram_codes": "(user_id, code_hash, expires_at) VALUES (:user, sha256(random()::text::bytea), now())",
    "telegram_confirmations": "(user_id, channel_id, word_hash, expires_at) "
    "VALUES (:user, (SELECT max(id) FROM notification_channels), sha256(''), now())",
    "schedules": "(strategy_id, user_id, days, special_sessions, from_date, active_since, looked_at, next_look_at) "
    "VALUES (:strategy, :user, 127, false, current_date, now(), now(), now())",
    "schedule_days": "(strategy_id, user_id, session_date) VALUES (:strategy, :user, current_date)",
    "readiness": "(user_id) VALUES (:user)",
}


@pytest.fixture
async def mine(sessions: Sessions) -> Run:
    """A tenant with a row in every table."""
    return await tenant_with_everything(sessions)


@pytest.fixture
async def theirs(sessions: Sessions) -> Run:
    """Another one."""
    return await tenant_with_everything(sessions)


async def tenant_with_everything(sessions: Sessions) -> Run:
    run = await new_run(sessions)
    values = {
        "user": run.user_id, "strategy": run.strategy_id, "run": run.id, "account": run.broker_account_id,
        "hash": secrets.token_bytes(32),
    }  # fmt: skip
    async with transaction(sessions) as session:
        for statement in (
            (
                "WITH made AS (INSERT INTO logins (id, user_id, started_at) VALUES (gen_random_uuid(), :user, now()) "
                "RETURNING id) INSERT INTO refresh_tokens (user_id, login_id, token_hash, issued_at, expires_at) "
                "SELECT :user, id, :hash, now(), now() + interval '1 day' FROM made"
            ),
            (
                "INSERT INTO order_logs (user_id, strategy_id, run_id, event, occurred_at) "
                "VALUES (:user, :strategy, :run, 'BUY', now())"
            ),
            "INSERT INTO audit_log (user_id, action) VALUES (:user, 'login')",
            f"INSERT INTO kept_answers {NEW_ROWS['kept_answers']}",
            f"INSERT INTO panics {NEW_ROWS['panics']}",
            f"INSERT INTO broker_login_codes {NEW_ROWS['broker_login_codes']}",
            f"INSERT INTO notifications {NEW_ROWS['notifications']}",
            f"INSERT INTO notification_preferences {NEW_ROWS['notification_preferences']}",
            f"INSERT INTO notification_channels {NEW_ROWS['notification_channels']}",
            f"INSERT INTO notification_deliveries {NEW_ROWS['notification_deliveries']}",
            f"INSERT INTO telegram_codes {NEW_ROWS['telegram_codes']}",
            f"INSERT INTO telegram_confirmations {NEW_ROWS['telegram_confirmations']}",
            f"INSERT INTO schedules {NEW_ROWS['schedules']}",
            f"INSERT INTO schedule_days {NEW_ROWS['schedule_days']}",
            f"INSERT INTO readiness {NEW_ROWS['readiness']}",
        ):
            await session.execute(text(statement), values)
    return run


async def count(session: AsyncSession, table: str, condition: str = "true", **values: Any) -> int:
    return int(await session.scalar(text(f"SELECT count(*) FROM {table} WHERE {condition}"), values) or 0)  # noqa: S608


async def affected(session: AsyncSession, statement: str, **values: Any) -> int:
    """How many rows a statement changed."""
    counted = text(f"WITH changed AS ({statement} RETURNING 1) SELECT count(*) FROM changed")  # noqa: S608
    return int((await session.execute(counted, values)).scalar_one())


async def test_every_table_has_a_policy_for_tenants_or_belongs_to_none(sessions: Sessions) -> None:
    async with transaction(sessions) as session:
        rows = await session.execute(
            text(
                "SELECT relname, relrowsecurity, "
                "(SELECT count(*) FROM pg_policy WHERE polrelid = pg_class.oid AND polroles = ARRAY[CAST(:role AS "
                "regrole)::oid] AND polcmd = '*' AND polqual IS NOT NULL AND polwithcheck IS NOT NULL) AS policies, "
                "(SELECT count(*) FROM pg_policy WHERE polrelid = pg_class.oid) AS all_policies "
                "FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') "
                "AND NOT relispartition"
            ),
            {"role": TENANT_ROLE},
        )
        tables = {row.relname: (row.relrowsecurity, row.policies, row.all_policies) for row in rows}
    assert set(tables) == OF_NO_TENANT | set(TENANT_TABLES)
    assert {name for name, seen in tables.items() if seen == (True, 1, 1)} == set(TENANT_TABLES)


async def test_what_belongs_to_no_tenant_is_closed_to_all(sessions: Sessions, mine: Run) -> None:
    for table in OF_NO_TENANT:
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with tenant_transaction(sessions, mine.user_id) as session:
                await count(session, table)


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_only_the_tenants_own_rows_are_there(sessions: Sessions, mine: Run, theirs: Run, table: str) -> None:
    own = OWN.get(table, "user_id = :me")
    async with tenant_transaction(sessions, mine.user_id) as session:
        assert await count(session, table, own, me=mine.user_id) > 0
        assert await count(session, table, f"NOT coalesce({own}, false)", me=mine.user_id) == 0
        assert await count(session, table, own, me=theirs.user_id) == 0
    async with transaction(sessions) as session:
        assert await count(session, table, own, me=theirs.user_id) > 0


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_no_other_tenants_row_can_be_changed(sessions: Sessions, mine: Run, theirs: Run, table: str) -> None:
    own = OWN.get(table, "user_id = :me")
    if table not in WRITABLE:
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with tenant_transaction(sessions, mine.user_id) as session:
                await session.execute(text(f"UPDATE {table} SET id = DEFAULT"))  # noqa: S608
        return
    async with tenant_transaction(sessions, mine.user_id) as session:
        change = f"UPDATE {table} SET {WRITABLE[table]} WHERE {own}"  # noqa: S608
        assert await affected(session, change, me=theirs.user_id) == 0
        everything = await affected(session, f"UPDATE {table} SET {WRITABLE[table]}")  # noqa: S608
        assert everything == await count(session, table, own, me=mine.user_id)
        await session.rollback()


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_no_other_tenants_row_can_be_deleted(sessions: Sessions, mine: Run, theirs: Run, table: str) -> None:
    own = OWN.get(table, "user_id = :me")
    if table not in DELETABLE:
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with tenant_transaction(sessions, mine.user_id) as session:
                await session.execute(text(f"DELETE FROM {table}"))  # noqa: S608
        return
    async with tenant_transaction(sessions, mine.user_id) as session:
        assert await affected(session, f"DELETE FROM {table} WHERE {own}", me=theirs.user_id) == 0  # noqa: S608
    async with transaction(sessions) as session:
        assert await count(session, table, own, me=theirs.user_id) > 0


@pytest.mark.parametrize("table", [table for table in TENANT_TABLES if table in NEW_ROWS])
async def test_no_row_can_be_made_for_another_tenant(sessions: Sessions, mine: Run, theirs: Run, table: str) -> None:
    victim = {
        "user": theirs.user_id, "strategy": theirs.strategy_id, "account": theirs.broker_account_id, "run": theirs.id,
    }  # fmt: skip
    async with transaction(sessions) as session:
        # Else a trigger of some tables refuses it first, because it does not find the owner: who is hidden too.
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(
            text(f"SELECT set_config('role', '{TENANT_ROLE}', true), set_config('tradeactors.user_id', :me, true)"),
            {"me": str(mine.user_id)},
        )
        insert = text(f"INSERT INTO {table} {NEW_ROWS[table]}")
        with pytest.raises(ProgrammingError, match="row-level security"):
            await session.execute(insert, used(NEW_ROWS[table], victim))


@pytest.mark.parametrize("table", ["users", "order_logs"])
async def test_what_a_tenant_never_writes_cannot_be_inserted(sessions: Sessions, mine: Run, table: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with tenant_transaction(sessions, mine.user_id) as session:
            await session.execute(text(f"INSERT INTO {table} DEFAULT VALUES"))


@pytest.mark.parametrize("table", ["broker_accounts", "strategies"])
async def test_no_row_can_be_given_to_another_tenant(sessions: Sessions, mine: Run, theirs: Run, table: str) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with tenant_transaction(sessions, mine.user_id) as session:
            await session.execute(text(f"UPDATE {table} SET user_id = :them"), {"them": theirs.user_id})  # noqa: S608


async def test_a_conflict_does_not_open_another_tenants_row(sessions: Sessions, mine: Run, theirs: Run) -> None:
    with pytest.raises((DBAPIError, ConstraintViolated)):
        async with tenant_transaction(sessions, mine.user_id) as session:
            await session.execute(
                text(
                    f"INSERT INTO broker_accounts {NEW_ROWS['broker_accounts']} "
                    "ON CONFLICT (user_id) DO UPDATE SET secrets_box = 'stolen'"
                ),
                {"user": theirs.user_id},
            )
    async with transaction(sessions) as session:
        assert await count(session, "broker_accounts", "secrets_box = 'stolen'") == 0


async def test_without_a_user_the_role_sees_nothing(sessions: Sessions, mine: Run) -> None:
    assert mine.user_id
    async with transaction(sessions) as session:
        await session.execute(text(f"SET LOCAL ROLE {TENANT_ROLE}"))
        for table in TENANT_TABLES:
            assert await count(session, table) == 0


async def failed_statement(session: AsyncSession) -> None:
    await session.execute(text("SELECT 1 / 0"))


async def refused_statement(session: AsyncSession) -> None:
    await session.execute(text("DELETE FROM users"))


async def program_error(_session: AsyncSession) -> None:
    raise KeyError("a bug")


async def cancelled(_session: AsyncSession) -> None:
    raise asyncio.CancelledError


async def closed_connection(session: AsyncSession) -> None:
    await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


async def nothing(_session: AsyncSession) -> None:
    """It simply ends."""


@pytest.mark.parametrize(
    "end", [nothing, failed_statement, refused_statement, program_error, cancelled, closed_connection]
)
async def test_role_and_user_end_with_the_transaction_however_it_ends(
    postgres_url: str, mine: Run, theirs: Run, end: Callable[[AsyncSession], Any]
) -> None:
    engine = open_database(postgres_url, pool_size=1, max_overflow=0)  # the next transaction gets the same connection
    sessions = sessions_of(engine)
    try:
        async with tenant_transaction(sessions, mine.user_id) as session:
            assert await session.scalar(text("SELECT current_user")) == TENANT_ROLE
            await end(session)
    except (Exception, asyncio.CancelledError):  # noqa: BLE001 - what ended it is not the matter
        assert end is not nothing
    async with transaction(sessions) as session:
        assert await session.scalar(text("SELECT current_user")) != TENANT_ROLE
        assert not await session.scalar(text("SELECT current_setting('tradeactors.user_id', true)"))
        assert await count(session, "users", "id IN (:a, :b)", a=mine.user_id, b=theirs.user_id) == 2
    await engine.dispose()


async def test_a_prepared_statement_does_not_carry_one_tenants_rows_to_the_next(
    postgres_url: str, mine: Run, theirs: Run
) -> None:
    engine = open_database(postgres_url, pool_size=1, max_overflow=0)
    sessions = sessions_of(engine)
    query = text("SELECT user_id FROM runs WHERE user_id IN (:a, :b) ORDER BY id")
    pair = {"a": mine.user_id, "b": theirs.user_id}
    for _ in range(12):  # the driver prepares after five times, the server keeps a plan after five more
        for user_id in (mine.user_id, theirs.user_id):
            async with tenant_transaction(sessions, user_id) as session:
                assert list(await session.scalars(query, pair)) == [user_id]
        async with transaction(sessions) as session:
            assert list(await session.scalars(query, pair)) == [mine.user_id, theirs.user_id]
    await engine.dispose()


async def test_a_savepoint_that_is_rolled_back_stays_the_tenants(sessions: Sessions, mine: Run, theirs: Run) -> None:
    async with tenant_transaction(sessions, mine.user_id) as session:
        with pytest.raises(DBAPIError):
            async with session.begin_nested():
                await failed_statement(session)
        assert await count(session, "runs", "user_id = :them", them=theirs.user_id) == 0
        assert await count(session, "runs") == 1


@pytest.fixture
def ordinary_user(postgres_url: str) -> Iterator[str]:
    """A database that belongs to a user who is no superuser and may not create roles."""
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    name = f"ordinary_{secrets.token_hex(4)}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
        connection.execute(text(f"CREATE DATABASE {name} OWNER {name}"))
    try:
        yield make_url(postgres_url).set(username=name, database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            connection.execute(text(f"DROP ROLE {name}"))
        admin.dispose()


@pytest.fixture
async def grant(postgres_url: str, ordinary_user: str) -> AsyncIterator[Callable[[], None]]:
    """What the administrator does when the test asks for it."""
    name = make_url(ordinary_user).username
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")

    def granted() -> None:
        with admin.connect() as connection:
            connection.execute(text(f"GRANT {TENANT_ROLE} TO {name}"))

    yield granted
    admin.dispose()


async def test_an_ordinary_owner_needs_the_role_to_be_granted_and_is_told_so(
    ordinary_user: str, grant: Callable[[], None]
) -> None:
    with pytest.raises(SchemaRefused, match=f"an administrator must run GRANT {TENANT_ROLE} TO ordinary_"):
        await asyncio.to_thread(migrate, ordinary_user)
    grant()
    await asyncio.to_thread(migrate, ordinary_user)
    engine = open_database(ordinary_user, pool_size=1)
    sessions = sessions_of(engine)
    mine, theirs = await tenant_with_everything(sessions), await tenant_with_everything(sessions)
    for table in TENANT_TABLES:
        own = OWN.get(table, "user_id = :me")
        async with tenant_transaction(sessions, mine.user_id) as session:
            assert await count(session, table, own, me=mine.user_id) > 0
            assert await count(session, table, own, me=theirs.user_id) == 0
        async with transaction(sessions) as session:
            assert await count(session, table, own, me=theirs.user_id) > 0, "the engine works for all tenants"
    await engine.dispose()


def used(statement: str, values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if f":{name}" in statement}
