"""The schema: migrations and models agree, two starters do not race, and the database keeps its own rules."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from persistence.database.engine import (
    Sessions,
    migrate,
    migration_config,
    open_database,
    ping,
    sessions_of,
    transaction,
)
from persistence.database.models.base import TableModel
from persistence.errors import ConstraintViolated, DatabaseUnavailable
from tests.integration.rows import new_run, new_user

pytest_plugins = ["tests.integration.fixtures"]


def test_models_and_migrations_do_not_drift(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        partitions = set(connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition")))
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _parents: kind != "table" or name not in partitions,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, TableModel.metadata) == []
    engine.dispose()


def test_every_check_of_the_models_is_in_the_database(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    inspector = inspect(engine)
    for table in TableModel.metadata.sorted_tables:
        declared = {str(rule.name) for rule in table.constraints if isinstance(rule, CheckConstraint)}
        assert {rule["name"] for rule in inspector.get_check_constraints(table.name)} == declared
    engine.dispose()


def test_many_starters_may_migrate_at_once(postgres_url: str) -> None:
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE racing"))
    url = admin.url.set(database="racing").render_as_string(hide_password=False)
    failures: list[Exception] = []

    def start() -> None:
        try:
            migrate(url)
        except Exception as error:  # noqa: BLE001 - the test reports whatever a starter met
            failures.append(error)

    starters = [threading.Thread(target=start) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    racing = create_engine(url)
    with racing.connect() as connection:
        revisions = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    racing.dispose()
    admin.dispose()
    assert failures == []
    assert revisions == [ScriptDirectory.from_config(migration_config()).get_current_head()]


async def test_a_strategy_has_at_most_one_open_run(sessions: Sessions) -> None:
    run = await new_run(sessions)
    with pytest.raises(ConstraintViolated, match="runs_one_open_per_strategy"):
        await new_run(sessions, like=run)


async def test_an_account_with_an_open_run_cannot_be_removed(sessions: Sessions) -> None:
    run = await new_run(sessions)
    with pytest.raises(ConstraintViolated, match="runs_broker_account_id_check"):
        async with transaction(sessions) as session:
            await session.execute(text("DELETE FROM broker_accounts WHERE id = :id"), {"id": run.broker_account_id})


async def test_a_run_cannot_belong_to_another_tenant_than_its_strategy(sessions: Sessions) -> None:
    run = await new_run(sessions)
    stranger = await new_user(sessions)
    with pytest.raises(ConstraintViolated, match="runs_strategy_id_user_id_fkey"):
        async with transaction(sessions) as session:
            await session.execute(
                text("UPDATE runs SET user_id = :user, broker_account_id = NULL, ended_at = now() WHERE id = :id"),
                {"user": stranger.id, "id": run.id},
            )


@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["order_logs", "audit_log"])
async def test_logs_are_append_only(sessions: Sessions, table: str, statement: str) -> None:
    if statement.startswith("UPDATE"):
        statement = statement.replace("id = id", "detail = '{{}}'")
    with pytest.raises((ConstraintViolated, DBAPIError), match=r"append-only|a constraint") as refusal:
        async with transaction(sessions) as session:
            await session.execute(text(statement.format(table)))
    assert "append-only" in str(refusal.value.__cause__ or refusal.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("stop_loss_paise", "0"),
        ("quantity", "-1"),
        ("product", "'NRML'"),
        ("status", "'flying'"),
        ("buy_time", "sell_time"),
    ],
)
async def test_impossible_strategies_are_refused(sessions: Sessions, column: str, value: str) -> None:
    run = await new_run(sessions)
    with pytest.raises(ConstraintViolated, match="strategies_"):
        async with transaction(sessions) as session:
            await session.execute(
                text(f"UPDATE strategies SET {column} = {value} WHERE id = :id"),  # noqa: S608 - literals above
                {"id": run.strategy_id},
            )


async def test_an_absent_database_is_named_as_such() -> None:
    engine = open_database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable):
        await ping(sessions_of(engine))
    await engine.dispose()
