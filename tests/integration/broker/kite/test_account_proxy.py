"""Orders and reads of an account through its own proxy: by which address they leave, and what a failure proves."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import structlog
from kiteconnect import KiteConnect

from actors.domain.orders.placement_policy import AttemptOutcome
from actors.ports.execution import BrokerUnavailable
from broker.errors import BrokerError, BrokerUnreachable, ProxyUnreachable
from broker.kite.answers.attempt_outcomes import outcome_of
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from broker.kite.login import check_access_token, exchange_request_token, last_price
from broker.proxy import Proxy
from tests.kit.builders import INFY, a_run
from tests.kit.execution import a_command
from tests.kit.hostile_http import hostile_broker, self_signed_certificate
from tests.kit.kite import TIMEOUT, a_gateway
from tests.kit.paper import PaperCredentials, PaperExchange
from tests.kit.proxy import ForwardProxy, Passage, forward_proxy
from tests.kit.raw_broker import RawBroker, answer, drip, hang, raw_broker, reply, reset, then_close

ACCEPTED, NOT_SENT, AMBIGUOUS = AttemptOutcome.ACCEPTED, AttemptOutcome.NOT_SENT, AttemptOutcome.AMBIGUOUS
PASSWORD = "the-password-of-the-proxy"
NOWHERE = Proxy("127.0.0.1", 9, "asha", PASSWORD)
OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", orders_per_second=0, orders_per_minute=0) as exchange:
        yield exchange


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with forward_proxy(user="asha", password=PASSWORD) as proxy:
        yield proxy


@pytest.fixture
def broker() -> Iterator[RawBroker]:
    with raw_broker() as broker:
        yield broker


def authority(url: str) -> str:
    return url.partition("//")[2]


class Account:
    """An account of the exchange, and its gateway by way of `proxy`; `stored` is what the user has named last."""

    def __init__(self, exchange: PaperExchange, proxy: Proxy | None, **options: Any) -> None:
        self.exchange, self.paper = exchange, exchange.control.new_account()
        self.stored: Proxy | None = proxy
        self.reads = 0
        self.readable = True
        self.gateway = KiteGateway(KiteEndpoint(exchange.url, TIMEOUT), self._load, **options)

    async def _load(self) -> KiteCredentials:
        self.reads += 1
        if not self.readable:
            raise BrokerUnavailable("the database does not answer")
        return KiteCredentials(self.paper.api_key, self.paper.access_token, self.stored)

    async def place(self) -> tuple[AttemptOutcome, str]:
        result = await self.gateway.place(a_command(a_run().entry_intent()))
        return result.outcome, result.reason

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.exchange.control.ledger(user_id=self.paper.user_id)["requests"]
        return found


# --- the address ----------------------------------------------------------------------------------------------------


async def test_each_account_trades_by_the_address_registered_for_it(exchange: PaperExchange) -> None:
    with forward_proxy(leaves_by="127.0.0.2") as two, forward_proxy(leaves_by="127.0.0.3") as three:
        accounts = [Account(exchange, two.proxy), Account(exchange, three.proxy), Account(exchange, None)]
        for account, ip in zip(accounts, ("127.0.0.2", "127.0.0.3", "127.0.0.2"), strict=True):
            exchange.control.register_ips(account.paper.user_id, ip)
        outcomes = [await account.place() for account in accounts]
        assert [outcome for outcome, _ in outcomes] == [ACCEPTED, ACCEPTED, AttemptOutcome.REFUSED]
        assert "127.0.0.1" in outcomes[2][1]
        accounts[1].gateway._credentials = None
        accounts[1].stored = two.proxy
        assert (await accounts[1].place())[0] is AttemptOutcome.REFUSED


async def test_everything_of_an_account_goes_through_its_proxy(exchange: PaperExchange, proxy: ForwardProxy) -> None:
    account = Account(exchange, proxy.proxy)
    assert (await account.place())[0] is ACCEPTED
    assert len(await account.gateway.orders()) == 1
    await account.gateway.positions()
    await account.gateway.keep_warm()
    assert (await account.place())[0] is ACCEPTED  # on a warm connection
    tunnels = {passage.target for passage in proxy.passed}
    assert (set(proxy.methods()), tunnels) == ({"CONNECT"}, {authority(exchange.url)})
    proxy.hang_up()
    proxy.refuses = 403
    assert (await account.place())[0] is NOT_SENT
    with pytest.raises(BrokerUnavailable, match="HTTP 403"):
        await account.gateway.orders()
    assert len(account.requests()) == 2


def test_so_do_profile_session_and_quotes(exchange: PaperExchange, proxy: ForwardProxy) -> None:
    paper: PaperCredentials = exchange.control.new_account()
    where: dict[str, Any] = {"root": exchange.url, "timeout_s": (1, 5), "proxy": proxy.proxy}
    assert check_access_token(paper.api_key, paper.access_token, **where).broker_user_id == paper.user_id
    assert last_price(paper.api_key, paper.access_token, INFY, **where)
    token = exchange.control.request_token(paper.user_id)
    assert exchange_request_token(paper.api_key, paper.api_secret, token, **where).broker_user_id == paper.user_id
    assert proxy.passed == 3 * [Passage("CONNECT", authority(exchange.url))]


def test_a_proxy_that_leads_nowhere_is_told_apart_from_a_broker_that_does_not_answer(exchange: PaperExchange) -> None:
    with pytest.raises(ProxyUnreachable):
        check_access_token("key", "token", root=exchange.url, timeout_s=(1, 5), proxy=NOWHERE)
    with forward_proxy(refuses=403) as proxy, pytest.raises(ProxyUnreachable):
        check_access_token("key", "token", root="https://127.0.0.1:9", timeout_s=(1, 5), proxy=proxy.proxy)
    with pytest.raises(BrokerUnreachable) as direct:
        check_access_token("key", "token", root="http://127.0.0.1:9", timeout_s=(1, 5))
    assert not isinstance(direct.value, ProxyUnreachable)


# --- what a failure proves ------------------------------------------------------------------------------------------


async def test_a_proxy_that_is_not_there_is_definite(exchange: PaperExchange) -> None:
    account = Account(exchange, NOWHERE)
    assert await account.place() == (NOT_SENT, "the account's proxy cannot be reached")
    assert account.requests() == []


@pytest.mark.parametrize("status", [403, 502, 503, 504])
async def test_a_tunnel_that_the_proxy_refuses_is_definite(
    exchange: PaperExchange, proxy: ForwardProxy, status: int
) -> None:
    proxy.refuses = status
    account = Account(exchange, proxy.proxy)
    assert await account.place() == (NOT_SENT, f"the account's proxy refused a tunnel to the broker: HTTP {status}")
    assert account.requests() == []


async def test_a_wrong_password_is_definite_and_so_is_a_broker_that_the_proxy_cannot_reach(
    exchange: PaperExchange, proxy: ForwardProxy
) -> None:
    account = Account(exchange, Proxy("127.0.0.1", proxy.port, "asha", "wrong"))
    assert await account.place() == (NOT_SENT, "the account's proxy refused a tunnel to the broker: HTTP 407")
    result = await a_gateway("http://127.0.0.1:9", proxy=proxy.proxy).place(a_command())
    assert (result.outcome, proxy.turned_away) == (NOT_SENT, [407, 502])


@pytest.mark.parametrize(
    "behaviour",
    [
        then_close(b""),
        then_close(OPEN[:20]),
        reset,
        hang,
        drip(OPEN, 0.45),
        reply(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        reply(b"\0" * 20_000),
        reply(b"HTTP/1.1 100 Continue\r\n\r\n"),
        reply(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9\r\n\r\n"),
        reply(OPEN + answer('{"status": "success", "data": {"order_id": "1"}}')),
    ],
    ids=["closes", "half", "reset", "hangs", "drips", "ssh", "endless", "continue", "redirect", "answers-unasked"],
)
async def test_until_the_tunnel_stands_nothing_has_been_sent(broker: RawBroker, behaviour: Any) -> None:
    broker.script = [behaviour]
    started = time.monotonic()
    gateway = a_gateway("http://127.0.0.1:9", proxy=Proxy.parse(broker.url))
    result = await gateway.place(a_command())
    assert (result.outcome, result.order_id) == (NOT_SENT, None)
    assert time.monotonic() - started < sum(TIMEOUT) + 1
    (tunnel,) = broker.seen
    assert (tunnel.line, tunnel.body) == ("CONNECT 127.0.0.1:9 HTTP/1.1", "")
    assert set(tunnel.headers) == {"host"}


@pytest.mark.parametrize(
    "opened",
    [
        b"HTTP/1.0 200 Connection established\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 9\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OPEN,
    ],
    ids=["http-1.0", "with-a-length", "announced"],
)
async def test_a_tunnel_stands_in_whatever_form_the_proxy_says_so(broker: RawBroker, opened: bytes) -> None:
    broker.script = [reply(opened)]
    result = await a_gateway("http://127.0.0.1:9", proxy=Proxy.parse(broker.url)).place(a_command())
    assert result.outcome is ACCEPTED
    assert [request.line for request in broker.seen] == [
        "CONNECT 127.0.0.1:9 HTTP/1.1",
        "POST /orders/regular HTTP/1.1",
    ]


async def test_an_answer_that_the_proxy_loses_is_ambiguous(exchange: PaperExchange, proxy: ForwardProxy) -> None:
    proxy.trouble = "cut-the-answer"
    account = Account(exchange, proxy.proxy)
    assert await account.place() == (AMBIGUOUS, "the connection to the broker broke")
    assert len(account.requests()) == 1


async def test_a_warm_tunnel_that_broke_is_not_used(exchange: PaperExchange, proxy: ForwardProxy) -> None:
    account = Account(exchange, proxy.proxy)
    assert (await account.place())[0] is ACCEPTED
    proxy.hang_up()
    assert (await account.place())[0] is ACCEPTED
    assert proxy.methods() == ["CONNECT"] * 2


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"])
async def test_a_bad_gateway_inside_the_tunnel_is_ambiguous(
    broker: RawBroker, proxy: ForwardProxy, status: str
) -> None:
    broker.script = [reply(answer("<h1>Bad gateway</h1>", status, Content_Type="text/html"))]
    result = await a_gateway(broker.url, proxy=proxy.proxy).place(a_command())
    assert result.outcome is AMBIGUOUS
    assert [request.line for request in broker.seen] == ["POST /orders/regular HTTP/1.1"]


def test_of_a_proxy_error_of_requests_only_a_refused_connection_is_definite(
    exchange: PaperExchange, proxy: ForwardProxy
) -> None:
    """The stock client forwards to a broker without TLS, and calls a reply that was lost a ProxyError as well."""

    def outcome(root: str, way: Proxy) -> AttemptOutcome:
        ways = {"http": way.url, "https": way.url}
        client = KiteConnect("key", "token", root=root, timeout=(1, 5), proxies=ways)
        with pytest.raises(requests.exceptions.ProxyError) as failure:
            client.place_order("regular", "NSE", "INFY", "BUY", 1, "MIS", "MARKET")
        return outcome_of(failure.value)

    assert outcome(exchange.url, NOWHERE) is NOT_SENT
    assert outcome("https://127.0.0.1:9", NOWHERE) is NOT_SENT
    assert outcome("https://127.0.0.1:9", proxy.proxy) is NOT_SENT  # 502 to CONNECT
    proxy.trouble = "cut-the-answer"
    assert outcome(exchange.url, proxy.proxy) is AMBIGUOUS
    assert proxy.passed == [Passage("POST", f"{exchange.url}/orders/regular")]


async def test_a_certificate_is_verified_through_the_tunnel(tmp_path: Path, proxy: ForwardProxy) -> None:
    with hostile_broker(self_signed_certificate(tmp_path)) as imposter:
        result = await a_gateway(imposter.url, proxy=proxy.proxy).place(a_command())
        assert result.outcome is NOT_SENT
        assert proxy.passed == [Passage("CONNECT", authority(imposter.url))]
        assert imposter.requests == []


# --- another proxy --------------------------------------------------------------------------------------------------


async def test_a_proxy_that_died_is_left_with_the_same_order_once_another_is_stored(
    exchange: PaperExchange, proxy: ForwardProxy
) -> None:
    account = Account(exchange, NOWHERE)
    assert (await account.place())[0] is NOT_SENT
    account.readable = False
    assert (await account.place())[0] is NOT_SENT
    account.readable, account.stored = True, proxy.proxy
    assert (await account.place())[0] is ACCEPTED
    account.readable = False
    assert (await account.place())[0] is ACCEPTED  # the store is not asked as long as all is well
    assert len(account.requests()) == 2


async def test_another_proxy_is_noticed_by_a_read_and_no_session_of_the_old_one_is_used(
    exchange: PaperExchange, proxy: ForwardProxy
) -> None:
    account = Account(exchange, None, reread_s=0.0)
    assert (await account.place())[0] is ACCEPTED
    account.stored = proxy.proxy
    await account.gateway.orders()
    assert (await account.place())[0] is ACCEPTED
    assert set(proxy.methods()) == {"CONNECT"}
    tunnels = len(proxy.passed)
    account.stored = None
    await account.gateway.orders()
    proxy.refuses = 403
    assert (await account.place())[0] is ACCEPTED
    assert len(proxy.passed) == tunnels
    account.readable = False
    await account.gateway.orders()  # what was read last stays good


async def test_credentials_are_not_read_again_before_their_time(exchange: PaperExchange) -> None:
    for account in (Account(exchange, None), Account(exchange, None, reread_s=60.0)):
        for _ in range(3):
            await account.gateway.orders()
        assert account.reads == 1


# --- the password ---------------------------------------------------------------------------------------------------


async def test_nothing_that_is_said_or_logged_holds_the_password(
    exchange: PaperExchange, proxy: ForwardProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[object] = []
    with structlog.testing.capture_logs() as logged:
        for way in (proxy.proxy, NOWHERE):
            account = Account(exchange, way)
            said += [await account.place(), account.gateway, account.gateway._pool.destination]
            said += [account.gateway._credentials, account.gateway._client]
            with pytest.raises(BrokerError) as failed:
                check_access_token("wrong", "wrong", root=exchange.url, timeout_s=(1, 5), proxy=way)
            said += [failed.value, repr(failed.value)]
    said += [logged, caplog.text]
    assert not [words for words in said if PASSWORD in f"{words} {words!r}"]
