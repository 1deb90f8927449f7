"""What an exception of the broker's client proves about an order: definite or ambiguous (kite.md §2)."""

import ssl

import requests
from kiteconnect import exceptions as kite_errors
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxyError

from actors.domain.orders.placement_policy import AttemptOutcome
from broker.kite.answers.broker_text import clean_text
from broker.kite.answers.exceptions import AnswerLost, NeverSent

_NEVER_SENT = (NewConnectionError, NameResolutionError, ConnectTimeoutError)
_TUNNEL_REFUSED = "Tunnel connection failed"
"""How `http.client` says that a proxy answered CONNECT with a refusal: before that, nothing of the request is sent."""
_CLIENT_ERRORS = range(400, 500)
_REFUSED_CODES = frozenset({400, 404, 405, 410, 428})
_MAYBE_PLACED = ("timed out", "check the order book")


def is_login_error(error: Exception) -> bool:
    """Whether the credentials were refused; Kite also says so by a 400 InputException (kite.md §6.4)."""
    text, code = str(error).lower(), getattr(error, "code", None)
    if isinstance(error, kite_errors.TokenException):
        return code in _CLIENT_ERRORS
    return (
        isinstance(error, kite_errors.InputException)
        and code in _CLIENT_ERRORS
        and "api_key" in text
        and "access_token" in text
    )


def outcome_of(error: Exception) -> AttemptOutcome:
    """What an exception of `place_order` proves. Whatever is not proven is ambiguous."""
    if isinstance(error, kite_errors.KiteException):
        return _outcome_of_answer(error, error.code)
    never_sent = isinstance(error, NeverSent) or (isinstance(error, requests.ConnectionError) and _never_sent(error))
    return AttemptOutcome.NOT_SENT if never_sent else AttemptOutcome.AMBIGUOUS


def _outcome_of_answer(error: Exception, code: object) -> AttemptOutcome:
    if is_login_error(error):
        return AttemptOutcome.SESSION_EXPIRED
    text = str(error).lower()
    if any(words in text for words in _MAYBE_PLACED):
        return AttemptOutcome.AMBIGUOUS
    if code == 429:
        return AttemptOutcome.RATE_LIMITED
    if isinstance(error, kite_errors.DataException | kite_errors.NetworkException):
        return AttemptOutcome.AMBIGUOUS
    forbidden = isinstance(error, kite_errors.PermissionException) and code in _CLIENT_ERRORS
    return AttemptOutcome.REFUSED if forbidden or code in _REFUSED_CODES else AttemptOutcome.AMBIGUOUS


def _never_sent(error: requests.ConnectionError) -> bool:
    """Whether the connection was never made: `requests` uses one class for that and for a lost reply."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(reason, ProxyError):  # also a reply that the proxy lost, after it had the request
        reason = reason.original_error
        if str(reason).startswith(_TUNNEL_REFUSED):
            return True
    refused = any(isinstance(part, ssl.SSLCertVerificationError) for part in getattr(reason, "args", ()))
    return refused or isinstance(reason, _NEVER_SENT)


def reason_of(error: Exception) -> str:
    """The sentence for the trader and the log, without addresses and credentials."""
    if isinstance(error, kite_errors.KiteException | NeverSent | AnswerLost):
        return clean_text(error)
    if isinstance(error, requests.Timeout | TimeoutError):
        return "the broker did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "the broker cannot be reached" if _never_sent(error) else "the connection to the broker broke"
    return f"the broker's answer made no sense ({type(error).__name__})"
