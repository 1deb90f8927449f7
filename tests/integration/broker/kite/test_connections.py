"""The sessions of the Kite client: which connection an order takes, and what is said on it."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from actors.domain.identifiers import Instrument
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.ports.execution import BrokerUnavailable
from broker.kite.connection import MAX_IDLE_S
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from tests.kit.execution import a_command
from tests.kit.kite import GOOD, SECRET, TIMEOUT, a_client, a_gateway, error, order
from tests.kit.paper import eventually
from tests.kit.raw_broker import RawBroker, answer, hang, raw_broker, reply, reset, success, then_close

ACCEPTED, REFUSED, NOT_SENT = AttemptOutcome.ACCEPTED, AttemptOutcome.REFUSED, AttemptOutcome.NOT_SENT
AMBIGUOUS, RATE_LIMITED = AttemptOutcome.AMBIGUOUS, AttemptOutcome.RATE_LIMITED
SESSION_EXPIRED = AttemptOutcome.SESSION_EXPIRED


@pytest.fixture
def broker() -> Iterator[RawBroker]:
    with raw_broker() as broker:
        yield broker


# --- idle connections -----------------------------------------------------------------------------------------------


async def test_an_idle_connection_that_the_broker_closed_is_not_used(broker: RawBroker) -> None:
    gateway = a_gateway(broker.url)
    assert (await gateway.place(a_command())).outcome is ACCEPTED
    broker.hang_up()
    assert (await gateway.place(a_command())).outcome is ACCEPTED
    assert [request.connection for request in broker.seen] == [1, 2]


async def test_one_that_is_closed_as_the_order_arrives_is_ambiguous(broker: RawBroker) -> None:
    gateway = a_gateway(broker.url)
    broker.script = [success(), then_close(b"")]
    assert (await gateway.place(a_command())).outcome is ACCEPTED
    assert (await gateway.place(a_command())).outcome is AMBIGUOUS
    assert [request.connection for request in broker.seen] == [1, 1]


@pytest.mark.parametrize(
    "raw",
    [
        answer(GOOD) + answer(GOOD.replace("0001", "9999")),
        answer(GOOD) + b"HTTP/1.1 408 Request Timeout\r\n\r\n",
        answer(GOOD, Connection="close"),
        answer(GOOD).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["two-answers", "timeout-page", "close", "http-1.0"],
)
async def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next(broker: RawBroker, raw: bytes) -> None:
    gateway = a_gateway(broker.url)
    broker.script = [reply(raw)]
    for connection in (1, 2):
        result = await gateway.place(a_command())
        assert (result.outcome, result.order_id) == (ACCEPTED, "1900000000000000001")
        assert broker.seen[-1].connection == connection


async def test_a_connection_that_rested_for_too_long_is_not_trusted(broker: RawBroker) -> None:
    gateway = a_gateway(broker.url)
    await gateway.place(a_command())
    gateway._pool._idle[0].used_at -= MAX_IDLE_S
    await gateway.place(a_command())
    assert [request.connection for request in broker.seen] == [1, 2]


async def test_the_first_read_warms_the_connection_that_the_order_takes(broker: RawBroker) -> None:
    gateway = a_gateway(broker.url)
    broker.script = [success("[]"), success("{}")]
    await gateway.orders()
    await gateway.keep_warm()
    assert (await gateway.place(a_command())).outcome is ACCEPTED
    assert [request.line.split()[:2] for request in broker.seen] == [
        ["GET", "/orders"],
        ["GET", "/user/profile"],
        ["POST", "/orders/regular"],
    ]
    assert broker.connections == 1


async def test_every_waiting_connection_is_kept_warm(broker: RawBroker) -> None:
    together = threading.Barrier(3)

    def meet(broker: RawBroker, link: Any) -> None:
        together.wait(5)
        success("[]")(broker, link)

    gateway = a_gateway(broker.url)
    broker.script = [meet] * 3
    await asyncio.gather(*(gateway.orders() for _ in range(3)))
    await gateway.keep_warm()
    assert sorted(request.connection for request in broker.seen[3:]) == [1, 2, 3]


async def test_keeping_warm_says_when_the_broker_is_gone(broker: RawBroker) -> None:
    gateway = a_gateway(broker.url)
    await gateway.keep_warm()
    broker.script = [reply(answer(error("TokenException"), "403 Forbidden"))]
    with pytest.raises(BrokerUnavailable):
        await gateway.keep_warm()


async def test_a_burst_of_orders_takes_a_connection_each(broker: RawBroker) -> None:
    gateway = a_gateway(broker.url)
    broker.script = [hang] * 8
    hanging = [asyncio.create_task(gateway.place(a_command())) for _ in range(8)]
    await asyncio.to_thread(eventually, lambda: len(broker.seen) == 8)
    assert (await gateway.place(a_command())).outcome is ACCEPTED
    assert not any(task.done() for task in hanging)
    assert {task.outcome for task in await asyncio.gather(*hanging)} == {AMBIGUOUS}
    assert sorted(request.connection for request in broker.seen) == list(range(1, 10))


# --- what is sent ---------------------------------------------------------------------------------------------------


async def test_orders_that_share_their_preparation_differ_in_what_is_their_own(broker: RawBroker) -> None:
    gateway = a_gateway(broker.url)
    first = a_command()
    second = replace(first, instrument=Instrument("BSE", "M&M", 1), intent=replace(first.intent, tag="B" * 20))
    for command in (first, second, first):
        assert (await gateway.place(command)).outcome is ACCEPTED
    common = {"variety": "regular", "order_type": "MARKET", "validity": "DAY", "market_protection": "-1"}
    own = {"transaction_type": "BUY", "quantity": "10", "product": "MIS"}
    forms = [
        common
        | own
        | {"exchange": c.instrument.exchange, "tradingsymbol": c.instrument.tradingsymbol, "tag": c.intent.tag}
        for c in (first, second, first)
    ]
    assert [request.form for request in broker.seen] == forms
    assert {request.headers["authorization"] for request in broker.seen} == {f"token the-api-key:{SECRET}"}
    assert {request.headers["x-kite-version"] for request in broker.seen} == {"3"}
    assert {request.headers["host"] for request in broker.seen} == {broker.url.removeprefix("http://")}
    assert {request.headers["content-type"] for request in broker.seen} == {"application/x-www-form-urlencoded"}


async def test_new_credentials_are_used_by_the_next_order(broker: RawBroker) -> None:
    tokens = ["of-yesterday", "of-today"]

    async def credentials() -> KiteCredentials:
        return KiteCredentials("the-api-key", tokens.pop(0))

    gateway = KiteGateway(KiteEndpoint(broker.url, TIMEOUT), credentials)
    await gateway.place(a_command())
    broker.script = [reply(answer(error("TokenException"), "403 Forbidden"))]
    assert (await gateway.place(a_command())).outcome is ACCEPTED
    used = [request.headers["authorization"].rpartition(":")[2] for request in broker.seen]
    assert used == ["of-yesterday", "of-yesterday", "of-today"]


@pytest.mark.parametrize("percent", [None, 0, True, False, -2, 100.1, "-1", float("nan"), float("inf")])
@pytest.mark.parametrize("order_type", ["MARKET", "SL-M"])
def test_an_order_without_protection_never_leaves(broker: RawBroker, order_type: str, percent: Any) -> None:
    client = a_client(broker.url)
    unprotected = order(order_type=order_type, market_protection=percent)
    with pytest.raises(Exception, match="market_protection") as refused:
        client.place_order(**unprotected)
    assert getattr(refused.value, "code", None) == 400
    with pytest.raises(Exception, match="market_protection"):
        client.modify_order("regular", "1", order_type=order_type, market_protection=percent)
    assert broker.seen == []


def test_a_percentage_is_sent_as_a_number(broker: RawBroker) -> None:
    a_client(broker.url).place_order(**order(market_protection=2.5))
    a_client(broker.url).modify_order("regular", "19/../7", order_type="MARKET", market_protection=3.0)
    assert broker.seen[0].form["market_protection"] == "2.5"
    assert broker.seen[1].form["market_protection"] == "3.0"
    assert broker.seen[1].line == "PUT /orders/regular/19%2F..%2F7 HTTP/1.1"


async def test_credentials_that_no_header_can_carry_are_refused_here(broker: RawBroker) -> None:
    result = await a_gateway(broker.url, "token\r\nX-Injected: 1").place(a_command())
    assert result.outcome is SESSION_EXPIRED
    assert broker.seen == []


async def test_nothing_that_is_said_or_logged_holds_the_token(
    broker: RawBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broker.script = [reply(answer(error("InputException", f"You said {SECRET}"), "400 Bad Request"))]
    broker.script += [reply(answer(SECRET, Content_Type=f"text/{SECRET}")), reset, reply(answer(SECRET))]
    gateway, client = a_gateway(broker.url), a_client(broker.url)
    with structlog.testing.capture_logs() as logged:
        results = [await gateway.place(a_command()) for _ in range(4)]
    assert {result.outcome for result in results} == {REFUSED, AMBIGUOUS}
    said = [*results, logged, caplog.text, repr(gateway), repr(client), repr(client.credentials), str(client)]
    said += [repr(gateway._pool), repr(gateway._pool.destination), repr(gateway._client)]
    assert not [words for words in said if SECRET in str(words)]
