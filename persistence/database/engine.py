"""The database at the edge: engine, transactions and migrations.

One request, or one call of the engine's ledger, is one transaction: only the edge opens and commits it
(`transaction`; `tenant_transaction` where it acts for one user), and only repositories and the ledger query inside it.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import InsufficientPrivilege, LockNotAvailable, ProgramLimitExceeded, QueryCanceled
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from persistence.database import tables  # noqa: F401 - foreign keys need all tables
from persistence.errors import ConstraintViolated, DatabaseBusy, DatabaseUnavailable, RecordRefused, SchemaRefused

Sessions = async_sessionmaker[AsyncSession]

TENANT_ROLE = "tradeactors_tenant"
"""The role of a tenant's transaction; the migrations make it, and the policies are written for it (decision 9)."""

_ACT_FOR_TENANT = text(
    f"SELECT set_config('role', '{TENANT_ROLE}', true), set_config('tradeactors.user_id', :user_id, true)"
)

_MIGRATION_LOCK = 0x7472616465  # "trade"; any constant that no other program uses in this database
_MIGRATIONS = Path(__file__).parents[1] / "migrations"
_REFUSAL = re.compile(r"FATAL:\s+(.+)")
"""What a server says, in its own language, to whom it lets in to nothing; it holds names, and no password."""
_NO_ADDRESS = "failed to resolve host"
_CONNECTING = {"connect_timeout": 5, "client_encoding": "utf8"}
"""The encoding is said because a server of encoding SQL_ASCII, which `initdb` makes in the C locale, gives bytes."""


def open_database(
    database_url: str,
    *,
    pool_size: int = 10,
    max_overflow: int = 10,
    pool_timeout_s: float = 5.0,
    statement_timeout_s: float = 0,
) -> AsyncEngine:
    """An engine for `postgresql+psycopg://…`; nothing connects before the first use. Close it with `dispose()`.

    `pool_size` connections are kept, `max_overflow` more are opened under load, and a caller waits at most
    `pool_timeout_s` seconds for one. A statement, with its waits for locks, has `statement_timeout_s` seconds; 0: any
    time.
    """
    connecting: dict[str, Any] = dict(_CONNECTING)
    if statement_timeout_s:
        others = make_url(database_url).query.get("options", ())
        limit = f"-c statement_timeout={max(1, round(statement_timeout_s * 1000))}"
        connecting["options"] = " ".join([*([others] if isinstance(others, str) else others), limit])
    return create_async_engine(
        database_url,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=pool_timeout_s,
        pool_pre_ping=True,
        connect_args=connecting,
        hide_parameters=True,
    )


def sessions_of(engine: AsyncEngine) -> Sessions:
    """The factory that `transaction` opens its sessions with."""
    return async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def transaction(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """One transaction: committed when the block ends, rolled back when it raises.

    Raises:
        DatabaseUnavailable: if PostgreSQL does not answer; nothing of the block can be relied on.
        DatabaseBusy: if a statement took longer than the engine's `statement_timeout_s`.
        ConstraintViolated: if a row breaks a rule of the schema.
        RecordRefused: if PostgreSQL cannot store a value, in whatever row it is.
    """
    with translated_errors():
        async with sessions.begin() as session:
            yield session


@asynccontextmanager
async def tenant_transaction(sessions: Sessions, user_id: int) -> AsyncIterator[AsyncSession]:
    """As `transaction`, in which PostgreSQL itself hides the rows of all other users and refuses to write them.

    A second wall (row K1): queries name their user nevertheless. Role and user end with the transaction, however it
    ends.
    """
    async with transaction(sessions) as session:
        await session.execute(_ACT_FOR_TENANT, {"user_id": str(user_id)})
        yield session


async def ping(sessions: Sessions) -> None:
    """Ask whether PostgreSQL answers.

    Raises:
        DatabaseUnavailable: if there is none.
    """
    async with transaction(sessions) as session:
        await session.execute(text("SELECT 1"))


def migrate(database_url: str) -> None:
    """Bring the schema to the newest revision; blocking. Any number of processes may do so at the same time.

    Raises:
        DatabaseUnavailable: if PostgreSQL does not answer.
        SchemaRefused: if the user of the URL lacks a privilege, or a later version has made the schema.
    """
    engine = create_engine(database_url, connect_args=_CONNECTING)
    try:
        with translated_errors(), engine.connect() as connection:
            # A session lock: the second starter waits here, then finds nothing left to do.
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            connection.commit()
            config = migration_config()
            config.attributes["connection"] = connection
            _refuse_a_later_schema(connection, config)
            command.upgrade(config, "head")
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise SchemaRefused(str(error.orig).splitlines()[0]) from error
        raise
    finally:
        engine.dispose()


def knows_revision(revision: str) -> bool:
    """Whether this version has the migration that makes a schema of that revision."""
    return revision in {script.revision for script in ScriptDirectory.from_config(migration_config()).walk_revisions()}


def newest_revision() -> str | None:
    """The schema that this version makes and needs."""
    return ScriptDirectory.from_config(migration_config()).get_current_head()


def _refuse_a_later_schema(connection: Connection, config: Config) -> None:
    known = ScriptDirectory.from_config(config)
    heads = MigrationContext.configure(connection).get_current_heads()
    connection.commit()
    for revision in heads:
        if not knows_revision(revision):
            raise SchemaRefused(
                f"its schema is of revision {revision}, and this version of TradeActors knows them up to "
                f"{known.get_current_head()}: a later version has used it. Start that version, or restore a backup"
            )


def migration_config(scripts: Path = _MIGRATIONS) -> Config:
    """Alembic's configuration without an ini file; the caller puts a connection into its attributes."""
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))  # ConfigParser interpolates
    return config


def _why_unavailable(error: Exception) -> str:
    """A server that refuses a connection answers, and so does one who knows no machine of that name."""
    said = str(getattr(error, "orig", None))
    if refusal := _REFUSAL.search(said):
        return f"PostgreSQL refuses the connection ({refusal[1].strip()})"
    return "PostgreSQL's host has no address" if _NO_ADDRESS in said else "PostgreSQL does not answer"


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise what `transaction` does, where a block asks the database by other means."""
    try:
        yield
    except (DataError, UnicodeError) as error:  # of half a surrogate pair psycopg makes no error of its own
        raise RecordRefused("the database cannot store what was written") from error
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        if isinstance(getattr(error, "orig", None), ProgramLimitExceeded):
            raise RecordRefused("the database cannot store what was written: it is too long") from error
        if isinstance(getattr(error, "orig", None), QueryCanceled | LockNotAvailable):
            raise DatabaseBusy("a statement took longer than it may") from error
        raise DatabaseUnavailable(_why_unavailable(error)) from error
    except IntegrityError as error:
        diagnosis = getattr(error.orig, "diag", None)
        raise ConstraintViolated(getattr(diagnosis, "constraint_name", None) or "a constraint") from error
