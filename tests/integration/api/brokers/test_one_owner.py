"""An account at a broker has one owner, over all users: in the API, in the database and after an upgrade."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from alembic import command
from sqlalchemy import Connection, Engine, create_engine, text

from config.settings import Settings
from persistence.database.engine import Sessions, migration_config, tenant_transaction, transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.users import User
from persistence.database.repositories.brokers import ACCOUNT_TAKEN, BrokerAccounts
from persistence.errors import ConstraintViolated, SchemaRefused
from tests.integration.api_user import ApiUser
from tests.integration.apps import at, serving
from tests.integration.persistence.database.new_database import database_of_before, new_database
from tests.integration.rows import NOW, new_user
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperCredentials, PaperExchange

pytest_plugins = ["tests.integration.fixtures"]


async def another(client: httpx.AsyncClient, paper: PaperCredentials | None) -> ApiUser:
    """A second user, who holds the keys of the same account."""
    user = await ApiUser.register(client)
    user.paper = paper
    return user


async def owners(sessions: Sessions, account: PaperCredentials | None) -> list[str]:
    """The e-mail addresses of those who are connected to an account."""
    assert account is not None
    found = text("SELECT email FROM users JOIN broker_accounts ON user_id = users.id WHERE broker_user_id = :id")
    async with transaction(sessions) as session:
        return list(await session.scalars(found, {"id": account.user_id}))


async def test_a_second_user_of_an_account_is_told_that_it_is_taken_and_nothing_of_the_first(
    client: httpx.AsyncClient, trader: ApiUser, sessions: Sessions
) -> None:
    second = await another(client, trader.paper)
    answer = await second.connect()
    assert (answer.status_code, answer.json()["code"]) == (409, "account_taken")
    assert "POST /broker/paper" in answer.json()["detail"]
    assert trader.email not in answer.text
    assert (await second.call("GET", "/broker/status")).json()["broker_connected"] is False
    assert await owners(sessions, trader.paper) == [trader.email]
    lines = (await second.call("GET", "/auth/activity")).json()["activity"]
    assert "broker_connect_failed" in [line["action"] for line in lines]


async def test_the_owner_connects_again_and_a_free_account_may_be_taken(
    client: httpx.AsyncClient, trader: ApiUser, sessions: Sessions
) -> None:
    second = await another(client, trader.paper)
    assert (await trader.connect()).status_code == 200
    assert (await trader.call("DELETE", "/broker")).status_code == 204
    assert (await second.connect()).status_code == 200
    assert (await trader.connect()).json()["code"] == "account_taken"
    assert await owners(sessions, trader.paper) == [second.email]


async def test_a_user_who_is_refused_keeps_the_connection_that_was_there(
    client: httpx.AsyncClient, trader: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    second = await another(client, paper.control.new_account())
    assert (await second.connect()).status_code == 200
    own, second.paper = second.paper, trader.paper
    assert (await second.connect()).json()["code"] == "account_taken"
    assert await owners(sessions, own) == [second.email]


async def test_of_two_who_connect_at_once_one_wins(
    client: httpx.AsyncClient, settings: Settings, engine: FakeEngine, paper: PaperExchange, sessions: Sessions
) -> None:
    account = paper.control.new_account()
    users = [await another(client, account) for _ in range(6)]
    async with serving(settings, engine) as elsewhere:
        processes = (client, elsewhere)
        answers = await asyncio.gather(*(at(user, processes[n % 2]).connect() for n, user in enumerate(users)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    winner = next(user for user, answer in zip(users, answers, strict=True) if answer.status_code == 200)
    assert await owners(sessions, account) == [winner.email]


async def test_two_who_take_each_others_accounts_do_not_block_each_other(sessions: Sessions) -> None:
    first, second = await new_user(sessions), await new_user(sessions)
    mine, yours, other = (f"ZZ{first.id}{letter}" for letter in "ABC")
    await connect(sessions, first, mine)
    await connect(sessions, second, yours)
    waiting: list[asyncio.Task[None]] = []

    async def move_twice() -> None:
        async with tenant_transaction(sessions, first.id) as session:
            await BrokerAccounts(session).put(first.id, row_of(other))
            waiting.append(asyncio.create_task(connect(sessions, second, mine)))
            await until_one_waits(sessions)
            await BrokerAccounts(session).put(first.id, row_of(yours))  # would wait for the one who waits for us

    with pytest.raises(ConstraintViolated, match=ACCOUNT_TAKEN):
        await move_twice()
    with pytest.raises(ConstraintViolated, match=ACCOUNT_TAKEN):
        await waiting[0]


async def connect(sessions: Sessions, user: User, account: str) -> None:
    async with tenant_transaction(sessions, user.id) as session:
        await BrokerAccounts(session).put(user.id, row_of(account))


async def until_one_waits(sessions: Sessions) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10):
        while True:
            async with transaction(sessions) as session:
                if await session.scalar(waiting):
                    return


def row_of(account: str) -> dict[str, Any]:
    return {
        "broker": "kite", "broker_user_id": account, "api_key_hint": "", "secrets_box": b"x", "key_version": "0",
        "token_obtained_at": NOW, "connected_at": NOW,
    }  # fmt: skip


async def test_the_database_refuses_across_tenants_and_shows_no_row(sessions: Sessions) -> None:
    first, second = await new_user(sessions), await new_user(sessions)
    values = row_of(f"ZZ{first.id}")
    async with tenant_transaction(sessions, first.id) as session:
        await BrokerAccounts(session).put(first.id, values)
    async with tenant_transaction(sessions, second.id) as session:
        assert await session.scalar(text("SELECT count(*) FROM broker_accounts")) == 0
    with pytest.raises(ConstraintViolated, match=ACCOUNT_TAKEN):
        async with tenant_transaction(sessions, second.id) as session:
            await BrokerAccounts(session).put(second.id, values)
    async with tenant_transaction(sessions, first.id) as session:
        assert isinstance(await BrokerAccounts(session).of_user(first.id), BrokerAccount)


DOUBLES = """
INSERT INTO users (email, password_hash) SELECT 'user' || n || '@example.com', 'x' FROM generate_series(1, 5) n;
INSERT INTO broker_accounts (user_id, broker, broker_user_id, api_key_hint, secrets_box, key_version,
    token_obtained_at, connected_at)
SELECT users.id, wanted.broker, wanted.account, '', '', '0', now(), wanted.at::timestamptz
FROM (VALUES
    (1, 'kite', 'AB1', '2026-11-20'), (2, 'kite', 'AB1', '2026-11-27'), (3, 'kite', 'AB1', '2026-11-25'),
    (4, 'paper', 'AB1', '2026-11-01'), (5, 'kite', 'CD2', '2026-11-02')
) AS wanted (n, broker, account, at) JOIN users ON email = 'user' || wanted.n || '@example.com';
"""

OPEN_RUN = """
WITH account AS (
    SELECT broker_accounts.* FROM broker_accounts JOIN users ON users.id = user_id WHERE email = :email
), strategy AS (
    INSERT INTO strategies (user_id, exchange, tradingsymbol, instrument_token, product, buy_time, sell_time,
        stop_loss_paise, quantity, status)
    SELECT user_id, 'NSE', 'INFY', 1, 'CNC', '09:30', '15:10', 100, 1, 'running' FROM account RETURNING *
)
INSERT INTO runs (user_id, strategy_id, broker_account_id, tag_key, buy_at, sell_at, stop_loss_paise, quantity, product)
SELECT strategy.user_id, strategy.id, account.id, '0123456789abcdef', :at, :until, 100, 1, 'CNC' FROM strategy, account
"""


@pytest.fixture
def upgrading(postgres_url: str) -> Iterator[Engine]:
    """A database of the version before, with three users of one account."""
    with new_database(postgres_url) as url:
        engine = create_engine(url)
        with engine.connect() as connection:
            database_of_before(connection, "0004", DOUBLES)
        yield engine
        engine.dispose()


def move(connection: Connection, revision: str) -> None:
    config = migration_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def open_run(connection: Connection, email: str) -> None:
    at = datetime(2026, 11, 27, 4, tzinfo=UTC)
    connection.execute(text(OPEN_RUN), {"email": email, "at": at, "until": at + timedelta(hours=5)})
    connection.commit()


def connected(connection: Connection) -> list[str]:
    found = text("SELECT email FROM users JOIN broker_accounts ON user_id = users.id ORDER BY email")
    emails = [email.removesuffix("@example.com") for email in connection.scalars(found)]
    connection.commit()
    return emails


def test_an_upgrade_keeps_the_connection_that_was_made_last_and_tells_the_others(upgrading: Engine) -> None:
    with upgrading.connect() as connection:
        move(connection, "head")
        assert connected(connection) == ["user2", "user4", "user5"]
        told = text(
            "SELECT email, subject, detail->>'account' FROM audit_log JOIN users ON users.id = user_id "
            "WHERE action = 'broker_disconnect' AND detail->>'reason' = 'account_taken' ORDER BY email"
        )
        assert [tuple(row) for row in connection.execute(told)] == [
            ("user1@example.com", "kite", "AB1"),
            ("user3@example.com", "kite", "AB1"),
        ]


def test_an_upgrade_never_takes_the_connection_of_a_run_away(upgrading: Engine) -> None:
    with upgrading.connect() as connection:
        open_run(connection, "user1@example.com")
        move(connection, "head")
        assert connected(connection) == ["user1", "user4", "user5"]


def test_an_upgrade_changes_nothing_while_several_owners_run_strategies(upgrading: Engine) -> None:
    with upgrading.connect() as connection:
        open_run(connection, "user1@example.com")
        open_run(connection, "user3@example.com")
        with pytest.raises(SchemaRefused, match=r"kite account AB1 by users \d+, \d+\. .* stop their strategies"):
            move(connection, "head")
        connection.rollback()
        assert connected(connection) == ["user1", "user2", "user3", "user4", "user5"]
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0004"
