"""What comes from the broker is not trusted: redirects, certificates, garbage, and answers that never end."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from actors.domain.identifiers import Instrument
from api.app import create_app
from broker.errors import BrokerUnreachable
from broker.kite.login import check_access_token, exchange_request_token, last_price
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.hostile_http import HostileBroker, hostile_broker, self_signed_certificate
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

PATIENCE = (0.5, 1.0)
INFY = Instrument("NSE", "INFY", 408065)
GOOD = {"user_id": "AB1234", "access_token": "fresh", "login_time": "2026-11-23 09:00:00"}
KEYS = {"api_key": "the-api-key", "api_secret": "the-secret"}


@pytest.fixture
def hostile() -> Iterator[HostileBroker]:
    with hostile_broker() as broker:
        yield broker


@pytest.fixture
async def victim(settings: Settings, engine: FakeEngine, hostile: HostileBroker) -> AsyncIterator[ApiUser]:
    """A user of an API whose broker is the hostile one."""
    app = create_app(settings.model_copy(update={"paper_root": hostile.url}), engine)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api") as client,
    ):
        yield await ApiUser.register(client)


async def connect(user: ApiUser, **token: str) -> httpx.Response:
    return await user.call("POST", "/broker/connect", **KEYS | (token or {"access_token": "the-token"}))


async def rows(sessions: Sessions, user: ApiUser) -> int:
    user_id = (await user.call("GET", "/auth/validate")).json()["user_id"]
    async with transaction(sessions) as session:
        count = text("SELECT count(*) FROM broker_accounts WHERE user_id = :id")
        return int(await session.scalar(count, {"id": user_id}) or 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("token", ["access_token", "request_token"])
async def test_a_redirect_is_not_followed_with_the_users_credentials(
    victim: ApiUser, hostile: HostileBroker, sessions: Sessions, status: int, token: str
) -> None:
    with hostile_broker() as elsewhere:
        elsewhere.answers(json.dumps({"status": "success", "data": GOOD}))
        hostile.answers("{}", status, Location=f"{elsewhere.url}/user/profile")
        answer = await connect(victim, **{token: "the-token"})
        assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")
        assert elsewhere.requests == []
    assert len(hostile.requests) == 1
    assert await rows(sessions, victim) == 0


async def test_nor_is_one_to_the_broker_itself(victim: ApiUser, hostile: HostileBroker) -> None:
    hostile.answers("{}", 302, Location="/user/profile")
    assert (await connect(victim)).json()["code"] == "broker_unreachable"
    assert len(hostile.requests) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_said(tmp_path: Path) -> None:
    with hostile_broker(self_signed_certificate(tmp_path)) as broker:
        broker.answers(json.dumps({"status": "success", "data": GOOD}))
        for call in (
            lambda: check_access_token("key", "token", root=broker.url, timeout_s=PATIENCE),
            lambda: exchange_request_token("key", "secret", "request", root=broker.url, timeout_s=PATIENCE),
            lambda: last_price("key", "token", INFY, root=broker.url, timeout_s=PATIENCE),
        ):
            with pytest.raises(BrokerUnreachable):
                call()
        assert broker.requests == []


def test_a_netrc_entry_for_the_host_does_not_replace_the_users_credentials(
    hostile: HostileBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login operator password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    hostile.answers(json.dumps({"status": "success", "data": GOOD}))
    check_access_token("key", "token", root=hostile.url, timeout_s=PATIENCE)
    ((_, _, headers),) = hostile.requests
    assert headers["authorization"] == "token key:token"


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "AB1234",
        {},
        {"user_id": None},
        {"user_id": ""},
        {"user_id": 17},
        {"user_id": ["AB1234"]},
        {"user_id": "a b\n"},
        {"user_id": "x" * 300},
        {"user_id": "\0"},
    ],
)
async def test_a_profile_without_a_user_id_proves_nothing(
    victim: ApiUser, hostile: HostileBroker, sessions: Sessions, data: Any
) -> None:
    hostile.answers(json.dumps({"status": "success", "data": data}))
    answer = await connect(victim)
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")
    assert await rows(sessions, victim) == 0


@pytest.mark.parametrize("broken", [{"access_token": 5}, {"access_token": ""}, {"user_id": None}, {"login_time": 5}])
async def test_a_session_without_a_token_is_none(
    victim: ApiUser, hostile: HostileBroker, sessions: Sessions, broken: dict[str, Any]
) -> None:
    hostile.answers(json.dumps({"status": "success", "data": GOOD | broken}))
    answer = await connect(victim, request_token="requested")
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")
    assert await rows(sessions, victim) == 0


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "application/json", "not json"),
        (200, "application/json", "[1, 2]"),
        (200, "application/json", '{"status": "error"}'),
        (200, "application/json", '{"status": "error", "error_type": "TokenException"}'),
        (200, "application/json", "[" * 100_000),
        (200, "text/html", "<h1>Welcome</h1>"),
        (502, "text/html", "<h1>Bad gateway</h1>"),
        (500, "application/json", '{"status": "error", "error_type": 7, "message": []}'),
    ],
)
async def test_garbage_is_no_answer(victim: ApiUser, hostile: HostileBroker, status: int, kind: str, body: str) -> None:
    hostile.answers(body, status, Content_Type=kind)
    answer = await connect(victim)
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")


async def test_a_reason_of_the_broker_is_passed_on_shortened(victim: ApiUser, hostile: HostileBroker) -> None:
    reason = "Your account is blocked. " * 1000
    hostile.answers(json.dumps({"status": "error", "error_type": "PermissionException", "message": reason}), 403)
    answer = await connect(victim)
    assert (answer.status_code, answer.json()["code"]) == (403, "broker_refused")
    assert answer.json()["detail"] == reason[:299] + "…"


@pytest.mark.parametrize("price", ["1.5", "NaN", "Infinity", "-5", "0", '"x"', "null", "{}", "[]", "true"])
def test_a_price_that_is_none_is_not_taken_for_one(hostile: HostileBroker, price: str) -> None:
    hostile.answers('{"status": "success", "data": {"NSE:INFY": {"last_price": ' + price + "}}}")
    try:
        found = last_price("key", "token", INFY, root=hostile.url, timeout_s=PATIENCE)
    except BrokerUnreachable:
        found = None
    assert (str(found) if found else None) == (price if price == "1.5" else None)


async def test_a_broker_that_drips_does_not_hold_a_request_for_long(user: ApiUser, paper: PaperExchange) -> None:
    user.paper = paper.control.new_account()
    paper.control.fault("drip", {"route": "/user/profile", "user_id": user.paper.user_id}, seconds=1.0)
    began = time.monotonic()
    answer = await user.connect()
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unreachable")
    assert time.monotonic() - began < 8
