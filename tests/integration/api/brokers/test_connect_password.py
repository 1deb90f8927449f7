"""When connecting a broker wants the password, and when a user is not asked. On the real paper exchange."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update
from sqlmodel import col

from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.audit import AuditEntry
from persistence.database.models.brokers import BrokerAccount
from persistence.database.models.users import Login
from persistence.database.repositories.brokers import _OWNERS_LOCK
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.apps import at, serving
from tests.integration.locks import until_waiting
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

NEEDED = (403, "password_needed")


async def make_old(sessions: Sessions, user: ApiUser, app: FastAPI) -> None:
    """Let the password have been given six minutes ago."""
    claims = app.state.resources.tokens.check(user.tokens["access_token"])
    async with transaction(sessions) as session:
        login = update(Login).where(col(Login.id) == claims.login_id)
        await session.execute(login.values(confirmed_at=datetime.now(UTC) - timedelta(minutes=6)))


def outcome(answer: httpx.Response) -> tuple[int, str]:
    """Status and code."""
    return answer.status_code, answer.json().get("code", "")


async def failed_connects(sessions: Sessions, user: ApiUser) -> int:
    """How many lines the audit log has about them."""
    user_id = (await user.call("GET", "/auth/validate")).json()["user_id"]
    failed = select(func.count()).select_from(AuditEntry).filter_by(user_id=user_id, action="broker_connect_failed")
    async with transaction(sessions) as session:
        return int(await session.scalar(failed) or 0)


def other_account(user: ApiUser, paper: PaperExchange) -> ApiUser:
    """The same user with the keys of another broker account."""
    return replace(user, paper=paper.control.new_account())


async def test_a_stolen_access_token_connects_no_other_broker_account(
    app: FastAPI, trader: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    assert trader.paper is not None
    thief = other_account(trader, paper)
    await make_old(sessions, trader, app)
    assert outcome(await thief.connect()) == NEEDED
    assert (await trader.call("GET", "/broker/status")).json()["broker_user_id"] == trader.paper.user_id
    assert (await trader.call("DELETE", "/broker")).status_code == 204
    assert outcome(await thief.connect()) == NEEDED, "to disconnect first is no way around it"
    assert await failed_connects(sessions, trader) == 2, "the owner sees it"
    assert (await trader.connect()).status_code == 200, "the account that was disconnected wants no password"


async def test_a_user_who_asks_for_nothing_new_is_not_asked_for_the_password(
    app: FastAPI, user: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    await make_old(sessions, user, app)
    user = other_account(user, paper)
    assert user.paper is not None
    assert (await user.connect()).status_code == 200, "a first connection, hours after the login"
    assert (await user.connect()).status_code == 200, "the same keys and the same token again"
    paper.control.set_token(user.paper.user_id, "of-the-next-day")
    renewed = await user.call("POST", "/broker/connect", access_token="of-the-next-day")
    assert renewed.status_code == 200, "the next morning's token"
    token = paper.control.request_token(user.paper.user_id)
    assert (await user.call("POST", "/broker/connect", request_token=token)).status_code == 200, "one tap"


async def test_another_account_is_connected_at_once_after_a_login(trader: ApiUser, paper: PaperExchange) -> None:
    user = other_account(trader, paper)
    assert user.paper is not None
    answer = await user.connect()
    assert (answer.status_code, answer.json()["broker_user_id"]) == (200, user.paper.user_id)


async def test_the_password_given_again_counts_for_five_minutes_in_its_own_login(
    app: FastAPI, trader: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    thief = other_account(trader, paper)
    login = await trader.client.post("/auth/login", json={"email": trader.email, "password": PASSWORD})
    owner = replace(thief, tokens=login.json())
    for device in (thief, owner):
        await make_old(sessions, device, app)
        assert outcome(await device.connect()) == NEEDED
    assert outcome(await owner.call("POST", "/auth/confirm", password="a guess")) == (401, "invalid_credentials")
    confirmed = await owner.call("POST", "/auth/confirm", password=PASSWORD)
    assert confirmed.status_code == 200
    left = datetime.fromisoformat(confirmed.json()["confirmed_until"]) - datetime.now(UTC)
    assert timedelta(minutes=4) < left <= timedelta(minutes=5)
    assert outcome(await thief.connect()) == NEEDED
    assert (await owner.connect()).status_code == 200


async def test_a_token_of_another_account_under_the_same_key_wants_the_password(
    app: FastAPI, trader: ApiUser, sessions: Sessions
) -> None:
    await make_old(sessions, trader, app)
    async with transaction(sessions) as session:  # a key that serves several accounts: the stored one is another's
        claims = app.state.resources.tokens.check(trader.tokens["access_token"])
        mine = update(BrokerAccount).where(col(BrokerAccount.user_id) == claims.user_id)
        await session.execute(mine.values(broker_user_id=f"X{uuid.uuid4().hex[:8]}"))
    assert outcome(await trader.connect()) == NEEDED
    assert await failed_connects(sessions, trader) == 1


async def test_of_two_first_connections_at_once_the_later_one_wants_the_password(
    app: FastAPI, user: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    await make_old(sessions, user, app)
    async with transaction(sessions) as session:  # both have found no connection when they come to store theirs
        await session.execute(select(func.pg_advisory_xact_lock(_OWNERS_LOCK)))
        connects = [asyncio.create_task(other_account(user, paper).connect()) for _ in range(2)]
        await until_waiting(sessions, 2)
    answers = [await connect for connect in connects]
    assert sorted(outcome(answer) for answer in answers) == [(200, ""), NEEDED], "it would replace the first one"


async def test_to_be_asked_for_the_password_is_no_failed_connect(
    app: FastAPI, trader: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    user = other_account(trader, paper)
    await make_old(sessions, user, app)
    assert [outcome(await user.connect()) for _ in range(15)] == [NEEDED] * 15
    assert (await user.call("POST", "/auth/confirm", password=PASSWORD)).status_code == 200
    assert (await user.connect()).status_code == 200


@pytest.mark.parametrize("change", ["first", "key", "none"])
async def test_an_operator_can_have_every_change_confirmed(
    app: FastAPI, settings: Settings, engine: FakeEngine, trader: ApiUser, sessions: Sessions, change: str
) -> None:
    assert trader.paper is not None
    if change == "first":
        assert (await trader.call("DELETE", "/broker")).status_code == 204
    await make_old(sessions, trader, app)
    async with serving(settings, engine, confirm_connect="any_change") as client:
        answer = await at(trader, client).connect(**({"api_key": "another"} if change == "key" else {}))
    assert outcome(answer) == ((200, "") if change == "none" else NEEDED)
