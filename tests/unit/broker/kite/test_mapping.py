"""From Kite's words to ours: what a row says of an order, and what an exception proves (kite.md §2)."""

import http.client
import json
import ssl
from decimal import Decimal
from typing import Any

import pytest
import requests
import urllib3.exceptions as transport
from kiteconnect import exceptions as kite

from actors.domain.orders.cover import AccountPosition
from actors.domain.orders.order import OrderStage
from actors.domain.orders.placement import AttemptOutcome
from broker.kite.answers.exceptions import AnswerLost, NeverSent, kite_error, unreadable
from broker.kite.answers.holdings import holdings_of, positions_of
from broker.kite.answers.mapping import is_login_error, outcome_of, reason_of, report_of, stage_of

POOL: Any = None
URL = "/orders/regular"


def from_urllib3(reason: Exception) -> requests.ConnectionError:
    """As `requests` raises what urllib3 gave up on."""
    return requests.ConnectionError(transport.MaxRetryError(POOL, URL, reason))


def from_proxy(reason: Exception) -> requests.ConnectionError:
    """The same through a proxy: urllib3 says ProxyError of everything until it knows that it is connected."""
    failure = transport.ProxyError("Unable to connect to proxy", reason)
    return requests.exceptions.ProxyError(transport.MaxRetryError(POOL, URL, failure))


@pytest.mark.parametrize(
    "error",
    [
        kite.InputException("Invalid `quantity`.", code=400),
        kite.GeneralException("Insufficient funds. Required margin is 95417", code=400),
        kite_error("MarginException", "Insufficient funds. Required margin is 95417", 400),
        kite_error("HoldingException", "Insufficient holdings", 400),
        kite_error("UserException", "Your account is blocked", 400),
        kite_error("HoldingException", "Authorise at the depository first", 428),
        kite.OrderException("Blocked by the exchange", code=400),
        kite.PermissionException("Insufficient permission for that call.", code=403),
        kite.GeneralException("Route not found", code=404),
        kite.GeneralException("Method not allowed", code=405),
        kite.GeneralException("Gone", code=410),
        kite.GeneralException("Authorise at the depository first", code=428),
    ],
)
def test_what_the_broker_refuses_is_definite(error: Exception) -> None:
    assert outcome_of(error) is AttemptOutcome.REFUSED
    assert reason_of(error) == str(error)


@pytest.mark.parametrize(
    "error",
    [
        kite.TokenException("Token is invalid or has expired.", code=403),
        kite.TokenException("Incorrect `api_key` or `access_token`."),
        kite.InputException("Invalid `api_key` or `access_token`.", code=400),
    ],
)
def test_an_expired_session_is_told_apart(error: Exception) -> None:
    assert is_login_error(error)
    assert outcome_of(error) is AttemptOutcome.SESSION_EXPIRED


@pytest.mark.parametrize(
    "error",
    [
        kite.NetworkException("Too many requests", code=429),
        kite.NetworkException("Maximum allowed order requests exceeded.", code=429),
        kite.GeneralException("Slow down", code=429),
        unreadable(429, "HTML"),
    ],
)
def test_a_429_is_told_apart(error: Exception) -> None:
    assert outcome_of(error) is AttemptOutcome.RATE_LIMITED


@pytest.mark.parametrize(
    "error",
    [
        from_urllib3(transport.NewConnectionError(POOL, "refused")),
        from_urllib3(transport.NameResolutionError("api.kite.trade", POOL, OSError("unknown"))),  # type: ignore[arg-type]
        from_urllib3(transport.ConnectTimeoutError("timed out")),
        requests.exceptions.ConnectTimeout("timed out"),
        NeverSent("the broker cannot be reached"),
        from_proxy(transport.NewConnectionError(POOL, "refused")),
        from_proxy(transport.ConnectTimeoutError("timed out")),
        from_proxy(OSError("Tunnel connection failed: 502 Bad Gateway")),
        requests.exceptions.SSLError(
            transport.MaxRetryError(POOL, URL, transport.SSLError(ssl.SSLCertVerificationError("self-signed")))
        ),
    ],
)
def test_a_connection_that_was_never_made_is_definite(error: Exception) -> None:
    assert outcome_of(error) is AttemptOutcome.NOT_SENT
    assert reason_of(error) in {"the broker cannot be reached", "the broker did not answer in time"}


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ReadTimeout("read timed out"),
        from_urllib3(transport.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))),
        requests.ConnectionError(transport.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))),
        from_proxy(http.client.RemoteDisconnected("Remote end closed connection without response")),
        from_proxy(ConnectionResetError(104, "reset")),
        from_proxy(OSError("anything else")),
        requests.ConnectionError(),
        requests.exceptions.ChunkedEncodingError("cut"),
        requests.exceptions.TooManyRedirects("Exceeded 0 redirects."),
        kite.DataException("Unknown Content-Type (text/html)", code=502),
        kite.DataException("Couldn't parse the JSON response"),
        kite.NetworkException("Gateway timed out", code=503),
        kite.NetworkException("Gateway timed out", code=504),
        kite.GeneralException("Something went wrong", code=500),
        kite.OrderException("Couldn't fetch the order", code=500),
        kite.InputException(
            "Order request timed out. Please check the order book and confirm before placing again.", code=400
        ),
        *(kite_error(name, "No.", 403) for name in ("UserException", "TwoFAException", "MarginException")),
        *(kite_error(name, "No.", 500) for name in ("TokenException", "PermissionException", "MarginException")),
        *(kite_error(name, "No.", 200) for name in ("TokenException", "InputException", "GeneralException")),
        *(kite_error("InputException", message, 400) for message in (None, 7, ["No."])),
        *(kite_error(name, "No.", 400) for name in (None, 7, "DataException", "NetworkException")),
        *(unreadable(status, "HTML") for status in (200, 302, 400, 403, 404, 500, 502, 503, 504)),
        kite.NetworkException("Maximum allowed order modifications exceeded.", code=503),
        kite.PermissionException("Order request timed out. Please check the order book.", code=403),
        kite.NetworkException("Request timed out.", code=429),
        AnswerLost("the connection to the broker broke"),
        requests.exceptions.SSLError("handshake"),
        TimeoutError(),
        KeyError("content-type"),
        KeyError("data"),
        TypeError("'NoneType' object is not subscriptable"),
        AttributeError("'list' object has no attribute 'get'"),
        json.JSONDecodeError("Expecting value", "", 0),
        RuntimeError("cannot schedule new futures after shutdown"),
    ],
)
def test_everything_else_is_ambiguous(error: Exception) -> None:
    assert outcome_of(error) is AttemptOutcome.AMBIGUOUS


def test_reasons_are_sentences_without_credentials() -> None:
    leaky = requests.ConnectionError("https://api.kite.trade/?api_key=SECRET&access_token=SECRET")
    for error in (leaky, requests.exceptions.ReadTimeout("SECRET"), KeyError("SECRET"), RuntimeError("SECRET")):
        assert "SECRET" not in reason_of(error)
    assert reason_of(KeyError("data")) == "the broker's answer made no sense (KeyError)"
    assert reason_of(leaky) == "the connection to the broker broke"


@pytest.mark.parametrize("name", ["MarginException", "HoldingException", "UserException", "TwoFAException"])
def test_the_type_of_an_error_is_not_lost(name: str) -> None:
    error = kite_error(name, "No.", 400)
    assert (type(error).__name__, str(error), error.code) == (name, "No.", 400)  # type: ignore[attr-defined]
    assert type(error) is getattr(kite, name)


@pytest.mark.parametrize("name", ["AnExceptionOfNextYear", "log", "__name__", "Exception", ""])
def test_a_type_that_nobody_knows_is_a_general_error(name: str) -> None:
    assert type(kite_error(name, "No.", 400)) is kite.GeneralException


def test_a_reason_is_never_a_novel() -> None:
    assert len(reason_of(kite_error("InputException", "No. " * 10_000, 400))) == 300


ROW: dict[str, Any] = {
    "order_id": "220303000308932",
    "status": "COMPLETE",
    "status_message": None,
    "quantity": 10,
    "filled_quantity": 10,
    "pending_quantity": 0,
    "average_price": 1510.35,
    "tag": None,
    "tags": [],
}


def test_a_row_becomes_a_report() -> None:
    report = report_of(ROW | {"tag": "EABCDEFGHIJKLMNOPQRS"})
    assert (report.order_id, report.tag, report.stage) == (
        "220303000308932",
        "EABCDEFGHIJKLMNOPQRS",
        OrderStage.COMPLETE,
    )
    assert (report.quantity, report.filled_quantity, report.average_price) == (10, 10, Decimal("1510.35"))


def test_fills_are_taken_from_the_filled_quantity_alone() -> None:
    row = ROW | {"status": "CANCELLED", "filled_quantity": 3, "pending_quantity": 1, "cancelled_quantity": 1}
    assert report_of(row).filled_quantity == 3
    assert report_of(ROW | {"filled_quantity": 12}).filled_quantity == 10
    assert report_of(ROW | {"filled_quantity": None, "average_price": None}).filled_quantity == 0


@pytest.mark.parametrize(
    ("tag", "tags", "own"),
    [
        ("EABCDEFGHIJKLMNOPQRS", ["EABCDEFGHIJKLMNOPQRS", "mktp", "mktp:2.00"], "EABCDEFGHIJKLMNOPQRS"),
        (None, ["mktp", "EABCDEFGHIJKLMNOPQRS"], "EABCDEFGHIJKLMNOPQRS"),
        (None, None, None),
        (None, ["autoslice"], None),
        ("byhand", ["byhand"], "byhand"),
    ],
)
def test_our_tag_is_found_among_those_of_the_system(tag: str | None, tags: list[str] | None, own: str | None) -> None:
    assert report_of(ROW | {"tag": tag, "tags": tags}).tag == own


def test_an_unknown_status_is_not_final() -> None:
    assert not report_of(ROW | {"status": "A STATUS OF NEXT YEAR", "filled_quantity": 0}).stage.terminal


def test_the_reason_of_a_rejection_is_kept() -> None:
    row = ROW | {"status": "REJECTED", "filled_quantity": 0, "status_message": "Insufficient funds"}
    assert report_of(row).reason == "Insufficient funds"


@pytest.mark.parametrize(
    "nonsense",
    [
        {"order_id": None},
        {"order_id": ""},
        {"order_id": ["1"]},
        {"quantity": None},
        {"quantity": "ten"},
        {"filled_quantity": -1},
        {"average_price": "NaN"},
        {"average_price": float("inf")},
        {"average_price": "free"},
        {"tags": 7},
        {"tags": [7]},
        {"tag": 7},
        {"quantity": 0},
        {"quantity": 10.5},
        {"status": 7},
        {"order_id": "1\0"},
    ],
)
def test_a_row_that_makes_no_sense_is_none(nonsense: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, ArithmeticError)):
        report_of(ROW | nonsense)


def test_positions_are_kept_by_exchange_symbol_and_product() -> None:
    row = {"exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS", "quantity": 10}
    rows = [row, row | {"product": "CNC", "quantity": 3}, row | {"exchange": "BSE", "quantity": -2}]
    assert positions_of({"net": rows, "day": [row]}) == {
        ("NSE", "INFY", "MIS"): AccountPosition(10),
        ("NSE", "INFY", "CNC"): AccountPosition(3),
        ("BSE", "INFY", "MIS"): AccountPosition(-2),
    }


def test_shares_in_the_demat_account_can_be_sold_on_either_exchange() -> None:
    rows = [{"exchange": "BSE", "tradingsymbol": "INFY", "quantity": 7, "t1_quantity": 2}]
    assert holdings_of(rows) == {("NSE", "INFY", "CNC"): 9, ("BSE", "INFY", "CNC"): 9}


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ("PUT ORDER REQ RECEIVED", OrderStage.PENDING),
        ("VALIDATION PENDING", OrderStage.PENDING),
        ("OPEN PENDING", OrderStage.PENDING),
        ("AMO REQ RECEIVED", OrderStage.PENDING),
        ("a status of next year", OrderStage.PENDING),
        ("OPEN", OrderStage.OPEN),
        ("TRIGGER PENDING", OrderStage.OPEN),
        ("MODIFY PENDING", OrderStage.OPEN),
        ("CANCEL PENDING", OrderStage.OPEN),
        ("UPDATE", OrderStage.OPEN),
        ("COMPLETE", OrderStage.COMPLETE),
        ("CANCELLED", OrderStage.CANCELLED),
        ("CANCEL", OrderStage.CANCELLED),
        ("REJECTED", OrderStage.REJECTED),
    ],
)
def test_status_of_kite_has_its_stage(status: str, stage: OrderStage) -> None:
    assert stage_of(status) is stage
