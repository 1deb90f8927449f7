"""`proxy_url` of a broker connection: where it leads, what a reconnect keeps, who may name one, and what is shown."""

import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from actors.runtime.clients.broker_accounts import Accounts, ProxyNotAllowed
from actors.runtime.clients.feed_accounts import FeedAccounts
from config.settings import Settings
from persistence.database.engine import Sessions, transaction
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror
from tests.integration.api_user import ApiUser
from tests.integration.apps import at, serving
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange
from tests.kit.proxy import ForwardProxy, Passage, forward_proxy

pytest_plugins = ["tests.integration.fixtures"]

PASSWORD = "the-password-of-the-proxy"
NOWHERE = "http://127.0.0.1:9"
NEW_TOKEN: dict[str, Any] = {"api_key": None, "api_secret": None}


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with forward_proxy(user="asha", password=PASSWORD) as proxy:
        yield proxy


@pytest.fixture
async def client(settings: Settings, engine: FakeEngine) -> AsyncIterator[httpx.AsyncClient]:
    """An API whose operator allows proxies."""
    async with serving(settings, engine, account_proxies=True) as client:
        yield client


@pytest.fixture
async def strict(settings: Settings, engine: FakeEngine) -> AsyncIterator[httpx.AsyncClient]:
    """An API on the same database whose operator does not."""
    async with serving(settings, engine) as client:
        yield client


@pytest.fixture
def accounts(settings: Settings, sessions: Sessions, mirror: RuntimeMirror) -> Accounts:
    """Credentials as the actors read them."""
    return Accounts(settings.model_copy(update={"account_proxies": True}), RunLedger(sessions, mirror))


@pytest.fixture
def user(user: ApiUser, paper: PaperExchange) -> ApiUser:
    user.paper = paper.control.new_account()
    return user


async def connect(user: ApiUser, **fields: Any) -> httpx.Response:
    """`ApiUser.connect`, in which a `proxy_url` of None is sent as null."""
    assert user.paper is not None
    keys = {"api_key": user.paper.api_key, "api_secret": user.paper.api_secret}
    body = {name: value for name, value in (keys | fields).items() if value is not None or name == "proxy_url"}
    return await user.call("POST", "/broker/connect", **({"access_token": user.paper.access_token} | body))


async def shown(user: ApiUser) -> str | None:
    answer = await user.call("GET", "/broker/status")
    proxy: str | None = answer.json()["proxy"]
    return proxy


async def account_id(sessions: Sessions, user: ApiUser) -> int:
    user_id = int((await user.call("GET", "/auth/validate")).json()["user_id"])
    async with transaction(sessions) as session:
        found = await session.scalar(text("SELECT id FROM broker_accounts WHERE user_id = :id"), {"id": user_id})
    return int(found or 0)


async def test_the_broker_is_asked_through_the_proxy_and_host_and_port_are_shown(
    user: ApiUser, proxy: ForwardProxy, paper: PaperExchange, sessions: Sessions, accounts: Accounts
) -> None:
    answer = await connect(user, proxy_url=proxy.proxy.url)
    assert answer.status_code == 200, answer.text
    assert proxy.passed == 2 * [Passage("CONNECT", paper.url.removeprefix("http://"))]
    assert await shown(user) == f"127.0.0.1:{proxy.port}"
    stored = await account_id(sessions, user)
    assert (await accounts.credentials(stored)).proxy == proxy.proxy
    async with transaction(sessions) as session:
        row = await session.execute(text("SELECT * FROM broker_accounts WHERE id = :id"), {"id": stored})
        assert PASSWORD not in str(row.mappings().one())


async def test_a_request_token_and_the_price_of_a_start_go_through_it_too(user: ApiUser, proxy: ForwardProxy) -> None:
    assert (await connect(user, proxy_url=proxy.proxy.url)).status_code == 200
    proxy.passed.clear()
    await user.started()
    assert (len(proxy.passed), set(proxy.methods())) == (2, {"CONNECT"})  # price and position


async def test_a_reconnect_keeps_it_null_removes_it_and_another_replaces_it(
    user: ApiUser, proxy: ForwardProxy, paper: PaperExchange
) -> None:
    assert (await connect(user, proxy_url=proxy.proxy.url)).status_code == 200
    proxy.passed.clear()
    assert (await connect(user, **NEW_TOKEN)).status_code == 200
    assert (await connect(user)).status_code == 200
    assert (len(proxy.passed), await shown(user)) == (4, f"127.0.0.1:{proxy.port}")
    with forward_proxy() as other:
        assert (await connect(user, **NEW_TOKEN, proxy_url=other.proxy.url)).status_code == 200
        assert (len(other.passed), await shown(user)) == (2, f"127.0.0.1:{other.port}")
        assert (await connect(user, **NEW_TOKEN, proxy_url=None)).status_code == 200
        assert (await connect(user, **NEW_TOKEN)).status_code == 200
        assert (len(other.passed), await shown(user)) == (2, None)
    assert len(proxy.passed) == 4


async def test_it_is_changed_under_a_running_strategy(user: ApiUser, proxy: ForwardProxy) -> None:
    assert (await connect(user)).status_code == 200
    await user.started()
    assert (await connect(user, **NEW_TOKEN, proxy_url=proxy.proxy.url)).status_code == 200
    assert await shown(user) == f"127.0.0.1:{proxy.port}"


async def test_the_proxy_of_one_key_is_not_used_with_another(
    user: ApiUser, proxy: ForwardProxy, paper: PaperExchange
) -> None:
    assert (await connect(user, proxy_url=proxy.proxy.url)).status_code == 200
    proxy.passed.clear()
    user.paper = paper.control.new_account()
    assert (await connect(user)).status_code == 200
    assert (proxy.passed, await shown(user)) == ([], None)


async def test_a_proxy_that_leads_nowhere_leaves_everything_as_it_was(user: ApiUser, proxy: ForwardProxy) -> None:
    assert (await connect(user, proxy_url=proxy.proxy.url)).status_code == 200
    answer = await connect(user, proxy_url=NOWHERE)
    assert (answer.status_code, answer.json()["code"]) == (503, "proxy_unreachable")
    assert await shown(user) == f"127.0.0.1:{proxy.port}"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "egress",
        "https://egress:3128",
        "socks5://egress:1080",
        "http://egress",
        "http://egress:99999",
        "http://egress:3128/the-path",
        "http://asha:the-pass/word@egress:3128",
        "http://asha:the-p%0Aass@egress:3128",
        "http://" + "x" * 250 + ":3128",
        "http://प:3128",
    ],
)
async def test_what_is_no_proxy_is_refused_by_its_field_and_not_echoed(user: ApiUser, url: str) -> None:
    answer = await connect(user, proxy_url=url)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["proxy_url"])
    assert "the-p" not in answer.text


async def test_where_the_operator_allows_none_the_field_is_refused(
    user: ApiUser, strict: httpx.AsyncClient, proxy: ForwardProxy
) -> None:
    user = at(user, strict)
    answer = await connect(user, proxy_url=proxy.proxy.url)
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"field": "proxy_url", "message": "is not allowed on this server: leave it out"}],
    )
    assert (await connect(user, proxy_url=None)).status_code == 200
    assert (proxy.passed, proxy.turned_away) == ([], [])


async def test_once_the_operator_allows_none_any_more_an_account_is_not_used_directly_instead(
    user: ApiUser, strict: httpx.AsyncClient, proxy: ForwardProxy, settings: Settings, accounts: Accounts,
    sessions: Sessions, mirror: RuntimeMirror,
) -> None:  # fmt: skip
    assert (await connect(user, proxy_url=proxy.proxy.url)).status_code == 200
    strategy_id = await user.strategy()
    proxy.passed.clear()
    there = at(user, strict)
    kept = await connect(there, **NEW_TOKEN)
    assert (kept.status_code, kept.json()["errors"][0]["field"]) == (422, "proxy_url")
    start = await there.call("POST", "/strategy/start", strategy_id=strategy_id)
    assert (start.status_code, start.json()["code"]) == (409, "proxy_not_allowed")
    with pytest.raises(ProxyNotAllowed):
        await Accounts(settings, RunLedger(sessions, mirror)).credentials(await account_id(sessions, user))
    assert proxy.passed == []
    assert (await connect(there, **NEW_TOKEN, proxy_url=None)).status_code == 200
    assert (await there.call("POST", "/strategy/start", strategy_id=strategy_id)).status_code == 200


async def test_the_feed_of_all_takes_an_account_without_a_proxy_first(
    client: httpx.AsyncClient, paper: PaperExchange, proxy: ForwardProxy, accounts: Accounts, settings: Settings,
    sessions: Sessions, mirror: RuntimeMirror,
) -> None:  # fmt: skip
    async with transaction(sessions) as session:  # of other tests, whose keys are not these
        await session.execute(text("UPDATE broker_accounts SET connected_at = connected_at - interval '1 year'"))
    keys = {}
    for name, url in (("first", None), ("second", None), ("proxied", proxy.proxy.url)):
        user = await ApiUser.register(client)
        user.paper = paper.control.new_account()
        assert (await connect(user, proxy_url=url)).status_code == 200
        keys[user.paper.api_key] = name
    ledger = RunLedger(sessions, mirror)

    async def taken(allowed: Accounts) -> list[str]:
        feed = FeedAccounts(settings, "paper", allowed, ledger, mirror)
        found: list[str] = []
        while len(found) < 4:
            tried = await feed.choose()
            feed.refused(tried)
            if tried.credentials.api_key in keys:
                found.append(keys[tried.credentials.api_key])
        return found

    assert await taken(accounts) == ["second", "first", "proxied", "second"]
    assert set(await taken(Accounts(settings, ledger))) == {"second", "first"}


async def test_nothing_that_is_said_or_logged_holds_the_password(
    user: ApiUser, proxy: ForwardProxy, sessions: Sessions, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    answers = [await connect(user, proxy_url=proxy.proxy.url), await user.call("GET", "/broker/status")]
    proxy.refuses = 403
    answers += [await connect(user), await user.create(), await connect(user, proxy_url=f"{proxy.proxy.url}/path")]
    assert {answer.status_code for answer in answers} >= {200, 422, 503}
    async with transaction(sessions) as session:
        audit = (await session.scalars(text("SELECT detail::text || subject FROM audit_log"))).all()
    streams = capfd.readouterr()
    said = [*(answer.text for answer in answers), caplog.text, str(audit), streams.out, streams.err]
    assert not [words for words in said if PASSWORD in words]


def test_the_setting_is_off_by_default() -> None:
    assert Settings(_env_file=None).account_proxies is False
