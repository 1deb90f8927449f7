"""The logs in partitions by month: old lines are still there, no promise is lost, and no line is without a place."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from persistence.database.engine import (
    TENANT_ROLE,
    Sessions,
    tenant_transaction,
    transaction,
)
from persistence.database.models.runs import Run
from persistence.database.partitions import LOGS, make_months, month_of, months_ahead, partitions_of
from persistence.errors import ConstraintViolated
from tests.integration.persistence.database.new_database import database_of_before, migrated_database, new_database
from tests.integration.rows import new_run

NOW = datetime.now(UTC)
LINE = (
    "INSERT INTO order_logs (user_id, strategy_id, run_id, event, occurred_at, recorded_at) "
    "VALUES (:user, :strategy, :run, :event, now(), :at) RETURNING tableoid::regclass::text"
)
OLD_ROWS = """
INSERT INTO users (email, password_hash) VALUES ('asha@example.com', 'x'), ('ravi@example.com', 'x');
INSERT INTO broker_accounts (user_id, broker, broker_user_id, api_key_hint, secrets_box, key_version, token_obtained_at)
SELECT id, 'paper', 'AB' || id, '', '', '', now() FROM users;
INSERT INTO strategies (user_id, exchange, tradingsymbol, instrument_token, product, buy_time, sell_time,
                        stop_loss_paise, quantity)
SELECT id, 'NSE', 'INFY', 1, 'MIS', '09:30', '15:10', 100, 1 FROM users;
INSERT INTO runs (user_id, strategy_id, broker_account_id, tag_key, buy_at, sell_at, stop_loss_paise, quantity, product)
SELECT strategies.user_id, strategies.id, broker_accounts.id, '0123456789abcdef', now(), now() + interval '1 h', 100, 1,
       'MIS'
FROM strategies JOIN broker_accounts USING (user_id);
INSERT INTO order_logs (user_id, strategy_id, run_id, leg, seq, event, price, detail, occurred_at, recorded_at)
SELECT user_id, strategy_id, id, 'ENTRY', n, 'BUY', 1490.5, jsonb_build_object('n', n), now(),
       now() - n * interval '11 days'
FROM runs, generate_series(1, 40) AS n;
INSERT INTO audit_log (user_id, action, subject, address, at)
SELECT id, 'login', n::text, '192.0.2.1', now() - n * interval '17 days' FROM users, generate_series(0, 30) AS n;
INSERT INTO audit_log (user_id, action) VALUES (NULL, 'login_failed');
SELECT setval(pg_get_serial_sequence('order_logs', 'id'), 1000);
"""
EVERYTHING = {
    log: f"SELECT md5(string_agg(line::text, '|' ORDER BY id)), count(*) FROM {log} AS line"  # noqa: S608
    for log in LOGS
}


@pytest.fixture
def empty(postgres_url: str) -> Iterator[Engine]:
    with new_database(postgres_url) as url:
        engine = create_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture
async def own(postgres_url: str) -> AsyncIterator[Sessions]:
    """A migrated database of the test's own."""
    async with migrated_database(postgres_url) as sessions:
        yield sessions


@pytest.fixture
async def run(own: Sessions) -> Run:
    return await new_run(own)


async def add_line(sessions: Sessions, run: Run, at: datetime, event: str = "BUY") -> str:
    """Which table the line is in."""
    values = {"user": run.user_id, "strategy": run.strategy_id, "run": run.id, "event": event, "at": at}
    async with transaction(sessions) as session:
        return str(await session.scalar(text(LINE), values))


def contents(connection: Connection) -> dict[str, tuple[str, int]]:
    rows = {log: tuple(connection.execute(text(query)).one()) for log, query in EVERYTHING.items()}
    connection.commit()
    return rows


def test_an_old_database_migrates_and_all_of_its_lines_are_there_and_back(empty: Engine) -> None:
    with empty.connect() as connection:
        config = database_of_before(connection, "0006", OLD_ROWS)
        before = contents(connection)
        assert {log: rows for log, (_, rows) in before.items()} == {"order_logs": 80, "audit_log": 63}
        command.upgrade(config, "head")
        assert contents(connection) == before
        for log in LOGS:
            months = connection.scalars(text(f"SELECT DISTINCT tableoid::regclass::text FROM {log}")).all()  # noqa: S608
            assert len(months) > 10
            assert f"{log}_default" not in months
        command.downgrade(config, "0006")
        assert contents(connection) == before
        command.upgrade(config, "head")
        assert contents(connection) == before


def test_ids_go_on_after_the_migration(empty: Engine) -> None:
    with empty.connect() as connection:
        config = database_of_before(connection, "0006", OLD_ROWS)
        command.upgrade(config, "head")
        line = connection.scalar(
            text(
                "INSERT INTO order_logs (user_id, strategy_id, run_id, event, occurred_at) "
                "SELECT user_id, strategy_id, id, 'SELL', now() FROM runs LIMIT 1 RETURNING id"
            )
        )
        entry = connection.scalar(text("INSERT INTO audit_log (action) VALUES ('test') RETURNING id"))
        assert (line, entry) == (1001, 64)
        connection.rollback()


async def test_a_line_of_another_tenants_run_is_refused_in_every_month(own: Sessions, run: Run) -> None:
    stranger = await new_run(own)
    for at in (NOW, NOW - timedelta(days=4000)):
        values = {"user": stranger.user_id, "strategy": run.strategy_id, "run": run.id, "event": "BUY", "at": at}
        with pytest.raises(ConstraintViolated, match="fkey"):
            async with transaction(own) as session:
                await session.execute(text(LINE), values)


@pytest.mark.parametrize("statement", ["UPDATE {} SET detail = '{{}}'", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("log", LOGS)
async def test_a_month_named_by_itself_is_append_only_too(own: Sessions, log: str, statement: str) -> None:
    await make_months(own, NOW + timedelta(days=100))
    async with transaction(own) as session:
        names = [partition.name for partition in await partitions_of(session, log)]
    assert len(names) > 5
    for name in (names[0], names[-1], f"{log}_default"):
        with pytest.raises((ConstraintViolated, DBAPIError)) as refusal:
            async with transaction(own) as session:
                await session.execute(text(statement.format(name)))
        assert "append-only" in str(refusal.value.__cause__ or refusal.value)


@pytest.mark.parametrize("log", LOGS)
async def test_a_tenant_reaches_no_month_but_through_the_policies_of_the_log(own: Sessions, run: Run, log: str) -> None:
    await make_months(own, NOW + timedelta(days=100))
    async with transaction(own) as session:
        guarded = await session.execute(
            text(
                "SELECT relname, relrowsecurity, has_table_privilege(:role, pg_class.oid, "
                "'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') AS open "
                "FROM pg_class WHERE relispartition AND relkind = 'r'"
            ),
            {"role": TENANT_ROLE},
        )
        assert {(row.relrowsecurity, row.open) for row in guarded} == {(True, False)}
        names = [partition.name for partition in await partitions_of(session, log)]
    for name in (*names, f"{log}_default"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with tenant_transaction(own, run.user_id) as session:
                await session.execute(text(f"SELECT FROM {name}"))


async def test_lines_of_today_and_of_the_months_to_come_have_a_month(own: Sessions, run: Run) -> None:
    for month in months_ahead(NOW):
        assert await add_line(own, run, max(month, NOW)) == f"order_logs_{month:%Y_%m}"
    async with transaction(own) as session:
        await session.execute(text("INSERT INTO audit_log (action) VALUES ('test')"))
        place = await session.scalar(text("SELECT tableoid::regclass::text FROM audit_log"))
    assert place == f"audit_log_{NOW:%Y_%m}"


async def test_a_month_without_a_partition_stops_no_record_and_takes_its_lines_when_it_is_made(
    own: Sessions, run: Run
) -> None:
    far, farther = NOW + timedelta(days=800), NOW + timedelta(days=1200)
    assert await add_line(own, run, far, "BUY") == "order_logs_default"
    assert await add_line(own, run, farther, "SELL") == "order_logs_default"
    await make_months(own, NOW)
    async with transaction(own) as session:
        rows = await session.execute(
            text("SELECT event, tableoid::regclass::text AS place FROM order_logs ORDER BY id")
        )
        assert [tuple(row) for row in rows] == [
            ("BUY", f"order_logs_{far:%Y_%m}"),
            ("SELL", f"order_logs_{farther:%Y_%m}"),
        ]
        assert await session.scalar(text("SELECT count(*) FROM order_logs_default")) == 0
    assert await add_line(own, run, NOW + timedelta(days=1500)) == "order_logs_default"
    with pytest.raises((ConstraintViolated, DBAPIError)):
        async with transaction(own) as session:
            await session.execute(text("DELETE FROM order_logs_default"))


async def test_several_processes_may_make_months_at_once(own: Sessions, run: Run) -> None:
    later = NOW + timedelta(days=365)
    await asyncio.gather(*(make_months(own, later) for _ in range(3)))
    await make_months(own, later)
    async with transaction(own) as session:
        firsts = [partition.first for partition in await partitions_of(session, "order_logs")]
    assert set(months_ahead(later)) <= set(firsts)
    assert len(firsts) == len(set(firsts))


async def test_making_a_month_waits_for_no_order_and_keeps_none_waiting_for_long(own: Sessions, run: Run) -> None:
    later = NOW + timedelta(days=365)
    async with transaction(own) as session:  # a record under way: the run is changed, its line comes next
        await session.execute(text("UPDATE runs SET message = 'x' WHERE id = :id"), {"id": run.id})
        making = asyncio.create_task(make_months(own, later))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        values = {"user": run.user_id, "strategy": run.strategy_id, "run": run.id, "event": "BUY", "at": NOW}
        await session.execute(text(LINE), values)
        assert time.monotonic() - began < 2
        assert await making == 4  # those of the audit log
    assert await make_months(own, later) == 4


def test_months_are_counted_over_the_end_of_a_year() -> None:
    months = list(months_ahead(datetime(2026, 11, 30, 23, tzinfo=UTC)))
    assert [f"{month:%Y-%m}" for month in months] == ["2026-11", "2026-12", "2027-01", "2027-02"]
    assert month_of(datetime.fromisoformat("2026-12-01T02:00+05:30")) == datetime(2026, 11, 1, tzinfo=UTC)
