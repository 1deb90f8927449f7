"""Order updates and ticks through an account's proxy, over the real KiteTicker."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from actors.ports.execution import StreamCallbacks
from actors.runtime.clients.update_streams import UpdateFollower
from broker.kite.credentials import KiteCredentials
from broker.proxy import Proxy
from tests.integration.broker.kite.test_order_updates import (
    Received,
    StoredAccounts,
    is_filled,
    listening,
    place,
    until,
)
from tests.kit.feed_process import FeedProcess
from tests.kit.hostile_http import self_signed_certificate
from tests.kit.paper import PaperCredentials, PaperExchange
from tests.kit.proxy import ForwardProxy, Passage, forward_proxy, tls_front
from tests.kit.raw_broker import answer, raw_broker, reply

INFY = 408065
PASSWORD = "the-password-of-the-proxy"


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", tick_seconds=0.2, heartbeat_seconds=0.5) as exchange:
        yield exchange


@pytest.fixture
def account(exchange: PaperExchange) -> PaperCredentials:
    return exchange.control.new_account()


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with forward_proxy(user="asha", password=PASSWORD) as proxy:
        yield proxy


def by(account: PaperCredentials, way: Proxy | None) -> KiteCredentials:
    return KiteCredentials(account.api_key, account.access_token, way)


def authority(url: str) -> str:
    return url.partition("//")[2]


async def test_order_updates_come_through_the_proxy_and_come_back_with_it(
    exchange: PaperExchange, account: PaperCredentials, proxy: ForwardProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logged:
        async with listening(exchange, by(account, proxy.proxy)) as listener:
            await listener.connects()
            assert proxy.passed == [Passage("CONNECT", authority(exchange.url))]
            order_id = await place(exchange, by(account, None))
            await until(lambda: is_filled(order_id, listener.updates))
            proxy.refuses = 403
            proxy.hang_up()
            await until(lambda: len(proxy.turned_away) >= 2)
            assert (listener.connected, listener.refused) == (1, 0)  # it is not the broker who refuses
            proxy.refuses = None
            await listener.connects(2)
    assert "ticker.proxy_refused" in [line["event"] for line in logged]
    assert PASSWORD not in f"{logged} {caplog.text}"


async def test_the_broker_that_refuses_a_token_is_heard_through_the_proxy(
    exchange: PaperExchange, account: PaperCredentials, proxy: ForwardProxy
) -> None:
    async with listening(exchange, KiteCredentials(account.api_key, "dead", proxy.proxy)) as listener:
        await until(lambda: listener.refused)
        assert listener.connected == 0


async def test_the_stream_moves_to_the_proxy_that_is_stored(
    exchange: PaperExchange, account: PaperCredentials, proxy: ForwardProxy
) -> None:
    accounts, received = StoredAccounts(exchange), Received()
    accounts.stored[2] = by(account, Proxy("127.0.0.1", 9))
    follower = UpdateFollower(accounts, reread_s=0.2)
    follower.follow(2, StreamCallbacks(received.on_update, received.on_connected))
    await until(lambda: accounts.reads >= 2)
    assert received.connected == 0
    accounts.stored[2] = by(account, proxy.proxy)
    await until(lambda: received.connected == 1)
    assert proxy.methods() == ["CONNECT"]
    reads = accounts.reads
    await until(lambda: accounts.reads >= reads + 3)
    assert received.connected == 1  # as long as nothing changes, the connection stays
    accounts.stored[2] = by(account, None)
    await until(lambda: received.connected == 2)
    assert proxy.methods() == ["CONNECT"]
    order_id = await place(exchange, accounts.stored[2])
    await until(lambda: is_filled(order_id, received.updates))
    follower.leave(2)


def test_ticks_come_through_the_proxy_and_a_dead_one_is_told(
    exchange: PaperExchange, account: PaperCredentials, proxy: ForwardProxy
) -> None:
    with FeedProcess(exchange.ws_url) as feed:
        feed.subscribe(INFY)
        feed.start(account, Proxy("127.0.0.1", 9))
        feed.wait_for("unreachable")
        feed.start(account, proxy.proxy)
        feed.wait_for("tick")
        told = len(feed.all("unreachable"))
        proxy.refuses = 502
        proxy.hang_up()
        feed.wait_for("unreachable", told + 1)
        proxy.refuses = None
        feed.wait_for("tick", len(feed.all("tick")) + 1)
        assert feed.all("refused") == []


def test_a_proxy_that_makes_no_sense_costs_nothing_but_the_connection(
    exchange: PaperExchange, account: PaperCredentials
) -> None:
    with raw_broker() as nonsense, FeedProcess(exchange.ws_url) as feed:
        page = answer("No", "403 Forbidden", Content_Type="text/html")
        nonsense.script = [
            reply(b"\0\r\n\r\n"),
            reply(b"HTTP/1.1 x\r\n\r\n"),
            reply(page),
            reply(b"HTTP/9.9 200 OK\r\n\r\n"),
        ]
        feed.start(account, Proxy.parse(nonsense.url))
        feed.wait_for("unreachable", 2)
        feed.subscribe(INFY)
        feed.start(account)
        feed.wait_for("tick")
        assert feed.all("refused") == []


def test_tls_is_inside_of_the_tunnel_and_verified(
    exchange: PaperExchange, account: PaperCredentials, proxy: ForwardProxy, tmp_path: Path
) -> None:
    certificate = self_signed_certificate(tmp_path)
    with tls_front(int(exchange.url.rpartition(":")[2]), certificate) as port:
        root = f"wss://127.0.0.1:{port}"
        with FeedProcess(root, trusts=certificate) as feed:
            feed.subscribe(INFY)
            feed.start(account, proxy.proxy)
            feed.wait_for("tick")
        assert proxy.passed == [Passage("CONNECT", f"127.0.0.1:{port}")]
        with FeedProcess(root) as stranger:
            stranger.subscribe(INFY)
            stranger.start(account, proxy.proxy)
            stranger.wait_for("lost")
            assert stranger.all("heard") == []
