"""The next morning: a new token for the account that is connected, and where to get it. On the real paper exchange."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import text

from api.app import create_app
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from tests.integration.api_user import ApiUser
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.login_form import Browser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

NO_KEYS: dict[str, str | None] = {"api_key": None, "api_secret": None}


async def stored(sessions: Sessions, user: ApiUser) -> dict[str, Any] | None:
    user_id = int((await user.call("GET", "/auth/validate")).json()["user_id"])
    async with transaction(sessions) as session:
        rows = await session.execute(text("SELECT * FROM broker_accounts WHERE user_id = :id"), {"id": user_id})
        row = rows.mappings().one_or_none()
    return dict(row) if row else None


async def audited(sessions: Sessions, user: ApiUser) -> list[tuple[str, str, dict[str, str]]]:
    user_id = int((await user.call("GET", "/auth/validate")).json()["user_id"])
    async with transaction(sessions) as session:
        lines = await session.execute(
            text("SELECT action, subject, detail FROM audit_log WHERE user_id = :id ORDER BY id"), {"id": user_id}
        )
        return [
            (line.action, line.subject, {name: value for name, value in line.detail.items() if name != "request_id"})
            for line in lines
            if line.action.startswith("broker")
        ]


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    return answer.status_code, error["field"]


@pytest.mark.parametrize("by", ["access_token", "request_token"])
async def test_a_new_token_alone_is_enough_and_strategies_go_on(
    trader: ApiUser, paper: PaperExchange, sessions: Sessions, by: str
) -> None:
    assert trader.paper is not None
    strategy_id = await trader.started()
    before = await stored(sessions, trader)
    paper.control.expire_token(trader.paper.user_id)
    new: dict[str, str | None]
    if by == "access_token":
        paper.control.set_token(trader.paper.user_id, "of-the-next-day")
        new = {"access_token": "of-the-next-day"}
    else:
        new = {"access_token": None, "request_token": paper.control.request_token(trader.paper.user_id)}
    answer = await trader.connect(**NO_KEYS | new)
    assert (answer.status_code, answer.json()["broker_user_id"]) == (200, trader.paper.user_id)
    after = await stored(sessions, trader)
    assert before is not None
    assert after is not None
    assert after["id"] == before["id"]
    assert after["token_obtained_at"] > before["token_obtained_at"]
    assert after["api_key_hint"] == before["api_key_hint"]
    status = (await trader.call("GET", f"/strategy/status/{strategy_id}")).json()
    assert status["strategy_status"] == "running"


async def test_the_first_connection_needs_the_key_and_the_secret(user: ApiUser, paper: PaperExchange) -> None:
    user.paper = paper.control.new_account()
    assert problem(await user.connect(**NO_KEYS)) == (422, "api_key")
    assert problem(await user.connect(api_key=None)) == (422, "api_key")
    assert problem(await user.connect(api_secret=None)) == (422, "api_secret")
    assert (await user.connect()).status_code == 200


async def test_a_stored_secret_is_not_used_with_another_key(trader: ApiUser, paper: PaperExchange) -> None:
    other = paper.control.new_account()
    assert problem(await trader.connect(api_key=other.api_key, api_secret=None, access_token=other.access_token)) == (
        422,
        "api_secret",
    )
    assert (await trader.connect(api_secret=None)).status_code == 200


async def test_a_wrong_new_secret_leaves_the_connection_as_it_was(trader: ApiUser, sessions: Sessions) -> None:
    before = await stored(sessions, trader)
    answer = await trader.connect(api_key=None, api_secret="wrong")
    assert (answer.status_code, answer.json()["detail"]) == (403, "Credentials mismatch")
    assert await stored(sessions, trader) == before


async def test_after_a_disconnect_nothing_of_it_is_left_to_connect_with(trader: ApiUser) -> None:
    assert (await trader.call("DELETE", "/broker")).status_code == 204
    assert problem(await trader.connect(**NO_KEYS)) == (422, "api_key")


async def test_the_keys_of_one_broker_are_not_used_at_another(
    trader: ApiUser, settings: Settings, engine: FakeEngine
) -> None:
    app = create_app(settings.model_copy(update={"brokers": ("kite", "paper")}), engine)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client,
    ):
        trader.client = client
        assert problem(await trader.connect(**NO_KEYS, broker="kite")) == (422, "api_key")
        assert (await trader.connect(**NO_KEYS)).json()["broker"] == "paper"
        url = (await trader.call("GET", "/broker/login-url?broker=kite&api_key=k%26y")).json()
        assert url["login_url"] == "https://kite.zerodha.com/connect/login?api_key=k%26y&v=3"
        assert (url["broker"], url["expires_at"]) == ("kite", None)
        assert (await trader.call("GET", "/broker/login-url")).json()["broker"] == "paper"


async def test_a_connection_that_cannot_be_decrypted_is_connected_again(trader: ApiUser, sessions: Sessions) -> None:
    before = await stored(sessions, trader)
    assert before is not None
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE broker_accounts SET key_version = 'ffffffff' WHERE id = :id"), {"id": before["id"]}
        )
    assert problem(await trader.connect(**NO_KEYS)) == (422, "api_key")
    assert problem(await trader.call("GET", "/broker/login-url")) == (422, "api_key")
    refused = await trader.create()
    assert (refused.status_code, refused.json()["code"]) == (409, "broker_not_connected")
    assert (await trader.connect()).status_code == 200
    after = await stored(sessions, trader)
    assert after is not None
    assert after["id"] == before["id"]


async def test_secrets_swapped_between_two_users_open_for_neither(
    trader: ApiUser, client: httpx.AsyncClient, paper: PaperExchange, sessions: Sessions
) -> None:
    other = await ApiUser.register(client)
    other.paper = paper.control.new_account()
    assert (await other.connect()).status_code == 200
    mine, theirs = await stored(sessions, trader), await stored(sessions, other)
    assert mine is not None
    assert theirs is not None
    async with transaction(sessions) as session:
        for target, source in ((mine, theirs), (theirs, mine)):
            await session.execute(
                text("UPDATE broker_accounts SET secrets_box = :box WHERE id = :id"),
                {"box": source["secrets_box"], "id": target["id"]},
            )
    for user in (trader, other):
        assert (await user.create()).json()["code"] == "broker_not_connected"
        assert problem(await user.connect(**NO_KEYS)) == (422, "api_key")


async def test_the_login_page_of_the_paper_exchange_gives_a_request_token(
    trader: ApiUser, paper: PaperExchange, client: httpx.AsyncClient
) -> None:
    assert trader.paper is not None
    answer = await trader.call("GET", "/broker/login-url")
    address = urlsplit(answer.json()["login_url"])
    assert f"{address.scheme}://{address.netloc}" == paper.url
    assert (address.path, parse_qs(address.query)) == (
        "/connect/login",
        {"api_key": [trader.paper.api_key], "v": ["3"]},
    )
    submitting = asyncio.to_thread(
        Browser().submit, answer.json()["login_url"], user_id=trader.paper.user_id, password="paper"
    )
    page = (await submitting).text
    request_token = page.partition('id="request_token">')[2].partition("<")[0]
    assert (await trader.connect(**NO_KEYS, access_token=None, request_token=request_token)).status_code == 200
    newcomer = await ApiUser.register(client)
    assert problem(await newcomer.call("GET", "/broker/login-url")) == (422, "api_key")
    assert (await newcomer.call("GET", "/broker/login-url?api_key=abc")).json()["login_url"].endswith("api_key=abc&v=3")
    assert (await newcomer.call("GET", "/broker/login-url?broker=kite&api_key=abc")).json()["code"] == (
        "broker_not_offered"
    )
    assert (await client.get("/broker/login-url")).status_code == 401


@pytest.mark.parametrize(
    "query", ["api_key=", "api_key=%00", "api_key=a%0Ab", "broker=other", "redirect_params=a", "x=1"]
)
async def test_a_login_url_with_anything_else_is_refused(trader: ApiUser, query: str) -> None:
    assert (await trader.call("GET", f"/broker/login-url?{query}")).status_code == 422


@pytest.mark.parametrize("field", ["api_key", "api_secret", "access_token", "request_token"])
@pytest.mark.parametrize(
    "value", ["", " ", "a ", " a", "a\nb", "a\r\nX-Evil: 1", "a\0", "clé", "प", "\ud800", "x" * 257]
)
async def test_what_a_header_cannot_carry_is_refused_and_not_echoed(trader: ApiUser, field: str, value: str) -> None:
    changes = {"access_token": None, "request_token": "abc"} if field == "request_token" else {}
    body = {"api_key": "key", "api_secret": "secret", "access_token": "token"} | changes | {field: value}
    answer = await trader.client.post(
        "/broker/connect",
        headers={"Authorization": f"Bearer {trader.tokens['access_token']}", "Content-Type": "application/json"},
        content=json.dumps({name: text for name, text in body.items() if text is not None}),
    )
    assert problem(answer) == (422, field)
    assert "X-Evil" not in answer.text


async def test_a_short_api_key_is_not_hinted_at(user: ApiUser, paper: PaperExchange) -> None:
    user.paper = paper.control.new_account(api_key="tiny-77")
    assert (await user.connect()).status_code == 200
    assert (await user.call("GET", "/broker/status")).json()["api_key_hint"] == ""


async def test_every_connect_is_audited_without_a_secret(
    user: ApiUser, paper: PaperExchange, sessions: Sessions
) -> None:
    user.paper = paper.control.new_account()
    for changes in ({"access_token": "wrong"}, {"api_secret": "wrong"}, {"broker": "kite"}, {}):
        await user.connect(**changes)
    paper.control.expire_token(user.paper.user_id)
    await user.connect(**NO_KEYS)
    lines = await audited(sessions, user)
    assert lines == [
        ("broker_connect_failed", "paper", {"code": "broker_token_invalid"}),
        ("broker_connect_failed", "paper", {"code": "credentials_mismatch"}),
        ("broker_connect_failed", "kite", {"code": "broker_not_offered"}),
        ("broker_connect", "paper", {"account": user.paper.user_id}),
        ("broker_connect_failed", "paper", {"code": "broker_token_expired"}),
    ]
