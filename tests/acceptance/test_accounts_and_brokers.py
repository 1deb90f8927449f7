"""Rows A1 to B3 and K1, over REST on the real stack."""

import pytest

from tests.kit.trader import Deployment, Trader


def test_registering_gives_a_token_that_validates(deployment: Deployment) -> None:
    trader = Trader(deployment)
    answer = trader.register()
    assert answer["token_type"] == "bearer"
    assert trader.ok("GET", "/auth/validate")["email"] == trader.email
    stored = deployment.query("select password_hash from users where email = %s", trader.email)
    assert stored[0]["password_hash"].startswith("$argon2id$")


def test_second_registration_with_the_same_email_is_refused(trader: Trader) -> None:
    answer = trader.call("POST", "/auth/register", {"email": trader.email.upper(), "password": trader.password})
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")


def test_login_gives_a_token_and_a_wrong_password_does_not(trader: Trader) -> None:
    trader.ok("POST", "/auth/login", {"email": trader.email, "password": trader.password})
    answer = trader.call("POST", "/auth/login", {"email": trader.email, "password": "not the password"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


def test_connecting_stores_the_credentials_encrypted(deployment: Deployment, trader: Trader) -> None:
    user_id = trader.ok("GET", "/auth/validate")["user_id"]
    assert deployment.hash(f"user:{user_id}")["broker_connected"] == "true"
    (row,) = deployment.query("select * from broker_accounts where user_id = %s", user_id)
    stored = repr(row)
    assert trader.account.access_token not in stored
    assert trader.account.api_secret not in stored


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"access_token": "wrong"}, 401, "Invalid access token"),
        ({"api_secret": "wrong"}, 403, "Credentials mismatch"),
    ],
)
def test_refused_credentials_are_explained_and_not_stored(
    deployment: Deployment, change: dict[str, str], status: int, sentence: str
) -> None:
    trader = Trader(deployment)
    trader.register()
    keys = {name: getattr(trader.account, name) for name in ("api_key", "api_secret", "access_token")}
    answer = trader.call("POST", "/broker/connect", {"broker": "paper", **keys, **change})
    assert (answer.status_code, answer.json()["detail"]) == (status, sentence)
    assert trader.ok("GET", "/broker/status")["broker_connected"] is False


def test_expired_token_is_told_apart(deployment: Deployment) -> None:
    trader = Trader(deployment)
    trader.register()
    deployment.exchange.expire_token(trader.account.user_id)
    keys = {name: getattr(trader.account, name) for name in ("api_key", "api_secret", "access_token")}
    answer = trader.call("POST", "/broker/connect", {"broker": "paper", **keys})
    assert (answer.status_code, answer.json()["detail"]) == (401, "Token expired, please refresh")


def test_request_token_is_exchanged_for_a_session(deployment: Deployment) -> None:
    trader = Trader(deployment)
    trader.register()
    request_token = deployment.exchange.request_token(trader.account.user_id)
    body = {"api_key": trader.account.api_key, "api_secret": trader.account.api_secret, "request_token": request_token}
    assert trader.ok("POST", "/broker/connect", body)["broker_user_id"] == trader.account.user_id


def test_strategy_needs_a_connected_broker(deployment: Deployment) -> None:
    trader = Trader(deployment)
    trader.register()
    wanted = {"symbol": "INFY", "buy_time": "09:30", "sell_time": "15:10", "stop_loss": 1400.0, "quantity": 1}
    answer = trader.call("POST", "/strategy/create", wanted)
    assert (answer.status_code, answer.json()["code"]) == (409, "broker_not_connected")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sell_time": "09:30"}, "sell_time"),
        ({"stop_loss": 0}, "stop_loss"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"symbol": "NOSUCH"}, "symbol"),
        ({"symbol": "NIFTY 50"}, "symbol"),
    ],
)
def test_strategy_that_breaks_a_rule_is_refused_with_the_field_at_fault(
    trader: Trader, change: dict[str, object], field: str
) -> None:
    wanted = {"symbol": "INFY", "buy_time": "09:30", "sell_time": "15:10", "stop_loss": 1400.0, "quantity": 1}
    answer = trader.call("POST", "/strategy/create", wanted | change)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_other_tenants_see_nothing(deployment: Deployment, trader: Trader) -> None:
    wanted = {"symbol": "M&M", "buy_time": "09:30", "sell_time": "15:10", "stop_loss": 2500.0, "quantity": 1}
    strategy_id = trader.ok("POST", "/strategy/create", wanted)["strategy_id"]
    stranger = deployment.trader()
    calls = [
        ("GET", f"/strategy/status/{strategy_id}", None),
        ("GET", f"/strategy/{strategy_id}", None),
        ("GET", f"/strategy/{strategy_id}/orders", None),
        ("PATCH", f"/strategy/{strategy_id}", {"quantity": 2}),
        ("DELETE", f"/strategy/{strategy_id}", None),
        ("POST", "/strategy/start", {"strategy_id": strategy_id}),
        ("POST", "/strategy/stop", {"strategy_id": strategy_id}),
    ]
    answers = [stranger.call(*call) for call in calls]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "strategy_not_found")}
    assert stranger.ok("GET", "/strategy/list")["total"] == 0
    assert trader.ok("GET", f"/strategy/{strategy_id}")["quantity"] == 1
