"""Rows B1 and B2 over HTTP, against the real paper exchange through the real kiteconnect client."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from api.base.clock import utc_now
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.brokers import BrokerAccount
from persistence.database.repositories.brokers import BrokerAccounts
from persistence.errors import UnreadableSecret
from persistence.mirror.mirror import RuntimeMirror
from persistence.secrets.encryption import SealedSecret, SecretBox, open_credentials
from tests.integration.api_user import ApiUser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]


async def user_id_of(user: ApiUser) -> int:
    return int((await user.call("GET", "/auth/validate")).json()["user_id"])


async def account_of(sessions: Sessions, user: ApiUser) -> BrokerAccount | None:
    user_id = await user_id_of(user)
    async with transaction(sessions) as session:
        return await BrokerAccounts(session).of_user(user_id)


async def test_connect_validates_stores_encrypted_and_shows_in_redis(
    user: ApiUser,
    paper: PaperExchange,
    sessions: Sessions,
    mirror: RuntimeMirror,
    settings: Settings,
) -> None:
    user.paper = paper.control.new_account()
    answer = await user.connect()
    assert answer.status_code == 200
    assert answer.json() == {"broker_connected": True, "broker": "paper", "broker_user_id": user.paper.user_id}
    user_id = await user_id_of(user)
    assert await mirror._redis.hget(f"user:{user_id}", "broker_connected") == "true"
    account = await account_of(sessions, user)
    assert account is not None
    for secret in (user.paper.api_key, user.paper.api_secret, user.paper.access_token):
        assert secret.encode() not in account.secrets_box
    box = SecretBox.from_texts([key.get_secret_value() for key in settings.encryption_keys])
    sealed = SealedSecret(account.secrets_box, account.key_version)
    assert open_credentials(box, user_id, sealed).access_token == user.paper.access_token
    with pytest.raises(UnreadableSecret):
        open_credentials(box, user_id + 1, sealed)


async def test_a_request_token_is_exchanged(user: ApiUser, paper: PaperExchange, sessions: Sessions) -> None:
    user.paper = paper.control.new_account()
    request_token = paper.control.request_token(user.paper.user_id)
    answer = await user.connect(access_token=None, request_token=request_token)
    assert answer.status_code == 200, answer.text
    assert await account_of(sessions, user) is not None
    reused = await user.connect(access_token=None, request_token=request_token)
    assert (reused.status_code, reused.json()["detail"]) == (401, "Token expired, please refresh")


@pytest.mark.parametrize(
    ("changes", "status", "detail", "code"),
    [
        ({"access_token": "wrong"}, 401, "Invalid access token", "broker_token_invalid"),
        ({"api_key": "wrong"}, 401, "Invalid access token", "broker_token_invalid"),
        ({"api_secret": "wrong"}, 403, "Credentials mismatch", "credentials_mismatch"),
        ({"broker": "kite"}, 409, "kite is not offered here: choose paper", "broker_not_offered"),
    ],
)
async def test_refused_credentials_are_not_stored(
    user: ApiUser,
    paper: PaperExchange,
    sessions: Sessions,
    changes: dict[str, str],
    status: int,
    detail: str,
    code: str,
) -> None:
    user.paper = paper.control.new_account()
    answer = await user.connect(**changes)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail, "code": code})
    assert await account_of(sessions, user) is None


async def test_a_wrong_secret_with_a_request_token(user: ApiUser, paper: PaperExchange, sessions: Sessions) -> None:
    user.paper = paper.control.new_account()
    request_token = paper.control.request_token(user.paper.user_id)
    answer = await user.connect(access_token=None, request_token=request_token, api_secret="wrong")
    assert (answer.status_code, answer.json()["detail"]) == (403, "Credentials mismatch")
    assert await account_of(sessions, user) is None


async def test_an_expired_token_is_told_apart(trader: ApiUser, paper: PaperExchange) -> None:
    assert trader.paper is not None
    paper.control.expire_token(trader.paper.user_id)
    answer = await trader.connect()
    assert (answer.status_code, answer.json()["detail"]) == (401, "Token expired, please refresh")
    assert answer.json()["code"] == "broker_token_expired"


async def test_a_token_that_worked_before_its_morning_has_expired_whatever_the_broker_calls_it(
    trader: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    assert trader.paper is not None
    paper.control.set_token(trader.paper.user_id, "the token of the next day")
    assert (await trader.connect()).json()["detail"] == "Invalid access token"
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE broker_accounts SET token_obtained_at = :then WHERE broker_user_id = :user"),
            {"then": utc_now() - timedelta(days=2), "user": trader.paper.user_id},
        )
    assert (await trader.connect()).json()["detail"] == "Token expired, please refresh"


async def test_a_broker_that_is_down_is_unreachable(trader: ApiUser, paper: PaperExchange) -> None:
    paper.control.outage(on=True)
    try:
        answer = await trader.connect()
    finally:
        paper.control.outage(on=False)
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")


async def test_connecting_the_same_account_again_keeps_its_id(trader: ApiUser, sessions: Sessions) -> None:
    before = await account_of(sessions, trader)
    assert (await trader.connect()).status_code == 200
    after = await account_of(sessions, trader)
    assert before is not None
    assert after is not None
    assert after.id == before.id


async def test_another_account_gets_another_id_so_that_no_order_goes_to_the_old_one(
    trader: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    before = await account_of(sessions, trader)
    trader.paper = paper.control.new_account()
    assert (await trader.connect()).status_code == 200
    after = await account_of(sessions, trader)
    assert before is not None
    assert after is not None
    assert after.id != before.id
    assert after.broker_user_id == trader.paper.user_id


async def test_the_account_cannot_change_under_a_running_strategy(trader: ApiUser, paper: PaperExchange) -> None:
    await trader.started()
    assert (await trader.connect()).status_code == 200
    trader.paper = paper.control.new_account()
    assert (await trader.connect()).json()["code"] == "strategies_running"
    assert (await trader.call("DELETE", "/broker")).json()["code"] == "strategies_running"


async def test_status_and_disconnect(trader: ApiUser, mirror: RuntimeMirror) -> None:
    assert trader.paper is not None
    status = (await trader.call("GET", "/broker/status")).json()
    assert status["broker_connected"] is True
    assert status["api_key_hint"] == trader.paper.api_key[-4:]
    assert status["token_expired"] is False
    assert trader.paper.api_key not in str(status)
    assert (await trader.call("DELETE", "/broker")).status_code == 204
    assert (await trader.call("GET", "/broker/status")).json()["broker_connected"] is False
    assert await mirror._redis.hget(f"user:{await user_id_of(trader)}", "broker_connected") == "false"


async def test_either_token_is_needed_and_nothing_is_echoed(user: ApiUser, client: httpx.AsyncClient) -> None:
    answer = await user.call("POST", "/broker/connect", api_key="the-key-0001", api_secret="the-secret-0001")
    assert answer.status_code == 422
    assert "the-secret" not in answer.text
    assert "the-key" not in answer.text
