"""What an exception proves about an order, and what is said of it (kite.md §2)."""

import http.client
import json
import ssl
from typing import Any

import pytest
import requests
import urllib3.exceptions as transport
from kiteconnect import exceptions as kite

from actors.domain.orders.placement_policy import AttemptOutcome
from broker.kite.answers.attempt_outcomes import is_login_error, outcome_of, reason_of
from broker.kite.answers.exceptions import AnswerLost, NeverSent, kite_error, unreadable

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
