"""A database whose encoding is not UTF-8: what `initdb` makes in the C locale is SQL_ASCII."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from persistence.database.engine import migrate, open_database, ping, sessions_of, transaction

NAME = "of_ascii"


@pytest.fixture
def ascii_url(postgres_url: str) -> str:
    """A new database of encoding SQL_ASCII."""
    asyncio.run(_create(postgres_url))
    return make_url(postgres_url).set(database=NAME).render_as_string(hide_password=False)


async def _create(database_url: str) -> None:
    engine = open_database(database_url)
    async with engine.connect() as connection:
        bare = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await bare.execute(text(f"DROP DATABASE IF EXISTS {NAME}"))
        create = f"CREATE DATABASE {NAME} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        await bare.execute(text(create))
    await engine.dispose()


def test_it_is_migrated_and_read_as_any_other(ascii_url: str) -> None:
    migrate(ascii_url)
    assert asyncio.run(_read(ascii_url)) == "₹ und Ä"


async def _read(url: str) -> str:
    engine = open_database(url)
    try:
        await ping(sessions_of(engine))
        async with transaction(sessions_of(engine)) as session:
            return str((await session.execute(text("SELECT '₹ und Ä'"))).scalar_one())
    finally:
        await engine.dispose()
