"""Logins at the broker in a browser: begun here, played by the paper exchange's login page, and connected (row N2)."""

import asyncio
import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlmodel import col
from structlog.testing import capture_logs

from broker.exchange_time import IST
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.database.models.audit import AuditEntry
from persistence.database.models.brokers import BrokerAccount, BrokerLoginCode
from tests.integration.api_user import PASSWORD, ApiUser
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.login_form import Browser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

CALLBACK = "http://127.0.0.1:8000/broker/callback"


@pytest.fixture
async def trader(user: ApiUser, paper: PaperExchange) -> ApiUser:
    """A user with a connected broker account, whose app at the broker leads back to this server."""
    user.paper = paper.control.new_account(redirect_url=CALLBACK)
    assert (await user.connect()).status_code == 200
    return user


async def login_page(user: ApiUser) -> str:
    answer = await user.call("GET", "/broker/login-url?return=app")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["login_url"])


async def login_link(user: ApiUser) -> str:
    answer = await user.call("POST", "/broker/login-link")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["login_link"])


def here(url: str) -> str:
    """Path and query of an address, for a client of the application."""
    return "{0.path}?{0.query}".format(urlsplit(url))


async def logged_in(user: ApiUser) -> str:
    """Log in at the broker; where the browser is led back to."""
    assert user.paper is not None
    return here(await asyncio.to_thread(Browser().log_in, await login_page(user), user.paper.user_id))


async def opened(user: ApiUser, link: str) -> httpx.Response:
    """What a login link answers a browser that has no token of ours."""
    return await user.client.get(here(link))


def title(page: httpx.Response) -> str:
    assert page.headers["content-type"].startswith("text/html"), page.text
    found = re.search("<h1>(.*)</h1>", page.text)
    assert found is not None
    return found[1]


async def user_id_of(user: ApiUser) -> int:
    return int((await user.call("GET", "/auth/validate")).json()["user_id"])


async def lines(sessions: Sessions, user: ApiUser, action: str) -> int:
    """How many lines the audit log has about it."""
    found = select(func.count()).select_from(AuditEntry).filter_by(user_id=await user_id_of(user), action=action)
    async with transaction(sessions) as session:
        return int(await session.scalar(found) or 0)


async def change_account(sessions: Sessions, user: ApiUser, **values: Any) -> None:
    """Let the stored connection be another one."""
    mine = update(BrokerAccount).where(col(BrokerAccount.user_id) == await user_id_of(user))
    async with transaction(sessions) as session:
        await session.execute(mine.values(**values))


async def age(sessions: Sessions, user: ApiUser, by: timedelta) -> None:
    """Let the user's states and links have been made earlier."""
    mine = update(BrokerLoginCode).where(col(BrokerLoginCode.user_id) == await user_id_of(user))
    earlier = {"created_at": BrokerLoginCode.created_at - by, "expires_at": BrokerLoginCode.expires_at - by}
    async with transaction(sessions) as session:
        await session.execute(mine.values(**earlier))


async def test_one_tap_connects_the_days_token_and_what_waits_goes_on_at_once(
    trader: ApiUser, paper: PaperExchange, engine: FakeEngine
) -> None:
    assert trader.paper is not None
    strategy_id = await trader.started()
    before = await trader.connection()
    paper.control.expire_token(trader.paper.user_id)
    page = await trader.client.get(await logged_in(trader))
    assert (page.status_code, title(page)) == (200, "Connected")
    after = (await trader.call("GET", "/broker/status")).json()
    assert after["token_obtained_at"] > before["token_obtained_at"]
    assert after["broker_user_id"] == trader.paper.user_id
    assert engine.asked_broker == [strategy_id]
    assert (await trader.create(symbol="TCS")).status_code == 201, "the new token is good"


async def test_the_page_gives_nothing_away_and_runs_nothing(trader: ApiUser) -> None:
    assert trader.paper is not None
    back = await logged_in(trader)
    page = await trader.client.get(back)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "script" not in page.text + policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert "set-cookie" not in page.headers
    query = parse_qs(urlsplit(back).query)
    for secret in (*query["state"], *query["request_token"], trader.email, trader.paper.user_id, trader.paper.api_key):
        assert secret not in page.text
    assert "://" not in page.text, "it loads nothing and leads nowhere"


async def test_a_page_that_is_loaded_again_says_the_same_and_does_nothing(trader: ApiUser, sessions: Sessions) -> None:
    back = await logged_in(trader)
    first = await trader.client.get(back)
    token = (await trader.call("GET", "/broker/status")).json()["token_obtained_at"]
    connects = await lines(sessions, trader, "broker_connect")
    again = [await trader.client.get(back) for _ in range(3)]
    assert [page.text for page in again] == [first.text] * 3
    assert (await trader.call("GET", "/broker/status")).json()["token_obtained_at"] == token
    assert await lines(sessions, trader, "broker_connect") == connects
    assert await lines(sessions, trader, "broker_connect_failed") == 0


async def test_of_two_that_come_back_at_once_one_is_carried_out(trader: ApiUser, sessions: Sessions) -> None:
    back = await logged_in(trader)
    connects = await lines(sessions, trader, "broker_connect")
    pages = await asyncio.gather(*(trader.client.get(back) for _ in range(8)))
    assert {title(page) for page in pages} <= {"Connected", "One moment"}
    for page in pages:
        assert (title(page) == "One moment") == ("refresh" in page.headers), "it loads itself again"
    assert title(await trader.client.get(back)) == "Connected"
    assert await lines(sessions, trader, "broker_connect") == connects + 1


async def test_a_cancelled_login_changes_nothing_and_can_be_made_good(trader: ApiUser) -> None:
    assert trader.paper is not None
    before = await trader.connection()
    url = await login_page(trader)
    page = await trader.client.get(here(await asyncio.to_thread(Browser().cancel, url)))
    assert (page.status_code, title(page)) == (200, "Login cancelled")
    assert await trader.connection() == before
    back = await asyncio.to_thread(Browser().log_in, url, trader.paper.user_id)
    assert title(await trader.client.get(here(back))) == "Connected"


async def test_a_state_that_is_too_old_and_one_that_never_was_cannot_be_told_apart(
    trader: ApiUser, sessions: Sessions
) -> None:
    back = await logged_in(trader)
    await age(sessions, trader, timedelta(minutes=10))
    late = await trader.client.get(back)
    assert (late.status_code, title(late)) == (404, "This link is not good any more")
    for state in ("guessed", "%ed%a0%80", "x" * 5000):
        other = await trader.client.get(f"/broker/callback?status=success&request_token=abc&state={state}")
        assert (other.status_code, other.text) == (404, late.text)


async def test_another_account_is_never_connected_by_a_login_that_comes_back(
    trader: ApiUser, sessions: Sessions
) -> None:
    await change_account(sessions, trader, broker_user_id="ZZ0001")  # so that the login is that of another account
    assert (await trader.call("POST", "/auth/confirm", password=PASSWORD)).status_code == 200
    back = await logged_in(trader)
    page = await trader.client.get(back)
    assert (page.status_code, title(page)) == (403, "Another account")
    assert (await trader.call("GET", "/broker/status")).json()["broker_user_id"] == "ZZ0001"
    assert (await trader.client.get(back)).text == page.text
    assert await lines(sessions, trader, "broker_connect_failed") == 1, "the owner sees it"


async def test_while_strategies_run_another_account_gets_the_same_page(trader: ApiUser, sessions: Sessions) -> None:
    await trader.started()
    await change_account(sessions, trader, broker_user_id="ZZ0002")
    assert title(await trader.client.get(await logged_in(trader))) == "Another account"


async def test_a_user_who_is_lured_through_anothers_link_is_connected_nowhere(
    trader: ApiUser, client: httpx.AsyncClient, paper: PaperExchange
) -> None:
    attacker = await ApiUser.register(client)
    attacker.paper = paper.control.new_account(redirect_url=CALLBACK)
    assert (await attacker.connect()).status_code == 200
    assert trader.paper is not None
    before = [await user.connection() for user in (trader, attacker)]
    victims = parse_qs(urlsplit(await logged_in(trader)).query)["request_token"][0]
    attackers = parse_qs(urlsplit(await login_page(attacker)).query)["redirect_params"][0]
    lured = await client.get(f"/broker/callback?status=success&request_token={victims}&{attackers}")
    assert lured.status_code == 403
    assert [await user.connection() for user in (trader, attacker)] == before


async def test_an_attackers_login_through_the_users_own_state_connects_nothing(
    trader: ApiUser, client: httpx.AsyncClient, paper: PaperExchange
) -> None:
    attacker = await ApiUser.register(client)
    attacker.paper = paper.control.new_account(redirect_url=CALLBACK)
    assert (await attacker.connect()).status_code == 200
    before = await trader.connection()
    theirs = parse_qs(urlsplit(await logged_in(attacker)).query)["request_token"][0]
    own = parse_qs(urlsplit(await login_page(trader)).query)["redirect_params"][0]
    page = await client.get(f"/broker/callback?status=success&request_token={theirs}&{own}")
    assert page.status_code == 403
    assert await trader.connection() == before


async def test_a_broker_that_does_not_answer_leaves_the_login_good(trader: ApiUser, paper: PaperExchange) -> None:
    back = await logged_in(trader)
    paper.control.outage(on=True)
    try:
        page = await trader.client.get(back)
    finally:
        paper.control.outage(on=False)
    assert (page.status_code, title(page)) == (503, "Not reachable right now")
    assert page.headers["retry-after"] == "5"
    assert title(await trader.client.get(back)) == "Connected"


async def test_a_request_token_that_was_used_elsewhere_is_refused_and_the_page_stays(
    trader: ApiUser, sessions: Sessions
) -> None:
    back = await logged_in(trader)
    token = parse_qs(urlsplit(back).query)["request_token"][0]
    used = await trader.call("POST", "/broker/connect", request_token=token)
    assert used.status_code == 200
    pages = [await trader.client.get(back) for _ in range(2)]
    assert [(page.status_code, title(page)) for page in pages] == [(403, "The broker refused this login")] * 2
    assert await lines(sessions, trader, "broker_connect_failed") == 1


async def test_a_disconnect_makes_states_and_links_void(trader: ApiUser) -> None:
    back, link = await logged_in(trader), await login_link(trader)
    assert (await trader.call("DELETE", "/broker")).status_code == 204
    assert (await trader.client.get(back)).status_code == 404
    assert (await opened(trader, link)).status_code == 404
    for method, path in (("GET", "/broker/login-url?return=app"), ("POST", "/broker/login-link")):
        refused = await trader.call(method, path)
        assert (refused.status_code, refused.json()["code"]) == (409, "broker_not_connected")


async def test_a_login_that_was_not_begun_here_shows_its_request_token_and_connects_nothing(
    trader: ApiUser, sessions: Sessions
) -> None:
    connects = await lines(sessions, trader, "broker_connect")
    page = await trader.client.get("/broker/callback?action=login&type=login&status=success&request_token=Abc123")
    assert (page.status_code, title(page)) == (200, "Logged in at the broker")
    assert "<code>Abc123</code>" in page.text
    assert await lines(sessions, trader, "broker_connect") == connects
    odd = await trader.client.get("/broker/callback?status=success&request_token=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "script" not in odd.text


async def test_a_link_in_a_message_opens_the_login_page_without_a_token_of_ours(
    trader: ApiUser, paper: PaperExchange
) -> None:
    assert trader.paper is not None
    paper.control.expire_token(trader.paper.user_id)
    link = await login_link(trader)
    for _ in range(3):  # messengers look at links before their readers do
        preview = await opened(trader, link)
    assert preview.status_code == 303
    assert "set-cookie" not in preview.headers
    assert preview.headers["location"].startswith(f"{paper.url}/connect/login?")
    other = await opened(trader, link)
    back = await asyncio.to_thread(Browser().log_in, preview.headers["location"], trader.paper.user_id)
    assert title(await trader.client.get(here(back))) == "Connected"
    used = await opened(trader, link)
    assert (used.status_code, title(used)) == (404, "This link is not good any more")
    late = await asyncio.to_thread(Browser().log_in, other.headers["location"], trader.paper.user_id)
    assert (await trader.client.get(here(late))).status_code == 404, "it was opened before, and is void as well"


async def test_a_link_ends_when_a_token_of_its_day_would(trader: ApiUser, sessions: Sessions) -> None:
    answer = await trader.call("POST", "/broker/login-link")
    ends = datetime.fromisoformat(answer.json()["expires_at"])
    assert (ends.astimezone(IST).hour, ends.astimezone(IST).minute) == (6, 0)
    assert timedelta(0) < ends - datetime.now(UTC) <= timedelta(days=1)
    await age(sessions, trader, timedelta(days=1))
    assert (await opened(trader, answer.json()["login_link"])).status_code == 404


async def test_links_that_are_asked_for_or_opened_too_often_are_refused(trader: ApiUser) -> None:
    links = [await trader.call("POST", "/broker/login-link") for _ in range(21)]
    assert [answer.status_code for answer in links] == [201] * 20 + [429]
    assert int(links[-1].headers["retry-after"]) > 0
    opens = [await opened(trader, links[0].json()["login_link"]) for _ in range(21)]
    assert [answer.status_code for answer in opens] == [303] * 20 + [429]


async def test_a_stranger_with_a_link_uses_up_none_of_the_users_attempts(trader: ApiUser) -> None:
    link = await login_link(trader)
    for number in range(12):
        location = (await opened(trader, link)).headers["location"]
        state = parse_qs(urlsplit(location).query)["redirect_params"][0]
        junk = await trader.client.get(f"/broker/callback?status=success&request_token=junk{number}&{state}")
        assert junk.status_code == 403
    assert (await trader.connect()).status_code == 200


async def test_a_stranger_who_opens_a_link_often_makes_no_login_of_the_user_void(trader: ApiUser) -> None:
    back, link = await logged_in(trader), await login_link(trader)
    for _ in range(20):
        assert (await opened(trader, link)).status_code == 303
    refused = await opened(trader, link)
    assert (refused.status_code, int(refused.headers["retry-after"]) > 600) == (429, True)
    assert title(await trader.client.get(back)) == "Connected"


async def test_another_tab_makes_no_other_state_void(trader: ApiUser) -> None:
    first = await logged_in(trader)
    await login_page(trader)
    assert title(await trader.client.get(first)) == "Connected"


async def test_states_and_links_are_kept_as_hashes_and_do_not_pile_up(trader: ApiUser, sessions: Sessions) -> None:
    urls = [await login_page(trader) for _ in range(25)]
    link = await login_link(trader)
    state = parse_qs(parse_qs(urlsplit(urls[-1]).query)["redirect_params"][0])["state"][0]
    code = parse_qs(urlsplit(link).query)["code"][0]
    assert min(len(state), len(code)) >= 43, "256 bits"
    async with transaction(sessions) as session:
        rows = await session.execute(
            text("SELECT kind, broker_login_codes::text, code_hash FROM broker_login_codes WHERE user_id = :id"),
            {"id": await user_id_of(trader)},
        )
        kept = [tuple(row) for row in rows]
    assert sorted(kind for kind, *_ in kept) == ["link"] + ["state"] * 20
    assert {hashlib.sha256(secret.encode()).digest() for secret in (state, code)} <= {found for *_, found in kept}
    for secret in (state, code):
        assert all(start not in row for _, row, _ in kept for start in (secret[:16], secret[:16].encode().hex()))


async def test_nothing_secret_is_logged(trader: ApiUser) -> None:
    with capture_logs() as log:
        back = await logged_in(trader)
        link = await login_link(trader)
        await opened(trader, link)
        await trader.client.get(back)
        await trader.client.get(back.replace("state=", "state=wrong"))
    query = parse_qs(urlsplit(back).query)
    said = repr(log)
    assert "broker_login_came_back" in said
    for secret in (*query["state"], *query["request_token"], *parse_qs(urlsplit(link).query)["code"]):
        assert secret not in said


async def test_a_login_begins_while_no_broker_answers(trader: ApiUser, settings: Settings, engine: FakeEngine) -> None:
    async with serving(settings, engine, paper_root="http://127.0.0.1:9") as client:
        url = await login_page(at(trader, client))
        assert url.startswith("http://127.0.0.1:9/connect/login?")
        assert (await client.get(here(await login_link(at(trader, client))))).status_code == 303


async def test_links_and_redirect_urls_have_the_public_address(
    trader: ApiUser, settings: Settings, engine: FakeEngine
) -> None:
    async with serving(settings, engine, public_url="https://trade.example/api") as client:
        told = (await (user := at(trader, client)).call("GET", "/broker/login-url?return=app")).json()
        assert told["redirect_url"] == "https://trade.example/api/broker/callback"
        assert (await login_link(user)).startswith("https://trade.example/api/broker/login?code=")


@pytest.mark.parametrize("query", ["api_key=abc", "broker=paper", "broker=paper&api_key=abc"])
async def test_a_login_that_comes_back_here_is_for_the_stored_connection(trader: ApiUser, query: str) -> None:
    assert (await trader.call("GET", f"/broker/login-url?return=app&{query}")).status_code == 422


async def test_while_the_database_does_not_answer_the_browser_gets_a_page_and_the_login_stays_good(
    trader: ApiUser, settings: Settings, engine: FakeEngine, sessions: Sessions
) -> None:
    back = await logged_in(trader)
    mine = select(BrokerLoginCode).where(col(BrokerLoginCode.user_id) == await user_id_of(trader))
    async with serving(settings, engine, api_statement_timeout_s=0.3) as client:
        async with transaction(sessions) as session:
            await session.execute(mine.with_for_update())
            page = await client.get(back)
        assert (page.status_code, title(page)) == (503, "Not reachable right now")
        assert title(await client.get(back)) == "Connected"
