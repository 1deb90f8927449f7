"""`tradeactors prune` as an operator runs it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from typer.testing import CliRunner

from config.commands.cli import app
from config.settings import PREFIX
from persistence.database.engine import migrate
from persistence.secrets.encryption import generate_key
from tests.integration.persistence.database.new_database import new_database

OLD = datetime.now(UTC) - timedelta(days=500)


@pytest.fixture
def database(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A database with three old lines of the audit log and a young one, which the settings name."""
    with new_database(postgres_url) as url:
        migrate(url)
        engine = create_engine(url)
        with engine.begin() as connection:
            insert = text("INSERT INTO audit_log (action, at) VALUES ('test', :at)")
            connection.execute(insert, [{"at": at} for at in (OLD, OLD, OLD, datetime.now(UTC))])
        variables = {"DATABASE_URL": url, "DATA_DIR": str(tmp_path), "AUDIT_LOG_RETENTION_DAYS": "365"}
        variables |= {"JWT_SECRET": "a secret of the tests, long enough", "ENCRYPTION_KEYS": generate_key()}
        for name, value in variables.items():
            monkeypatch.setenv(PREFIX + name, value)
        monkeypatch.chdir(tmp_path)
        yield engine
        engine.dispose()


def lines(database: Engine) -> int:
    with database.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM audit_log WHERE action = 'test'")) or 0)


def test_a_dry_run_says_what_would_go_and_removes_nothing(database: Engine) -> None:
    done = CliRunner().invoke(app, ["prune", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert f"audit_log {OLD:%Y-%m}: 3 rows, {OLD:%Y-%m-%d} to {OLD:%Y-%m-%d}, " in done.output
    assert "order_logs: kept for 1827 days" in done.output
    assert lines(database) == 4


def test_it_asks_before_it_removes(database: Engine) -> None:
    refused = CliRunner().invoke(app, ["prune"], input="n\n")
    assert (refused.exit_code, lines(database)) == (1, 4)
    done = CliRunner().invoke(app, ["prune"], input="y\n")
    assert (done.exit_code, lines(database)) == (0, 1), done.output
    assert "Removed: 3 rows." in done.output


def test_with_yes_it_does_not_ask_and_the_second_time_there_is_nothing(database: Engine) -> None:
    assert CliRunner().invoke(app, ["prune", "--yes"]).exit_code == 0
    assert lines(database) == 1
    again = CliRunner().invoke(app, ["prune", "--yes"])
    assert (again.exit_code, "Nothing is to be removed." in again.output) == (0, True)
