"""The tick stream over the real KiteTicker: what it delivers, and that it comes back from everything."""

import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from socket import create_server

import pytest

from actors.domain.prices.feed_silence import SILENCE_LIMIT_S
from broker.kite.streams.market_feed import RECONNECT_S
from tests.kit.feed_process import FeedProcess
from tests.kit.paper import PaperCredentials, PaperExchange, eventually

INFY, SBIN = 408065, 779521


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", tick_seconds=0.2, heartbeat_seconds=0.5) as exchange:
        yield exchange


@pytest.fixture
def feed(exchange: PaperExchange) -> Iterator[FeedProcess]:
    with FeedProcess(exchange.ws_url) as feed:
        yield feed
    exchange.control.clear_faults()


def prices(feed: FeedProcess, token: int) -> set[int]:
    return {tick["price"] for tick in feed.all("tick") if tick["token"] == token}


def test_ticks_arrive_in_paise_with_aware_times(exchange: PaperExchange, feed: FeedProcess) -> None:
    feed.start(exchange.control.new_account())
    feed.subscribe(INFY)
    feed.wait_for("tick")
    exchange.control.set_price("NSE:INFY", 1449.95)
    eventually(lambda: 144995 in prices(feed, INFY))
    latest = feed.all("tick")[-1]
    exchange_time = datetime.fromisoformat(latest["exchange_time"])
    assert exchange_time.utcoffset() is not None
    assert abs(datetime.now(UTC) - exchange_time) < timedelta(seconds=3)


def test_subscriptions_may_come_before_and_after_the_connection(exchange: PaperExchange, feed: FeedProcess) -> None:
    feed.subscribe(INFY)
    feed.start(exchange.control.new_account())
    feed.wait_for("tick")
    feed.subscribe(SBIN)
    eventually(lambda: prices(feed, SBIN))


def test_heartbeats_are_heard_though_no_tick_comes(exchange: PaperExchange, feed: FeedProcess) -> None:
    feed.start(exchange.control.new_account())
    feed.wait_for("heard", 3)
    assert feed.all("tick") == []


def test_it_reconnects_every_two_seconds_and_subscribes_again() -> None:
    with (
        PaperExchange(default_source="hold", tick_seconds=0.2, heartbeat_seconds=0.5) as exchange,
        FeedProcess(exchange.ws_url) as feed,
    ):
        account = exchange.control.new_account()
        feed.start(account)
        feed.subscribe(INFY)
        feed.wait_for("tick")
        exchange.kill()
        feed.wait_for("lost")
        knocks = _knocks(int(exchange.url.rsplit(":", 1)[1]), 3)
        assert all(abs(later - earlier - RECONNECT_S) < 0.5 for earlier, later in pairwise(knocks))
        exchange.start()
        exchange.control.new_account(
            user_id=account.user_id, api_key=account.api_key, access_token=account.access_token
        )
        if feed.all("refused"):  # it knocked between the start of the exchange and the opening of the account
            feed.start(account)
        feed.wait_for("tick", len(feed.all("tick")) + 1, within_s=RECONNECT_S + 1)


def _knocks(port: int, count: int) -> list[float]:
    """When the feed tried to connect to the port, `count` times; every attempt is turned away."""
    instants: list[float] = []
    with create_server(("127.0.0.1", port)) as listening:
        listening.settimeout(10)
        for _ in range(count):
            listening.accept()[0].close()
            instants.append(time.monotonic())
    return instants


def test_a_connection_that_falls_silent_is_dropped_and_made_again(exchange: PaperExchange, feed: FeedProcess) -> None:
    account = exchange.control.new_account()
    feed.start(account)
    feed.subscribe(INFY)
    feed.wait_for("tick")
    exchange.control.fault("ws-freeze", {"user_id": account.user_id}, seconds=60)
    silence = time.monotonic()
    limit = SILENCE_LIMIT_S + 2
    lost = feed.wait_for("lost", within_s=limit + 1)
    assert lost["at"] - silence < limit
    before = len(feed.all("tick"))
    feed.wait_for("tick", before + 1, within_s=RECONNECT_S + 2)


def test_a_connection_that_breaks_is_made_again(exchange: PaperExchange, feed: FeedProcess) -> None:
    account = exchange.control.new_account()
    feed.start(account)
    feed.subscribe(INFY)
    feed.wait_for("tick")
    exchange.control.fault("ws-abort", {"user_id": account.user_id})
    lost = feed.wait_for("lost")
    before = len(feed.all("tick"))
    again = feed.wait_for("tick", before + 1, within_s=RECONNECT_S + 2)
    assert again["at"] - lost["at"] < RECONNECT_S + 1


def test_refused_credentials_are_told_and_new_ones_connect(exchange: PaperExchange, feed: FeedProcess) -> None:
    account = exchange.control.new_account()
    wrong = PaperCredentials(account.user_id, account.api_key, account.api_secret, "wrong", account.cash)
    feed.subscribe(INFY)
    feed.start(wrong)
    feed.wait_for("refused")
    time.sleep(RECONNECT_S + 0.5)  # it must not go on by itself with a dead token
    assert len(feed.all("refused")) == 1
    feed.start(account)
    feed.wait_for("tick")


class TlsServer:
    """A server with a certificate that no authority vouches for; it notes every byte that a client entrusts to it."""

    def __init__(self, folder: Path) -> None:
        key, certificate = folder / "key.pem", folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._socket = create_server(("127.0.0.1", 0))
        self.url = f"wss://127.0.0.1:{self._socket.getsockname()[1]}"
        self.attempts = 0
        self.received = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.attempts += 1
            try:
                with self._context.wrap_socket(connection, server_side=True) as secured:
                    self.received += secured.recv(65536)
            except OSError:
                continue

    def close(self) -> None:
        self._socket.close()


def test_a_server_with_a_self_signed_certificate_gets_no_token(tmp_path: Path) -> None:
    server = TlsServer(tmp_path)
    with FeedProcess(server.url) as feed:
        feed.start(PaperCredentials("AB1234", "key", "secret", "token", 0))
        feed.wait_for("lost")
        assert server.attempts >= 1
        assert server.received == b""
        assert feed.all("heard") == []
    server.close()
