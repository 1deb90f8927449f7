"""Migration 0013 on a database that is in use, and what is kept by two transactions that end differently."""

import asyncio
import secrets

import pytest
from alembic import command
from sqlalchemy import Engine, inspect, text

from persistence.database.engine import Sessions, tenant_transaction
from persistence.database.repositories.kept_answers import KeptAnswers
from tests.integration.persistence.database.new_database import database_of_before
from tests.integration.rows import new_user

pytest_plugins = ["tests.integration.fixtures"]

USER = "INSERT INTO users (email, password_hash) VALUES ('asha@example.com', 'x')"
KEEP = (
    "INSERT INTO kept_answers (user_id, key_hash, request_hash, status, answer) "
    "SELECT id, sha256('key'), sha256('request'), 201, '{}' FROM users"
)
REQUEST = b"r" * 32


def test_the_table_comes_and_goes_and_comes_again(database: Engine) -> None:
    with database.connect() as connection:
        config = database_of_before(connection, "0012", USER)
        for _ in range(2):
            command.upgrade(config, "0013")
            connection.execute(text(KEEP))
            connection.commit()
            command.downgrade(config, "0012")
            assert "kept_answers" not in inspect(connection).get_table_names()
        assert connection.scalar(text("SELECT count(*) FROM users")) == 1


async def test_the_second_of_two_transactions_keeps_its_answer_if_the_first_is_given_up(sessions: Sessions) -> None:
    user, key = await new_user(sessions), secrets.token_bytes(32)
    kept, may_fail = asyncio.Event(), asyncio.Event()

    async def keep_and_fail() -> None:
        async with tenant_transaction(sessions, user.id) as session:
            assert await KeptAnswers(session).add(user.id, key, REQUEST, 201, "first")
            kept.set()
            await may_fail.wait()
            raise ConnectionResetError

    async def keep() -> bool:
        async with tenant_transaction(sessions, user.id) as session:
            return await KeptAnswers(session).add(user.id, key, REQUEST, 201, "second")

    first = asyncio.create_task(keep_and_fail())
    await kept.wait()
    second = asyncio.create_task(keep())
    may_fail.set()
    with pytest.raises(ConnectionResetError):
        await first
    assert await second
    async with tenant_transaction(sessions, user.id) as session:
        stored = await KeptAnswers(session).get(user.id, key)
        assert stored is not None
        assert stored.answer == "second"
        assert not await KeptAnswers(session).add(user.id, key, REQUEST, 201, "third")
