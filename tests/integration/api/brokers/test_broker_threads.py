"""One tenant's slow connections to a broker keep no other tenant from it, and end when their time is up."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from config.settings import Settings
from tests.integration.api_user import ApiUser
from tests.integration.apps import serving
from tests.kit.dripping_proxy import DrippingProxy, dripping_proxy
from tests.kit.fakes.strategy_engine import FakeEngine
from tests.kit.paper import PaperExchange
from tests.kit.proxy import forward_proxy

pytest_plugins = ["tests.integration.fixtures"]

DEADLINE_S = 4.5
"""ORDER_TIMEOUT_S, its two parts together, and the margin of a connect."""


@pytest.fixture
def dripping() -> Iterator[DrippingProxy]:
    with dripping_proxy() as proxy:
        yield proxy


@pytest.fixture
async def client(settings: Settings, engine: FakeEngine) -> AsyncIterator[httpx.AsyncClient]:
    """An API for both brokers, whose operator allows proxies; Kite is reached by a tunnel alone."""
    more: dict[str, Any] = {"brokers": ("paper", "kite"), "kite_root": "https://127.0.0.1:9"}
    more |= {"account_proxies": True, "registration": "open"}
    more |= {"api_requests_at_once": 0}  # what is tried here is what the broker is asked at a time
    async with serving(settings, engine, **more) as client:
        yield client


async def slow_connects(user: ApiUser, dripping: DrippingProxy, count: int, broker: str) -> list[httpx.Response]:
    """`count` requests at once, each through the dripping proxy."""
    body = {"api_key": "key", "api_secret": "secret", "access_token": "token", "proxy_url": dripping.proxy.url}
    return await asyncio.gather(*(user.call("POST", "/broker/connect", broker=broker, **body) for _ in range(count)))


@pytest.mark.parametrize("broker", ["kite", "paper"])
async def test_sixteen_dripping_proxies_of_a_tenant_keep_no_other_tenant_from_the_broker(
    user: ApiUser, client: httpx.AsyncClient, paper: PaperExchange, dripping: DrippingProxy, broker: str
) -> None:
    other = await ApiUser.register(client)
    other.paper = paper.control.new_account()
    assert (await other.connect()).status_code == 200  # the client of the broker is imported
    flood = asyncio.create_task(slow_connects(user, dripping, 16, broker))
    await asyncio.to_thread(dripping.begun.wait, 10)
    async with asyncio.timeout(1.0):
        assert (await other.connect()).status_code == 200
        address = await other.call("GET", "/broker/login-url?broker=kite&api_key=abc")
        assert address.json()["login_url"].startswith("https://kite.zerodha.com/")
    codes = {(answer.status_code, answer.json()["code"]) for answer in await flood}
    assert await asyncio.to_thread(dripping.free_within, 1.0)
    assert codes <= {(503, "proxy_unreachable"), (429, "too_many_broker_calls"), (429, "too_many_attempts")}
    assert (503, "proxy_unreachable") in codes


async def test_a_tenant_asks_a_broker_two_things_at_a_time_and_the_rest_wait_for_their_turn(
    user: ApiUser, dripping: DrippingProxy
) -> None:
    answers = await slow_connects(user, dripping, 6, "kite")
    assert dripping.most_held == 2
    refused = [answer for answer in answers if answer.json()["code"] == "too_many_broker_calls"]
    assert len(refused) == 4
    assert all(answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0 for answer in refused)


async def test_threads_are_free_when_the_deadline_has_passed(
    user: ApiUser, client: httpx.AsyncClient, paper: PaperExchange, dripping: DrippingProxy
) -> None:
    began = time.monotonic()
    (answer,) = await slow_connects(user, dripping, 1, "kite")
    assert (answer.status_code, answer.json()["code"]) == (503, "proxy_unreachable")
    assert time.monotonic() - began < 3 * DEADLINE_S  # without a deadline it would never end
    assert await asyncio.to_thread(dripping.free_within, 1.0)
    user.paper = paper.control.new_account()
    with forward_proxy() as good:
        assert (await user.connect(broker="paper", proxy_url=good.proxy.url)).status_code == 200
