"""`POST /broker/paper`: each user has an account of his own at the paper exchange, with one tap and no keys."""

import asyncio
from pathlib import Path

import httpx
import pytest

from broker.errors import BrokerRefused, BrokerUnreachable
from broker.paper_accounts import OwnAccount, open_account
from config.stack.paper import TOKEN_FILE, paper_token
from tests.integration.api_user import ApiUser
from tests.kit.paper import PaperExchange

pytest_plugins = ["tests.integration.fixtures"]

SECRET = "a secret of an installation"


async def test_each_user_has_an_account_of_his_own_and_it_trades(
    client: httpx.AsyncClient, user: ApiUser, paper: PaperExchange
) -> None:
    other = await ApiUser.register(client)
    answers = [await user.call("POST", "/broker/paper"), await other.call("POST", "/broker/paper")]
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    names = {answer.json()["broker_user_id"] for answer in answers}
    assert len(names) == 2
    assert names <= {account["user_id"] for account in paper.control.http.get("/accounts").json()}
    status = (await user.call("GET", "/broker/status")).json()
    assert {"broker_connected": True, "broker": "paper", "token_expired": False}.items() <= status.items()
    assert (await user.call("POST", "/strategy/start", strategy_id=await user.strategy())).status_code == 200


async def test_it_is_the_same_account_however_often_and_at_once_it_is_asked_for(user: ApiUser) -> None:
    at_once = await asyncio.gather(*(user.call("POST", "/broker/paper") for _ in range(3)))
    assert {answer.status_code for answer in at_once} == {200}
    (name,) = {answer.json()["broker_user_id"] for answer in at_once}
    assert (await user.call("DELETE", "/broker")).status_code == 204
    again = await user.call("POST", "/broker/paper")
    assert (again.status_code, again.json()["broker_user_id"]) == (200, name)


async def test_it_renews_a_login_that_the_exchange_has_ended(user: ApiUser, paper: PaperExchange) -> None:
    name = (await user.call("POST", "/broker/paper")).json()["broker_user_id"]
    strategy_id = await user.strategy()
    paper.control.expire_token(name)
    assert (await user.call("POST", "/broker/paper")).json()["broker_user_id"] == name
    assert (await user.call("POST", "/strategy/start", strategy_id=strategy_id)).status_code == 200


async def test_another_paper_account_that_is_connected_stays(trader: ApiUser) -> None:
    answer = await trader.call("POST", "/broker/paper")
    assert trader.paper is not None
    assert (answer.status_code, answer.json()["broker_user_id"]) == (200, trader.paper.user_id)


async def test_an_account_whose_token_the_exchange_has_ended_opens_again(paper: PaperExchange) -> None:
    account = OwnAccount.of(7, SECRET)
    await open_account(paper.url, None, account)
    paper.control.expire_token(account.user_id)
    await open_account(paper.url, None, account)
    credentials = {"Authorization": f"token {account.api_key}:{account.access_token}", "X-Kite-Version": "3"}
    async with httpx.AsyncClient(base_url=paper.url, headers=credentials, trust_env=False, timeout=60) as client:
        assert (await client.get("/user/profile")).json()["data"]["user_id"] == account.user_id


def test_accounts_differ_by_user_and_installation_and_show_no_secret() -> None:
    accounts = [OwnAccount.of(1, SECRET), OwnAccount.of(2, SECRET), OwnAccount.of(1, "another")]
    assert len({account.user_id for account in accounts}) == 3
    assert len({account.access_token for account in accounts}) == 3
    assert OwnAccount.of(1, SECRET) == accounts[0]
    assert accounts[0].api_secret not in repr(accounts[0])
    assert len(accounts[0].user_id) <= 20


async def test_an_exchange_that_is_away_is_unreachable() -> None:
    with pytest.raises(BrokerUnreachable):
        await open_account("http://127.0.0.1:1", None, OwnAccount.of(8, SECRET))


async def test_an_exchange_whose_controls_want_a_token_opens_an_account_with_it_only(tmp_path: Path) -> None:
    token, account = paper_token(tmp_path), OwnAccount.of(9, SECRET)
    with PaperExchange(default_source="hold", token_path=tmp_path / TOKEN_FILE) as exchange:
        with pytest.raises(BrokerRefused, match="open one there"):
            await open_account(exchange.url, None, account)
        await open_account(exchange.url, token, account)
