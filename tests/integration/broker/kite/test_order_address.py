"""Which address the broker sees orders come from: this machine's own, or what an echo says over real HTTP."""

import time
from collections.abc import Iterator

import pytest

from broker.kite.order_address import LONGEST_ECHO, seen_address, source_address
from tests.kit.raw_broker import Behaviour, RawBroker, answer, drip, hang, raw_broker, reply, reset, then_close

ROOT = "http://127.0.0.1:9"
"""Where the broker would be; it is not asked for anything."""

IPV6_ROOT = "http://[::1]:9"


@pytest.fixture
def echo() -> Iterator[RawBroker]:
    with raw_broker() as echo:
        yield echo


@pytest.mark.parametrize(
    "body", ["3.7.0.9", "3.7.0.9\n", " 3.7.0.9\r\n", "::ffff:3.7.0.9"], ids=["plain", "line", "spaces", "as-ipv6"]
)
def test_the_echos_answer_is_the_address(echo: RawBroker, body: str) -> None:
    echo.script = [reply(answer(body, Content_Type="text/plain"))]
    seen = seen_address("execution:0", ROOT, f"{echo.url}/ip?format=text")
    assert (seen.where, seen.address, seen.unknown) == ("execution:0", "3.7.0.9", "")
    (request,) = echo.seen
    assert request.line == "GET /ip?format=text HTTP/1.1"
    assert request.headers["host"] == echo.url.removeprefix("http://")


def test_the_end_of_an_answer_without_a_length_is_that_of_the_connection(echo: RawBroker) -> None:
    echo.script = [then_close(answer("3.7.0.9", Content_Length=""))]
    assert seen_address("execution:0", ROOT, echo.url).address == "3.7.0.9"
    assert echo.seen[0].line == "GET / HTTP/1.1"


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (reply(answer("")), "something else"),
        (reply(answer("<html>3.7.0.9</html>")), "something else"),
        (reply(answer('{"ip": "3.7.0.9"}')), "something else"),
        (reply(answer("3.7.0.9, 3.7.0.10")), "something else"),
        (reply(answer("3.7.0.9:443")), "something else"),
        (reply(answer("\x00\xff")), "something else"),
        (reply(answer("10.0.0.7")), "10.0.0.7, no public IPv4 address"),
        (reply(answer("2406:da1a::9")), "2406:da1a::9, no public IPv4 address"),
        (reply(answer("3.7.0.9", "500 Internal Server Error")), "HTTP 500"),
        (reply(answer("3.7.0.9" + " " * LONGEST_ECHO)), "no short answer"),
        (reply(answer("3.7.0.9", X_Long="x" * LONGEST_ECHO)), "no short answer"),
        (reply(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "no short answer"),
        (then_close(b""), "no short answer"),
        (then_close(answer("3.7.0.9")[:-3]), "no short answer"),
        (reset, "no short answer"),
    ],
)
def test_an_answer_that_is_no_address_is_neither_right_nor_wrong(
    echo: RawBroker, behaviour: Behaviour, why: str
) -> None:
    echo.script = [behaviour]
    seen = seen_address("execution:0", ROOT, echo.url)
    assert (seen.address, why in seen.unknown) == ("", True), seen


def test_a_redirect_is_not_followed(echo: RawBroker) -> None:
    echo.script = [reply(answer("", "302 Found", Location=f"{echo.url}/elsewhere")), reply(answer("3.7.0.9"))]
    seen = seen_address("execution:0", ROOT, f"{echo.url}/ip")
    assert (seen.address, seen.unknown) == ("", "ADDRESS_ECHO_URL answered with HTTP 302")
    assert len(echo.seen) == 1


@pytest.mark.parametrize("behaviour", [hang, drip(answer("3.7.0.9"), 0.1)], ids=["hangs", "drips"])
def test_however_slowly_it_answers_the_time_for_it_ends(echo: RawBroker, behaviour: Behaviour) -> None:
    echo.script = [behaviour]
    begun = time.monotonic()
    seen = seen_address("execution:0", ROOT, echo.url, patience_s=0.5)
    assert time.monotonic() - begun < 2
    assert (seen.address, seen.unknown) == ("", "ADDRESS_ECHO_URL gave no short answer within 0.5 seconds")


def test_an_echo_that_is_not_there_is_said() -> None:
    seen = seen_address("execution:0", ROOT, "http://127.0.0.1:9/ip")
    assert seen.unknown == "ADDRESS_ECHO_URL cannot be reached over IPv4, by which orders leave"


@pytest.mark.skipif(not source_address(IPV6_ROOT), reason="this machine has no IPv6")
def test_the_echo_is_asked_over_the_kind_of_address_that_orders_leave_by(echo: RawBroker) -> None:
    echo.script = [reply(answer("3.7.0.9"))]
    seen = seen_address("execution:0", IPV6_ROOT, echo.url)
    assert seen.unknown == "ADDRESS_ECHO_URL cannot be reached over IPv6, by which orders leave"
    assert echo.seen == []


def test_a_private_address_without_an_echo_is_not_known() -> None:
    assert source_address(ROOT) == "127.0.0.1"
    seen = seen_address("execution:0", ROOT)
    assert seen.address == ""
    assert "127.0.0.1" in seen.unknown
    assert "set ADDRESS_ECHO_URL" in seen.unknown


def test_without_a_way_to_the_broker_nothing_is_known() -> None:
    nowhere = f"http://{'a' * 64}.example"
    assert source_address(nowhere) == ""
    assert seen_address("execution:0", nowhere, "http://127.0.0.1:9").unknown == "there is no way to the broker"
