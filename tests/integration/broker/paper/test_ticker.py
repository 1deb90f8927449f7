"""The paper exchange's WebSocket, read by the unmodified KiteTicker client.

Twisted's reactor starts once per process: every ticker here shares it, and only ``close`` is ever called.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from kiteconnect import KiteConnect, KiteTicker
from twisted.internet import reactor

from tests.kit.paper import PaperCredentials, PaperExchange, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

INFY, SBIN, NIFTY = 408065, 779521, 256265
HEARTBEAT_SECONDS = 0.2


@dataclass
class Probe:
    """A KiteTicker with everything it received. Callbacks run on the reactor's thread."""

    url: str
    account: PaperCredentials
    ticks: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[int] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    closes: list[str] = field(default_factory=list)
    messages: list[tuple[bytes, bool]] = field(default_factory=list)
    connected: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.client = KiteTicker(self.account.api_key, self.account.access_token, root=self.url)
        self.client.on_ticks = self._on_ticks
        self.client.on_connect = lambda *_: self.connected.set()
        self.client.on_order_update = lambda _ws, data: self.orders.append(data)
        self.client.on_error = lambda _ws, code, reason: self.errors.append((code, str(reason)))
        self.client.on_close = lambda _ws, _code, reason: self.closes.append(str(reason))
        self.client.on_message = lambda _ws, payload, binary: self.messages.append((payload, binary))

    def _on_ticks(self, _ws: Any, ticks: list[dict[str, Any]]) -> None:
        self.arrivals.append(time.time_ns())
        self.ticks += ticks

    def open(self) -> Probe:
        if reactor.running:
            # Twisted is not thread-safe: a connect from this thread would wait for the reactor's next event.
            reactor.callFromThread(self.client.connect, threaded=True)
        else:
            self.client.connect(threaded=True)
            eventually(lambda: reactor.running)
        return self

    def ready(self) -> Probe:
        assert self.connected.wait(5), self.closes
        return self

    def subscribe(self, *tokens: int, mode: str = "full") -> Probe:
        def send() -> None:
            self.client.subscribe(list(tokens))
            self.client.set_mode(mode, list(tokens))

        reactor.callFromThread(send)
        eventually(lambda: {tick["instrument_token"] for tick in self.ticks if tick["mode"] == mode} >= set(tokens))
        return self

    def last(self, token: int) -> float | None:
        prices = [tick["last_price"] for tick in self.ticks if tick["instrument_token"] == token]
        return prices[-1] if prices else None

    def heartbeats(self) -> int:
        return sum(payload == b"\x00" and binary for payload, binary in self.messages)

    def close(self) -> None:
        reactor.callFromThread(self.client.close)


@pytest.fixture(scope="module")
def paper() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", tick_seconds=30, heartbeat_seconds=HEARTBEAT_SECONDS) as exchange:
        yield exchange


@pytest.fixture
def probes(paper: PaperExchange) -> Iterator[list[Probe]]:
    opened: list[Probe] = []
    yield opened
    for probe in opened:
        probe.close()
    paper.control.clear_faults()


@pytest.fixture
def probe(paper: PaperExchange, probes: list[Probe]) -> Probe:
    opened = Probe(paper.ws_url, paper.control.new_account()).open()
    probes.append(opened)
    return opened.ready()


def kite_of(paper: PaperExchange, account: PaperCredentials) -> Any:
    return KiteConnect(account.api_key, access_token=account.access_token, root=paper.url)


@pytest.mark.parametrize("mode", ["ltp", "quote", "full"])
def test_every_mode_of_shares_and_indices_is_read(probe: Probe, mode: str) -> None:
    probe.subscribe(INFY, NIFTY, mode=mode)
    latest = {tick["instrument_token"]: tick for tick in probe.ticks if tick["mode"] == mode}
    assert (latest[INFY]["tradable"], latest[NIFTY]["tradable"]) == (True, False)
    assert ("exchange_timestamp" in latest[INFY], "ohlc" in latest[NIFTY]) == (mode == "full", mode != "ltp")


def test_the_default_mode_is_quote(probe: Probe) -> None:
    reactor.callFromThread(probe.client.subscribe, [INFY])
    eventually(lambda: probe.ticks)
    assert probe.ticks[0]["mode"] == "quote"


def test_a_price_set_by_control_arrives_at_once_with_the_time_of_now(probe: Probe, paper: PaperExchange) -> None:
    probe.subscribe(INFY)
    seen = len(probe.arrivals)
    published = paper.control.set_price("NSE:INFY", 1499.9)["published_ns"]
    eventually(lambda: len(probe.arrivals) > seen)
    assert probe.last(INFY) == 1499.9
    # Generous: the machine may be busy. The point is that it does not wait for the next cadence.
    assert probe.arrivals[-1] - published < 500_000_000
    assert abs(probe.ticks[-1]["exchange_timestamp"].timestamp() - time.time()) < 3


def test_the_cached_tick_keeps_its_exchange_time(probe: Probe, paper: PaperExchange) -> None:
    stale = int(time.time()) - 86_400
    paper.control.set_price("NSE:SBIN", 801, exchange_time=stale)
    probe.subscribe(SBIN)
    assert probe.ticks[-1]["last_price"] == 801
    assert int(probe.ticks[-1]["exchange_timestamp"].timestamp()) == stale


def test_unsubscribed_instruments_are_silent(probe: Probe, paper: PaperExchange) -> None:
    probe.subscribe(INFY, SBIN)
    reactor.callFromThread(probe.client.unsubscribe, [INFY])
    # A round trip behind the unsubscribe: what answers it was read after it.
    probe.ticks.clear()
    probe.subscribe(SBIN, mode="ltp")
    paper.control.set_price("NSE:INFY", 1450)
    paper.control.set_price("NSE:SBIN", 799)
    eventually(lambda: probe.last(SBIN) == 799)
    assert probe.last(INFY) is None


def test_heartbeats_are_one_byte(probe: Probe) -> None:
    eventually(lambda: probe.heartbeats() >= 3)
    assert probe.ticks == []


def test_a_wrong_or_expired_token_is_refused_with_403(probe: Probe, probes: list[Probe], paper: PaperExchange) -> None:
    wrong = PaperCredentials("PA0001", "paper", "", "wrong", 0)
    refused = Probe(paper.ws_url, wrong).open()
    probes.append(refused)
    eventually(lambda: any("403" in reason for reason in refused.closes))

    paper.control.expire_token(probe.account.user_id)
    eventually(lambda: any("403" in reason for reason in probe.closes))


def test_a_fourth_socket_of_one_key_is_refused(paper: PaperExchange, probes: list[Probe]) -> None:
    account = paper.control.new_account()
    probes += [Probe(paper.ws_url, account).open().ready() for _ in range(3)]
    fourth = Probe(paper.ws_url + "/ws", account).open()
    probes.append(fourth)
    eventually(lambda: any("429" in reason for reason in fourth.closes))
    assert not fourth.connected.is_set()


def test_a_refused_handshake_is_tried_again(paper: PaperExchange, probes: list[Probe]) -> None:
    account = paper.control.new_account()
    paper.control.fault("ws-refuse", {"user_id": account.user_id})
    refused = Probe(paper.ws_url, account).open()
    probes.append(refused)
    refused.ready()
    assert any("403" in reason for reason in refused.closes)


def test_order_updates_arrive_on_the_accounts_sockets_only(
    probe: Probe, probes: list[Probe], paper: PaperExchange
) -> None:
    stranger = Probe(paper.ws_url, paper.control.new_account()).open().ready()
    probes.append(stranger)
    order_id = _buy(paper, probe.account)
    eventually(lambda: probe.orders)
    (update,) = probe.orders
    assert (update["order_id"], update["status"], update["checksum"]) == (order_id, "COMPLETE", "")
    assert (update["tag"], update["filled_quantity"], update["unfilled_quantity"]) == ("T1", 10, 0)
    assert stranger.orders == []


def test_order_updates_can_be_doubled_delayed_and_lost(probe: Probe, paper: PaperExchange) -> None:
    paper.control.fault("duplicate-updates", {"user_id": probe.account.user_id})
    _buy(paper, probe.account)
    eventually(lambda: len(probe.orders) == 2)
    assert probe.orders[0] == probe.orders[1]

    paper.control.fault("delay-updates", seconds=0.4)
    first = _buy(paper, probe.account)
    eventually(lambda: kite_of(paper, probe.account).order_history(first)[-1]["status"] == "COMPLETE")
    second = _buy(paper, probe.account)
    eventually(lambda: len(probe.orders) == 4)
    assert [update["order_id"] for update in probe.orders[2:]] == [second, first]

    paper.control.fault("drop-updates")
    lost = _buy(paper, probe.account)
    kept = _buy(paper, probe.account)
    eventually(lambda: len(probe.orders) == 5)
    assert probe.orders[-1]["order_id"] == kept != lost


def test_updates_can_arrive_latest_first(probe: Probe, paper: PaperExchange) -> None:
    aim = {"user_id": probe.account.user_id}
    paper.control.fault("reorder-updates", aim, times=2, seconds=2)
    first, second = _buy(paper, probe.account), _buy(paper, probe.account)
    eventually(lambda: len(probe.orders) == 2)
    assert [update["order_id"] for update in probe.orders] == [second, first]


def test_the_partial_fill_can_arrive_after_the_complete_one(probe: Probe, paper: PaperExchange) -> None:
    paper.control.set_liquidity("NSE:SBIN", 4)
    paper.control.fault("reorder-updates", {"user_id": probe.account.user_id}, times=2, seconds=3)
    kite = kite_of(paper, probe.account)
    order_id = kite.place_order("regular", "NSE", "SBIN", "BUY", 10, "MIS", "MARKET", market_protection=5)
    eventually(lambda: kite.order_history(order_id)[-1]["filled_quantity"] == 4)
    paper.control.set_liquidity("NSE:SBIN", None)
    paper.control.set_price("NSE:SBIN", 800)
    eventually(lambda: len(probe.orders) == 2)
    assert [(update["status"], update["filled_quantity"]) for update in probe.orders] == [
        ("COMPLETE", 10),
        ("UPDATE", 4),
    ]


def test_an_update_can_arrive_before_the_answer_to_the_order(probe: Probe, paper: PaperExchange) -> None:
    paper.control.fault("accepted-hang", {"user_id": probe.account.user_id}, seconds=2)
    order_id = _buy(paper, probe.account)
    assert [update["order_id"] for update in probe.orders] == [order_id]


def test_a_muted_socket_has_heartbeats_and_ticks_but_no_updates(probe: Probe, paper: PaperExchange) -> None:
    probe.subscribe(INFY)
    paper.control.fault("ws-mute", {"user_id": probe.account.user_id}, seconds=60)
    kite = kite_of(paper, probe.account)
    lost = [_buy(paper, probe.account) for _ in range(2)]
    eventually(lambda: {row["status"] for row in kite.orders()} == {"COMPLETE"})
    seen = probe.heartbeats()
    paper.control.set_price("NSE:INFY", 1498)
    eventually(lambda: probe.last(INFY) == 1498 and probe.heartbeats() > seen)
    assert probe.orders == []
    paper.control.clear_faults()
    kept = _buy(paper, probe.account)
    eventually(lambda: probe.orders)
    assert [update["order_id"] for update in probe.orders] == [kept]
    assert kept not in lost


def test_a_mute_ends_by_itself(probe: Probe, paper: PaperExchange) -> None:
    paper.control.fault("ws-mute", {"user_id": probe.account.user_id}, seconds=0.3)
    eventually(lambda: paper.control.faults() == [])
    _buy(paper, probe.account)
    eventually(lambda: probe.orders)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_orders_by_hand_push_updates_without_a_tag(probe: Probe, paper: PaperExchange, side: str) -> None:
    user_id = probe.account.user_id
    order_id = paper.control.foreign_order(user_id, tradingsymbol="INFY", transaction_type=side, quantity=5)
    eventually(lambda: probe.orders)
    (closing,) = paper.control.square_off(user_id)["order_ids"]
    eventually(lambda: len(probe.orders) == 2)
    assert [(update["order_id"], update["tag"]) for update in probe.orders] == [(order_id, None), (closing, None)]


def test_any_text_can_be_sent(probe: Probe, paper: PaperExchange) -> None:
    text = '{"type":"order","data":{"order_id":"unknown"}}'
    paper.control.fault("ws-text", {"user_id": probe.account.user_id}, message=text)
    eventually(lambda: probe.orders)
    assert probe.orders == [{"order_id": "unknown"}]
    paper.control.fault("ws-text", {"user_id": probe.account.user_id}, message="no JSON at all")
    eventually(lambda: (b"no JSON at all", False) in probe.messages)


def test_an_error_text_reaches_the_error_callback(probe: Probe, paper: PaperExchange) -> None:
    struck = paper.control.fault("ws-error", {"user_id": probe.account.user_id}, message="Too many subscriptions")
    assert struck["applied_to"] == 1
    eventually(lambda: (0, "Too many subscriptions") in probe.errors)


@pytest.mark.parametrize("kind", ["ws-abort", "ws-malformed"])
def test_a_broken_connection_is_noticed_and_comes_back(probe: Probe, paper: PaperExchange, kind: str) -> None:
    probe.subscribe(INFY)
    probe.connected.clear()
    paper.control.fault(kind, {"user_id": probe.account.user_id})
    eventually(lambda: probe.closes)
    probe.ticks.clear()
    probe.ready()
    # KiteTicker subscribes again by itself, and the cached tick answers that.
    eventually(lambda: probe.last(INFY))


def test_a_frozen_socket_stays_open_without_a_byte(probe: Probe, paper: PaperExchange) -> None:
    probe.subscribe(INFY)
    paper.control.fault("ws-freeze", {"user_id": probe.account.user_id}, seconds=4 * HEARTBEAT_SECONDS)
    # What was on the wire before the freeze has arrived once nothing has come for two heartbeats.
    seen = len(probe.messages)
    frozen = time.monotonic()
    eventually(lambda: time.monotonic() - frozen > 2 * HEARTBEAT_SECONDS)
    assert len(probe.messages) - seen <= 1
    assert probe.closes == []
    eventually(lambda: probe.closes)


def test_a_walking_market_ticks_by_itself(probes: list[Probe]) -> None:
    with PaperExchange(tick_seconds=0.1) as walking:
        probe = Probe(walking.ws_url, walking.control.new_account()).open().ready()
        probes.append(probe)
        probe.subscribe(INFY, NIFTY)
        eventually(lambda: len(probe.ticks) > 20)
        assert len({tick["last_price"] for tick in probe.ticks if tick["instrument_token"] == INFY}) > 3
        probe.close()


def _buy(paper: PaperExchange, account: PaperCredentials) -> str:
    return str(
        kite_of(paper, account).place_order(
            "regular", "NSE", "INFY", "BUY", 10, "MIS", "MARKET", market_protection=-1, tag="T1"
        )
    )
