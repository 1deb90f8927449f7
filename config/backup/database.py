"""The database on its way into a backup and out of it, by PostgreSQL's own programs."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from config.backup.errors import BackupRefused
from config.files import remedy_of
from config.stack.postgres import postgres_programs
from persistence.database.engine import TENANT_ROLE

_NO_TABLES = "The database has no tables of TradeActors"
_START_ONCE = "start the stack on it once with `tradeactors up`, or name another directory (--data-dir)"
_AGAIN = "\nNothing was kept of it: try again, and if it is refused again, look into the log of PostgreSQL."


def schema_revision(url: str) -> str:
    """The revision of the schema.

    Raises:
        BackupRefused: nothing has been migrated there yet.
    """
    try:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.Error as missing:
        raise BackupRefused(f"{_NO_TABLES} ({_first_line(missing)}); {_START_ONCE}.") from missing
    if row is None:
        raise BackupRefused(f"{_NO_TABLES}; {_START_ONCE}.")
    return str(row[0])


def sealed_with_other_keys(url: str, versions: frozenset[str]) -> tuple[int, int]:
    """How many broker connections, and how many channels of notices, no key of these versions opens."""
    with _connected(url) as connection:
        return _sealed(connection, "broker_accounts", versions), _sealed(connection, "notification_channels", versions)


def _sealed(connection: psycopg.Connection, table: LiteralString, versions: frozenset[str]) -> int:
    there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
    if there is None or not there[0]:  # an earlier version's database, before its first start with this one
        return 0
    counted = f"SELECT count(*) FROM {table} WHERE key_version <> ALL(%s)"  # noqa: S608
    row = connection.execute(counted, [sorted(versions)]).fetchone()
    return int(row[0]) if row else 0


def dump(url: str, target: Path) -> None:
    """Write the whole database, as it is at one instant, into a new file; others may read and write meanwhile.

    Raises:
        BackupRefused: `pg_dump` failed.
    """
    _run("pg_dump", "--format=custom", "--no-owner", f"--file={target}", f"--dbname={url}")


def load(url: str, source: Path) -> None:
    """Fill an empty database, whole or not at all.

    Raises:
        BackupRefused: `pg_restore` failed.
    """
    with _connected(url) as connection:  # a dump does not hold roles
        connection.execute(f"CREATE ROLE {TENANT_ROLE} NOLOGIN")
    _run("pg_restore", "--no-owner", "--single-transaction", "--exit-on-error", f"--dbname={url}", str(source))
    with _connected(url) as connection:
        connection.execute("ANALYZE")


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection]:
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection
    except psycopg.Error as refused:  # it was stopped meanwhile, say
        said = str(refused).strip()
        raise BackupRefused(
            f"The database does not do what it should ({_first_line(refused)}).{remedy_of(said) or _AGAIN}"
        ) from refused


def _run(program: str, *arguments: str) -> None:
    path = postgres_programs() / program
    done = subprocess.run(  # noqa: S603
        [str(path), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip() or f"code {done.returncode}"
        raise BackupRefused(f"PostgreSQL's {program} failed: {said}{remedy_of(said) or _AGAIN}")


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
