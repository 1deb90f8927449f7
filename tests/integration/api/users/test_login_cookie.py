"""The login of a browser (row O1): a cookie that no script reads and no other site uses, and lost answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie

import httpx
import pytest
from fastapi import FastAPI

from config.settings import Settings
from persistence.database.engine import Sessions
from tests.integration.api.users.test_security_logins import Device
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.apps import serving
from tests.kit.fakes.strategy_engine import FakeEngine

pytest_plugins = ["tests.integration.fixtures"]

HOME = "https://api"
SECURE = "__Secure-tradeactors-refresh"
OTHERS = [
    None, "", "null", "https://evil.example", "http://api", "https://api.evil.example", "https://api:444",
    "https://evil.example/https://api", "https://api/", "https://API", "api",
]  # fmt: skip


@asynccontextmanager
async def browser_at(app: FastAPI, home: str = HOME) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with an empty jar of cookies, on a page of the server."""
    headers = {"Origin": home, "X-Session": "cookie"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=home, headers=headers) as browser:
        yield browser


@pytest.fixture
async def browser(app: FastAPI, user: ApiUser) -> AsyncIterator[httpx.AsyncClient]:
    """The user's, logged in."""
    async with browser_at(app) as browser:
        answer = await browser.post("/auth/login", json={"email": user.email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        yield browser


def cookie_of(answer: httpx.Response) -> tuple[str, str, dict[str, str]]:
    """Name, value and attributes of the one cookie that an answer sets."""
    (header,) = answer.headers.get_list("Set-Cookie")
    ((name, morsel),) = SimpleCookie(header).items()
    return name, morsel.value, {key: str(value) for key, value in morsel.items() if value}


def holding(token: str) -> dict[str, str]:
    """The header with which a browser sends the cookie: for requests that leave before it has another."""
    return {"Cookie": f"{SECURE}={token}"}


async def refreshed(browser: httpx.AsyncClient, token: str) -> httpx.Response:
    browser.cookies.clear()
    return await browser.post("/auth/refresh", json={}, headers=holding(token))


async def validates(browser: httpx.AsyncClient, answer: httpx.Response) -> bool:
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return (await browser.get("/auth/validate", headers=headers)).status_code == 200


async def test_a_browser_gets_the_refresh_token_where_no_script_reads_it(app: FastAPI, user: ApiUser) -> None:
    async with browser_at(app) as browser:
        body = {"email": user.email, "password": PASSWORD}
        logged_in = await browser.post("/auth/login", json=body)
        again = await browser.post("/auth/refresh", json={})
        for answer in (logged_in, again):
            assert answer.status_code == 200
            assert answer.json()["refresh_token"] is None
            assert await validates(browser, answer)
            name, token, attributes = cookie_of(answer)
            assert (name, len(token)) == (SECURE, 43)
            assert token not in answer.text
            assert attributes.keys() == {"path", "max-age", "secure", "httponly", "samesite"}
            assert (attributes["path"], attributes["samesite"]) == ("/auth", "strict")
            assert 13 * 86_400 < int(attributes["max-age"]) <= 14 * 86_400
        assert cookie_of(logged_in)[1] != cookie_of(again)[1]


async def test_every_answer_with_tokens_keeps_them_from_scripts(app: FastAPI, browser: httpx.AsyncClient) -> None:
    async with browser_at(app) as other:
        body = {"email": "browser.login@example.com", "password": PASSWORD}
        registered = await other.post("/auth/register", json=body)
        headers = {"Authorization": f"Bearer {registered.json()['access_token']}"}
        passwords = {"current_password": PASSWORD, "new_password": "a better battery, stapled"}
        changed = await other.post("/auth/password", json=passwords, headers=headers)
        for answer, status in ((registered, 201), (changed, 200)):
            assert (answer.status_code, answer.json()["refresh_token"]) == (status, None)
            assert cookie_of(answer)[0] == SECURE
        assert (await other.post("/auth/refresh", json={})).status_code == 200


async def test_logout_ends_the_login_and_empties_the_browser(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("/auth/refresh", json={})
    out = await browser.post("/auth/logout", json={})
    assert out.status_code == 204
    assert cookie_of(out)[1] == ""
    assert not await validates(browser, answer)
    assert not browser.cookies
    again = await browser.post("/auth/logout", json={})
    assert again.status_code == 204, "it is logged out already"
    refused = await browser.post("/auth/refresh", json={})
    assert (refused.status_code, refused.json()["code"]) == (401, "no_login")


@pytest.mark.parametrize("origin", OTHERS)
async def test_a_page_of_another_origin_neither_uses_nor_ends_nor_plants_a_cookie(
    browser: httpx.AsyncClient, user: ApiUser, origin: str | None
) -> None:
    own = browser.headers.pop("Origin")
    headers = {} if origin is None else {"Origin": origin}
    login = {"email": user.email, "password": PASSWORD}
    bodies = {
        "/auth/refresh": {}, "/auth/logout": {}, "/auth/login": login, "/auth/register": login,
        "/auth/reset": {"code": "x", "new_password": "a better battery, stapled"},
    }  # fmt: skip
    for path, body in bodies.items():
        refused = await browser.post(path, json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_refused"), path
        assert "Set-Cookie" not in refused.headers
    assert (await browser.post("/auth/refresh", json={}, headers={"Origin": own})).status_code == 200


async def test_an_origin_that_may_call_otherwise_may_keep_no_cookie(settings: Settings, engine: FakeEngine) -> None:
    page = "https://app.example.com"
    async with serving(settings, engine, cors_origins=(page,)) as client:
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-session"}
        preflight = await client.options("/auth/refresh", headers={"Origin": page, **asked})
        called = await client.post("/auth/refresh", json={}, headers={"Origin": page, "X-Session": "cookie"})
    assert preflight.status_code == 400
    assert (called.status_code, called.json()["code"]) == (403, "origin_refused")


async def test_nothing_but_a_request_that_asks_for_it_reads_the_cookie(browser: httpx.AsyncClient) -> None:
    del browser.headers["X-Session"]
    assert browser.cookies
    plain = await browser.post("/auth/refresh", json={})
    assert (plain.status_code, plain.json()["errors"][0]["field"]) == (422, "refresh_token")
    assert (await browser.post("/auth/logout", json={})).status_code == 422
    assert (await browser.get("/auth/validate")).json()["code"] == "token_invalid"
    assert (await browser.get("/auth/logins")).status_code == 401
    unknown = await browser.post("/auth/refresh", json={}, headers={"X-Session": "header"})
    assert unknown.status_code == 422
    assert (await browser.post("/auth/refresh", json={}, headers={"X-Session": "cookie"})).status_code == 200


async def test_two_tabs_and_five_reloads_at_once_stay_logged_in(browser: httpx.AsyncClient) -> None:
    _, token, _ = cookie_of(await browser.post("/auth/refresh", json={}))
    answers = await asyncio.gather(*(refreshed(browser, token) for _ in range(7)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({cookie_of(answer)[1] for answer in answers}) == 1
    assert all([await validates(browser, answer) for answer in answers])
    assert (await refreshed(browser, cookie_of(answers[0])[1])).status_code == 200


async def test_a_lost_answer_is_given_again(browser: httpx.AsyncClient) -> None:
    _, token, _ = cookie_of(await browser.post("/auth/refresh", json={}))
    lost, again = await refreshed(browser, token), await refreshed(browser, token)
    assert cookie_of(lost)[1] == cookie_of(again)[1] != token
    late = await refreshed(browser, cookie_of(again)[1])
    overtaken = await refreshed(browser, token)  # left before the browser had the answer to the one before
    assert cookie_of(overtaken)[1] == cookie_of(late)[1]
    assert (await refreshed(browser, cookie_of(late)[1])).status_code == 200


async def test_a_program_that_uses_a_token_twice_ends_its_login_at_once(browser: httpx.AsyncClient) -> None:
    _, token, _ = cookie_of(await browser.post("/auth/refresh", json={}))
    successor = cookie_of(await refreshed(browser, token))[1]
    stolen = await browser.post("/auth/refresh", json={"refresh_token": token}, headers={"X-Session": ""})
    assert stolen.status_code == 422
    del browser.headers["X-Session"], browser.headers["Origin"]
    stolen = await browser.post("/auth/refresh", json={"refresh_token": token})
    assert (stolen.status_code, stolen.json()["code"]) == (401, "invalid_credentials")
    assert (await browser.post("/auth/refresh", json={"refresh_token": successor})).status_code == 401


async def test_after_the_grace_a_second_use_ends_the_login_for_both(
    user: ApiUser, sessions: Sessions, redis_url: str
) -> None:
    device = Device(sessions, redis_url, user.email)
    await device.log_in()
    first = device.tokens.refresh_token
    second = await device.browse(first)
    assert await device.browse(first, after_s=59) == second
    assert await device.browse(first, after_s=2) is None
    assert await device.browse(second or "") is None
    await device.close()


async def test_a_thief_who_asks_within_the_grace_is_found_out_at_the_next_use(
    user: ApiUser, sessions: Sessions, redis_url: str
) -> None:
    device = Device(sessions, redis_url, user.email)
    await device.log_in()
    stolen = device.tokens.refresh_token
    of_thief = await device.browse(stolen)
    of_owner = await device.browse(stolen, after_s=30)
    assert of_thief == of_owner is not None
    newest = await device.browse(of_thief or "", after_s=840)
    assert newest is not None
    assert await device.browse(of_owner or "", after_s=61) is None
    assert await device.browse(newest) is None
    await device.close()


async def test_a_login_that_has_ended_leaves_no_cookie(browser: httpx.AsyncClient) -> None:
    refused = await refreshed(browser, "never-issued")
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credentials")
    assert cookie_of(refused)[:2] == (SECURE, "")
    assert "WWW-Authenticate" in refused.headers


async def test_to_open_the_app_without_a_login_counts_as_no_failure(app: FastAPI, user: ApiUser) -> None:
    async with browser_at(app) as browser:
        asked = [await browser.post("/auth/refresh", json={}) for _ in range(120)]
        assert {answer.json()["code"] for answer in asked} == {"no_login"}
        login = await browser.post("/auth/login", json={"email": user.email, "password": PASSWORD})
        assert login.status_code == 200


@pytest.mark.parametrize("home", ["http://localhost", "http://127.0.0.1:8000", "http://[::1]:8000"])
async def test_on_this_machine_a_cookie_needs_no_https(app: FastAPI, user: ApiUser, home: str) -> None:
    async with browser_at(app, home) as browser:
        answer = await browser.post("/auth/login", json={"email": user.email, "password": PASSWORD})
        name, _, attributes = cookie_of(answer)
        assert name == "tradeactors-refresh"
        assert attributes.keys() == {"path", "max-age", "httponly", "samesite"}
        cookie = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
        assert (await browser.post("/auth/refresh", json={}, headers=cookie)).status_code == 200


async def test_over_plain_http_from_elsewhere_there_is_no_cookie(app: FastAPI, user: ApiUser) -> None:
    async with browser_at(app, "http://192.168.1.10:8000") as browser:
        answer = await browser.post("/auth/login", json={"email": user.email, "password": PASSWORD})
        assert "Set-Cookie" not in answer.headers
        again = await browser.post("/auth/refresh", json={"refresh_token": answer.json()["refresh_token"]})
        assert again.json()["refresh_token"]


async def test_behind_a_proxy_the_public_address_is_the_origin(
    settings: Settings, engine: FakeEngine, user: ApiUser
) -> None:
    async with serving(settings, engine, public_url="https://Trade.example.com:443/ta") as client:
        headers = {"Origin": "https://trade.example.com", "X-Session": "cookie"}
        body = {"email": user.email, "password": PASSWORD}
        answer = await client.post("/auth/login", json=body, headers=headers)
    name, _, attributes = cookie_of(answer)
    assert (name, attributes["path"], attributes["secure"]) == (SECURE, "/ta/auth", "True")
