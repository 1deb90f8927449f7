"""Placing an order at a broker gone wrong: what each answer proves, and that nothing is sent twice or elsewhere."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.domain.orders.placement_policy import AttemptOutcome
from actors.ports.execution import PlaceResult
from broker.kite import connection
from broker.kite.answers.exceptions import AnswerLost, NeverSent
from broker.kite.deadline import finished_by
from tests.kit.execution import a_command
from tests.kit.hostile_http import HostileBroker, hostile_broker, self_signed_certificate
from tests.kit.kite import GOOD, a_client, a_gateway, error, order
from tests.kit.raw_broker import (
    Behaviour,
    RawBroker,
    answer,
    drip,
    hang,
    raw_broker,
    reply,
    reset,
    success,
    then_close,
)

ACCEPTED, REFUSED, NOT_SENT = AttemptOutcome.ACCEPTED, AttemptOutcome.REFUSED, AttemptOutcome.NOT_SENT
AMBIGUOUS, RATE_LIMITED = AttemptOutcome.AMBIGUOUS, AttemptOutcome.RATE_LIMITED
SESSION_EXPIRED = AttemptOutcome.SESSION_EXPIRED
IN_CHUNKS = f"a;note=1\r\n{GOOD[:10]}\r\n{len(GOOD) - 10:x}\r\n{GOOD[10:]}\r\n0\r\nX-Trailer: 1\r\n\r\n"


@pytest.fixture
def broker() -> Iterator[RawBroker]:
    with raw_broker() as broker:
        yield broker


@pytest.fixture
def hostile() -> Iterator[HostileBroker]:
    with hostile_broker() as broker:
        yield broker


def in_two(raw: bytes, cut: int) -> Behaviour:
    """Send these bytes in two pieces, with a pause between them."""

    def behave(broker: RawBroker, link: socket.socket) -> None:
        link.sendall(raw[:cut])
        broker.over.wait(0.02)
        link.sendall(raw[cut:])

    return behave


async def placed(broker: RawBroker, *script: Any) -> PlaceResult:
    """One order, after which the broker has seen exactly one request."""
    broker.script = list(script)
    before = len(broker.seen)
    result = await a_gateway(broker.url).place(a_command())
    assert len(broker.seen) == before + 1
    return result


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("200 OK", AMBIGUOUS),
        ("400 Bad Request", AMBIGUOUS),
        ("403 Forbidden", AMBIGUOUS),
        ("404 Not Found", AMBIGUOUS),
        ("429 Too Many Requests", RATE_LIMITED),
        ("500 Internal Server Error", AMBIGUOUS),
        ("502 Bad Gateway", AMBIGUOUS),
        ("503 Service Unavailable", AMBIGUOUS),
        ("504 Gateway Timeout", AMBIGUOUS),
    ],
)
async def test_of_an_html_page_only_the_429_proves_anything(
    broker: RawBroker, status: str, outcome: AttemptOutcome
) -> None:
    page = answer("<h1>Order 1 accepted</h1>", status, Content_Type="text/html; charset=utf-8")
    result = await placed(broker, reply(page))
    assert (result.outcome, result.order_id) == (outcome, None)
    assert status[:3] in result.reason


@pytest.mark.parametrize(
    "raw",
    [
        answer(GOOD, Content_Type=""),
        answer("", "204 No Content", Content_Type=""),
        answer("", "204 No Content"),
        answer(GOOD, "201 Created"),
        answer(GOOD, "202 Accepted"),
        answer(GOOD, "400 Bad Request"),
        answer(GOOD, "429 Too Many Requests"),
        answer(GOOD, "500 Internal Server Error"),
        answer(GOOD, Content_Type="text/plain"),
        answer(""),
        answer("not JSON"),
        answer(GOOD[:-1]),
        answer("[" * 100_000),
        answer(f"[{GOOD}]"),
        answer('"1900000000000000001"'),
        answer("null"),
        answer('{"data": {"order_id": "1900000000000000001"}}'),
        answer('{"status": "pending", "data": {"order_id": "1900000000000000001"}}'),
        answer('{"status": "success"}'),
        answer(error("InputException")),
        answer(error("TokenException")),
        answer(error("TokenException"), "500 Internal Server Error"),
        answer(error("PermissionException"), "502 Bad Gateway"),
        answer(error("InputException", None), "400 Bad Request"),
        answer(error("InputException", ["No."]), "400 Bad Request"),
        answer(error(None), "400 Bad Request"),
        answer(error(7), "400 Bad Request"),
        answer(error("DataException"), "400 Bad Request"),
        answer(error("NetworkException"), "503 Service Unavailable"),
        answer(error("OrderException"), "500 Internal Server Error"),
        answer(error("GeneralException"), "500 Internal Server Error"),
        answer(
            error("InputException", "Order request timed out. Please check the order book and confirm"),
            "400 Bad Request",
        ),
    ],
)
async def test_an_answer_that_proves_nothing_is_ambiguous(broker: RawBroker, raw: bytes) -> None:
    result = await placed(broker, reply(raw))
    assert (result.outcome, result.order_id) == (AMBIGUOUS, None)
    assert result.reason


@pytest.mark.parametrize("data", ["null", "[]", '"1"', "{}", '{"order_id": null}', '{"order_id": ""}',
                                  '{"order_id": " "}', '{"order_id": 1900}', '{"order_id": ["1"]}',
                                  '[{"order_id": "1"}]', '{"data": {"order_id": "1"}}'])  # fmt: skip
async def test_a_success_without_an_order_id_is_ambiguous(broker: RawBroker, data: str) -> None:
    result = await placed(broker, success(data))
    assert (result.outcome, result.order_id) == (AMBIGUOUS, None)


@pytest.mark.parametrize(
    ("status", "error_type", "message", "outcome"),
    [
        ("400 Bad Request", "InputException", "Invalid `quantity`.", REFUSED),
        ("400 Bad Request", "MarginException", "Insufficient funds.", REFUSED),
        ("400 Bad Request", "HoldingException", "Insufficient holdings.", REFUSED),
        ("400 Bad Request", "OrderException", "Blocked.", REFUSED),
        ("400 Bad Request", "AnExceptionOfNextYear", "No.", REFUSED),
        ("400 Bad Request", "log", "The name of something else in that module.", REFUSED),
        ("403 Forbidden", "PermissionException", "Insufficient permission.", REFUSED),
        ("403 Forbidden", "UserException", "Account related.", AMBIGUOUS),
        ("403 Forbidden", "TwoFAException", "Second factor.", AMBIGUOUS),
        ("404 Not Found", "GeneralException", "Route not found", REFUSED),
        ("405 Method Not Allowed", "GeneralException", "Not allowed", REFUSED),
        ("410 Gone", "GeneralException", "Gone", REFUSED),
        ("428 Precondition Required", "HoldingException", "Authorise at the depository.", REFUSED),
        ("429 Too Many Requests", "NetworkException", "Too many requests", RATE_LIMITED),
        ("429 Too Many Requests", "NetworkException", "Maximum allowed order requests exceeded.", RATE_LIMITED),
        ("403 Forbidden", "TokenException", "Incorrect `api_key` or `access_token`.", SESSION_EXPIRED),
        ("400 Bad Request", "InputException", "Invalid `api_key` or `access_token`.", SESSION_EXPIRED),
    ],
)
async def test_what_the_api_says_is_taken_at_its_word(
    broker: RawBroker, status: str, error_type: str, message: str, outcome: AttemptOutcome
) -> None:
    result = await placed(broker, reply(answer(error(error_type, message), status)))
    assert (result.outcome, result.order_id, result.reason) == (outcome, None, message)


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
async def test_a_redirect_is_ambiguous_and_leads_nowhere(
    broker: RawBroker, hostile: HostileBroker, status: str
) -> None:
    hostile.answers(GOOD)
    moved = answer(GOOD, f"{status} Moved", Location=f"{hostile.url}/orders/regular")
    result = await placed(broker, reply(moved))
    assert (result.outcome, result.order_id) == (AMBIGUOUS, None)
    assert hostile.requests == []


# --- connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        then_close(b""),
        reset,
        hang,
        then_close(answer(GOOD)[:10]),
        then_close(answer(GOOD)[:-1]),
        then_close(answer(GOOD[:20], Content_Length="", Transfer_Encoding="chunked")),
        then_close(b"\x15\x03\x01\x00\x02\x02\x46"),
        then_close(b"HTTP/0.9 nonsense\r\n\r\n"),
        reply(b"HTTP/1.1 100 Continue\r\n\r\n"),
        reply(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
        reply(b"HTTP/1.1 200 OK\r\nX-Endless: " + b"1" * 200_000),
        reply(answer(GOOD, Content_Length="9" * 30)),
        reply(answer(GOOD, Content_Length="-1")),
        reply(answer(GOOD, Content_length="5")),
        reply(answer(f"42\r\n{GOOD}, and more", Content_Length="", Transfer_Encoding="chunked")),
        drip(answer(GOOD), 0.1),
        drip(b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 100, 0.1),
    ],
    ids=["fin", "rst", "hang", "cut-head", "cut-body", "cut-chunk", "tls-alert", "no-http", "only-announced",
         "other-protocol", "endless-head", "length-too-long", "length-negative", "two-lengths", "chunk-too-long",
         "drip", "drip-head"],
)  # fmt: skip
async def test_a_connection_that_breaks_or_drips_is_ambiguous(broker: RawBroker, behaviour: Any) -> None:
    result = await placed(broker, behaviour)
    assert (result.outcome, result.order_id) == (AMBIGUOUS, None)
    assert result.reason in {"the connection to the broker broke", "the broker did not answer in time"}


async def test_an_answer_that_does_not_end_is_given_up(broker: RawBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_LONGEST_ANSWER", 1_000)
    for raw in (answer(f"{GOOD:>1200}"), b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + answer(GOOD)):
        result = await placed(broker, reply(raw))
        assert (result.outcome, result.reason) == (AMBIGUOUS, "the connection to the broker broke")


@pytest.mark.parametrize(
    "behaviour",
    [
        reply(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n" + answer(GOOD)),
        reply(answer(IN_CHUNKS, Content_Length="", Transfer_Encoding="chunked")),
        reply(answer(GOOD).replace(b"HTTP/1.1", b"HTTP/1.0")),
        then_close(answer(GOOD, Content_Length="")),
        in_two(answer(GOOD), 10),
        in_two(answer(GOOD), -10),
    ],
    ids=["announced", "chunked", "http-1.0", "until-the-end", "head-in-two", "body-in-two"],
)
async def test_in_whatever_form_a_whole_answer_comes_it_is_read(broker: RawBroker, behaviour: Any) -> None:
    result = await placed(broker, behaviour)
    assert (result.outcome, result.order_id) == (ACCEPTED, "1900000000000000001")


def test_the_client_itself_gives_up_a_drip(broker: RawBroker) -> None:
    """A thread that only its caller gave up would be lost to the account."""
    broker.script = [drip(answer(GOOD), 0.1)]
    with pytest.raises(AnswerLost):
        a_client(broker.url).place_order(**order())


async def test_a_broker_that_is_not_there_was_sent_nothing() -> None:
    with raw_broker() as gone:
        pass
    assert (await a_gateway(gone.url).place(a_command())).outcome is NOT_SENT
    assert (await a_gateway("http://no-such-host.invalid").place(a_command())).outcome is NOT_SENT


async def test_a_certificate_that_nobody_vouches_for_gets_no_order(tmp_path: Path) -> None:
    with hostile_broker(self_signed_certificate(tmp_path)) as impostor:
        impostor.answers(GOOD)
        assert (await a_gateway(impostor.url).place(a_command())).outcome is NOT_SENT
        assert impostor.requests == []


async def test_a_tls_handshake_that_hangs_was_sent_nothing(broker: RawBroker) -> None:
    secure = broker.url.replace("http:", "https:")
    assert (await a_gateway(secure).place(a_command())).outcome is NOT_SENT


def test_after_its_deadline_nothing_leaves(broker: RawBroker) -> None:
    client = a_client(broker.url)
    for warm in (False, True):
        with finished_by(time.monotonic()), pytest.raises(NeverSent):
            client.place_order(**order(tag="LATE"))
        if not warm:
            client.place_order(**order(tag="INTIME"))
    assert [request.form["tag"] for request in broker.seen] == ["INTIME"]
