"""A database of a test's own, on the server that all tests share."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

from persistence.database.engine import Sessions, migrate, migration_config, open_database, sessions_of


@contextmanager
def new_database(postgres_url: str) -> Iterator[str]:
    """The URL of an empty database, which is dropped at the end."""
    name = f"own_{secrets.token_hex(6)}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield admin.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@asynccontextmanager
async def migrated_database(postgres_url: str) -> AsyncIterator[Sessions]:
    """Sessions on a database of the test's own that has every migration."""
    with new_database(postgres_url) as url:
        await asyncio.to_thread(migrate, url)
        engine = open_database(url, pool_size=3)
        yield sessions_of(engine)
        await engine.dispose()


def database_of_before(connection: Connection, revision: str, rows: str) -> Config:
    """Migrate as far as `revision`, put in what was stored then; with the answer the migrations go on from there."""
    config = migration_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    connection.execute(text(rows))
    connection.commit()
    return config
