"""From Kite's words to ours: order rows, and what an exception of the client proves about an order (kite.md §2)."""

import ssl
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import requests
from kiteconnect import exceptions as kite_errors
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from actors.domain.order import OrderReport, stage_of
from actors.domain.retry_policy import AttemptOutcome

_NEVER_SENT = (NewConnectionError, NameResolutionError, ConnectTimeoutError)
_REFUSED_CODES = frozenset({400, 403, 404, 405, 410, 428})
_MAYBE_PLACED = ("timed out", "check the order book")
_TAG_LENGTH = 20


def report_of(row: Mapping[str, Any]) -> OrderReport:
    """A row of Kite's order book. Fills are taken from `filled_quantity` alone: pending counts are not reliable."""
    quantity = int(row["quantity"])
    return OrderReport(
        order_id=str(row["order_id"]),
        tag=_own_tag(row),
        stage=stage_of(str(row["status"])),
        quantity=quantity,
        filled_quantity=min(int(row.get("filled_quantity") or 0), quantity),
        average_price=Decimal(str(row.get("average_price") or 0)),
        reason=str(row.get("status_message") or ""),
    )


def _own_tag(row: Mapping[str, Any]) -> str | None:
    """`tag`, or the user's among `tags`, to which the system adds its own words (kite.md §2)."""
    tags = [row.get("tag"), *(row.get("tags") or [])]
    return next((tag for tag in tags if tag and len(tag) == _TAG_LENGTH), row.get("tag"))


def is_session_error(error: Exception) -> bool:
    """Whether the credentials were refused; Kite also says so by a 400 InputException (kite.md §6)."""
    text = str(error).lower()
    return isinstance(error, kite_errors.TokenException) or (
        isinstance(error, kite_errors.InputException) and "api_key" in text and "access_token" in text
    )


def outcome_of(error: Exception) -> AttemptOutcome:
    """What an exception of `place_order` proves. Whatever is not proven is ambiguous."""
    code = getattr(error, "code", None)
    text = str(error).lower()
    if is_session_error(error):
        return AttemptOutcome.SESSION_EXPIRED
    if code == 429:
        return AttemptOutcome.RATE_LIMITED
    if isinstance(error, kite_errors.PermissionException):
        return AttemptOutcome.REFUSED
    if isinstance(error, kite_errors.DataException | kite_errors.NetworkException):
        return AttemptOutcome.AMBIGUOUS
    if isinstance(error, kite_errors.KiteException) and code in _REFUSED_CODES:
        maybe = any(words in text for words in _MAYBE_PLACED)
        return AttemptOutcome.AMBIGUOUS if maybe else AttemptOutcome.REFUSED
    if isinstance(error, requests.ConnectionError) and _never_sent(error):
        return AttemptOutcome.NOT_SENT
    return AttemptOutcome.AMBIGUOUS


def _never_sent(error: requests.ConnectionError) -> bool:
    """Whether the connection was never made: `requests` uses one class for that and for a lost reply."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    refused = any(isinstance(part, ssl.SSLCertVerificationError) for part in getattr(reason, "args", ()))
    return refused or isinstance(reason, _NEVER_SENT)


def reason_of(error: Exception) -> str:
    """The sentence for the trader and the log. Requests' own messages may carry the address, never credentials."""
    if isinstance(error, kite_errors.KiteException):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "the broker did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "the broker cannot be reached" if _never_sent(error) else "the connection to the broker broke"
    return f"the broker's answer made no sense ({type(error).__name__})"
