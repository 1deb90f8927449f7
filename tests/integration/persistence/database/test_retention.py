"""Which records are removed, and which never: younger ones, those of open runs, and everything in a dry run."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from config.commands.prune import report, retention_of
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Run
from persistence.database.partitions import month_of
from persistence.database.retention import OldRecords, Retention, forget_logins, old_records, prune
from persistence.errors import DatabaseBusy
from tests.integration.persistence.database.new_database import migrated_database
from tests.integration.rows import new_run, new_user

NOW = datetime.now(UTC)
KEPT = Retention(
    order_logs=timedelta(days=365),
    audit_log=timedelta(days=365),
    logins=timedelta(days=90),
    notifications=timedelta(days=90),
)
LONG_AGO = month_of(NOW - timedelta(days=500)) + timedelta(days=3)
YOUNGER = NOW - timedelta(days=300)


@pytest.fixture
async def own(postgres_url: str) -> AsyncIterator[Sessions]:
    """A migrated database of the test's own."""
    async with migrated_database(postgres_url) as sessions:
        yield sessions


async def run_of(sessions: Sessions, began: datetime, *, ended: bool) -> Run:
    run = await new_run(sessions)
    async with transaction(sessions) as session:
        await session.execute(
            text(
                "UPDATE runs SET started_at = :began, "
                "ended_at = CASE WHEN :ended THEN CAST(:began AS timestamptz) END, "
                "status = CASE WHEN :ended THEN 'stopped' ELSE 'running' END WHERE id = :id"
            ),
            {"began": began, "ended": ended, "id": run.id},
        )
    return run


async def add_lines(sessions: Sessions, run: Run, *instants: datetime) -> None:
    async with transaction(sessions) as session:
        for at in instants:
            values = {"user": run.user_id, "strategy": run.strategy_id, "run": run.id, "at": at}
            await session.execute(
                text(
                    "INSERT INTO order_logs (user_id, strategy_id, run_id, event, occurred_at, recorded_at) "
                    "VALUES (:user, :strategy, :run, 'BUY', :at, :at)"
                ),
                values,
            )
            await session.execute(text("INSERT INTO audit_log (user_id, action, at) VALUES (:user, 'x', :at)"), values)


async def instants_of(sessions: Sessions, run: Run) -> list[datetime]:
    async with transaction(sessions) as session:
        rows = text("SELECT recorded_at FROM order_logs WHERE run_id = :run ORDER BY 1")
        return list(await session.scalars(rows, {"run": run.id}))


async def count(sessions: Sessions, table: str) -> int:
    async with transaction(sessions) as session:
        return int(await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608


async def test_whole_months_beyond_the_retention_go_and_younger_lines_of_the_same_run_stay(own: Sessions) -> None:
    run = await run_of(own, LONG_AGO, ended=True)
    await add_lines(own, run, LONG_AGO, YOUNGER, NOW)
    removed = await prune(own, KEPT, NOW)
    assert [(old.table, old.period, old.rows, old.kept_because) for old in removed] == [
        ("order_logs", f"{LONG_AGO:%Y-%m}", 1, ""),
        ("audit_log", f"{LONG_AGO:%Y-%m}", 1, ""),
    ]
    assert all(old.bytes_on_disk > 0 and old.oldest == old.newest == LONG_AGO for old in removed)
    assert await instants_of(own, run) == [YOUNGER, NOW]
    async with transaction(own) as session:
        said = await session.scalars(text("SELECT subject FROM audit_log WHERE action = 'records_pruned' ORDER BY id"))
        assert list(said) == [f"order_logs {LONG_AGO:%Y-%m}", f"audit_log {LONG_AGO:%Y-%m}"]
    assert await prune(own, KEPT, NOW) == []


async def test_a_month_goes_only_when_its_youngest_possible_line_is_beyond_the_retention(own: Sessions) -> None:
    run = await run_of(own, LONG_AGO, ended=True)
    edge = month_of(NOW - timedelta(days=365)) + timedelta(hours=1)  # beyond it, but not all of its month
    await add_lines(own, run, edge)
    assert await prune(own, KEPT, NOW) == []
    assert await instants_of(own, run) == [edge]


async def test_the_records_of_an_open_run_stay_and_with_them_all_months_since_it_began(own: Sessions) -> None:
    ended, running = await run_of(own, LONG_AGO, ended=True), await run_of(own, LONG_AGO, ended=False)
    before = LONG_AGO - timedelta(days=100)
    await add_lines(own, ended, before, LONG_AGO)
    await add_lines(own, running, LONG_AGO)
    found = await old_records(own, KEPT, NOW)
    removed = await prune(own, KEPT, NOW)
    assert [(old.table, old.period, old.kept_because) for old in removed] == [
        ("order_logs", f"{before:%Y-%m}", ""),
        ("order_logs", f"{LONG_AGO:%Y-%m}", f"run {running.id} is open"),
        ("audit_log", f"{before:%Y-%m}", ""),
        ("audit_log", f"{LONG_AGO:%Y-%m}", f"run {running.id} is open"),
    ]
    assert [(old.table, old.period, old.kept_because) for old in found] == [
        (old.table, old.period, old.kept_because) for old in removed
    ]
    assert await instants_of(own, running) == [LONG_AGO]
    assert await instants_of(own, ended) == [LONG_AGO]


async def test_a_line_of_an_open_run_keeps_its_month_whatever_the_run_says_of_its_beginning(own: Sessions) -> None:
    running = await run_of(own, NOW, ended=False)
    await add_lines(own, running, LONG_AGO)
    await prune(own, KEPT, NOW)
    assert await instants_of(own, running) == [LONG_AGO]


async def test_a_dry_run_removes_nothing_and_says_how_many_how_old_and_how_large(own: Sessions) -> None:
    run = await run_of(own, LONG_AGO, ended=True)
    await add_lines(own, run, LONG_AGO, LONG_AGO, NOW)
    before = [await count(own, table) for table in ("order_logs", "audit_log", "order_logs_default")]
    found = await old_records(own, KEPT, NOW)
    assert [await count(own, table) for table in ("order_logs", "audit_log", "order_logs_default")] == before
    assert [(old.table, old.rows, old.oldest) for old in found] == [
        ("order_logs", 2, LONG_AGO),
        ("audit_log", 2, LONG_AGO),
    ]
    said = "\n".join(report(found, KEPT, NOW))
    assert f"order_logs {LONG_AGO:%Y-%m}: 2 rows, {LONG_AGO:%Y-%m-%d} to {LONG_AGO:%Y-%m-%d}, " in said
    assert f"Beyond their retention: 4 rows, {sum(old.bytes_on_disk for old in found)} bytes" in said


async def test_by_default_five_years_of_trades_are_kept(own: Sessions) -> None:
    retention = retention_of(Settings(_env_file=None))
    assert retention.order_logs is not None
    assert all(
        day - retention.order_logs <= day.replace(year=day.year - 5)
        for day in (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(1461))
        if (day.month, day.day) != (2, 29)
    )
    run = await run_of(own, LONG_AGO, ended=True)
    await add_lines(own, run, NOW - timedelta(days=1800))
    assert await prune(own, retention, NOW) == []
    unlimited = Retention(order_logs=None, audit_log=None, logins=KEPT.logins, notifications=KEPT.notifications)
    assert await prune(own, unlimited, NOW) == []


async def test_removal_gives_up_when_others_hold_the_log_and_nothing_is_half_removed(own: Sessions) -> None:
    run = await run_of(own, LONG_AGO, ended=True)
    await add_lines(own, run, LONG_AGO)
    await prune(own, Retention(None, None, KEPT.logins, KEPT.notifications), NOW)  # the month is made
    async with transaction(own) as session:
        await session.execute(text("SELECT FROM order_logs"))
        with pytest.raises(DatabaseBusy):
            await prune(own, KEPT, NOW)
    assert await instants_of(own, run) == [LONG_AGO]
    assert len(await prune(own, KEPT, NOW)) == 2


async def test_logins_that_ended_long_ago_are_forgotten_and_those_that_go_on_are_not(own: Sessions) -> None:
    user = await new_user(own)
    names = {"ended long ago": uuid.uuid4(), "ended lately": uuid.uuid4()}
    names |= {"without a token": uuid.uuid4(), "goes on": uuid.uuid4()}
    async with transaction(own) as session:
        for name, login_id in names.items():
            ended = {"ended long ago": NOW - timedelta(days=91), "ended lately": NOW - timedelta(days=89)}.get(name)
            await session.execute(
                text("INSERT INTO logins (id, user_id, started_at, ended_at) VALUES (:id, :user, :began, :ended)"),
                {"id": login_id, "user": user.id, "began": NOW - timedelta(days=200), "ended": ended},
            )
        for name, expires in (("without a token", NOW - timedelta(days=100)), ("goes on", NOW + timedelta(days=5))):
            await session.execute(
                text(
                    "INSERT INTO refresh_tokens (user_id, login_id, token_hash, issued_at, expires_at) "
                    "VALUES (:user, :id, sha256(:hash), :issued, :expires)"
                ),
                {
                    "user": user.id,
                    "id": names[name],
                    "hash": name.encode(),
                    "issued": NOW - timedelta(days=199),
                    "expires": expires,
                },
            )
    (old,) = await old_records(own, KEPT, NOW)
    assert isinstance(old, OldRecords)
    assert (old.table, old.rows) == ("logins", 2)
    assert await forget_logins(own, NOW - KEPT.logins) == 2
    async with transaction(own) as session:
        left = set(await session.scalars(text("SELECT id FROM logins")))
    assert left == {names["ended lately"], names["goes on"]}
    assert await count(own, "refresh_tokens") == 1
