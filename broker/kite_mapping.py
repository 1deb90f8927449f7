"""From Kite's words to ours: rows of orders and positions, and what an exception proves about an order (kite.md §2)."""

import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import requests
from kiteconnect import exceptions as kite_errors
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxyError

from actors.domain.identifiers import Product
from actors.domain.order import OrderReport, stage_of
from actors.domain.retry_policy import AttemptOutcome
from actors.ports import PositionKey
from broker.kite_exceptions import AnswerLost, NeverSent
from broker.kite_session import IST

_NEVER_SENT = (NewConnectionError, NameResolutionError, ConnectTimeoutError)
_TUNNEL_REFUSED = "Tunnel connection failed"
"""How `http.client` says that a proxy answered CONNECT with a refusal: before that, nothing of the request is sent."""
_CLIENT_ERRORS = range(400, 500)
_REFUSED_CODES = frozenset({400, 404, 405, 410, 428})
_MAYBE_PLACED = ("timed out", "check the order book")
_TAG_LENGTH = 20
_LONGEST_REASON = 300
_DEMAT_EXCHANGES = ("NSE", "BSE")


def report_of(row: Mapping[str, Any]) -> OrderReport:
    """A row of Kite's order book, or an order update. Fills are taken from `filled_quantity` alone: pending counts are
    not reliable.

    Raises:
        ValueError, TypeError, LookupError, ArithmeticError: for a row that makes no sense.
    """
    quantity = int(row["quantity"])
    price = Decimal(str(row.get("average_price") or 0))
    if not isinstance(row["order_id"], str | int) or not row["order_id"] or not price.is_finite():
        raise ValueError("an order without an id, or with a price that is none")
    return OrderReport(
        order_id=str(row["order_id"]),
        tag=_own_tag(row),
        stage=stage_of(str(row["status"])),
        quantity=quantity,
        filled_quantity=min(int(row.get("filled_quantity") or 0), quantity),
        average_price=price,
        reason=str(row.get("status_message") or ""),
        exchange_time=_exchange_time(row),
    )


def _exchange_time(row: Mapping[str, Any]) -> datetime | None:
    """When the order last changed at the exchange; the other stamp is of its arrival there (Kite Connect, orders).

    The client leaves one of them a text and makes the other a datetime without the zone in which Kite writes (IST).
    """
    for written in (row.get("exchange_update_timestamp"), row.get("exchange_timestamp")):
        try:
            stamp = written if isinstance(written, datetime) else datetime.fromisoformat(str(written))
        except ValueError:
            continue
        return stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=IST)
    return None


def positions_of(found: Mapping[str, Any]) -> dict[PositionKey, int]:
    """Net positions of the day, in shares; a short one is negative."""
    held: dict[PositionKey, int] = {}
    for row in found["net"]:
        key = (str(row["exchange"]), str(row["tradingsymbol"]), str(row["product"]))
        held[key] = held.get(key, 0) + int(row["quantity"])
    return held


def holdings_of(rows: Sequence[Mapping[str, Any]]) -> dict[PositionKey, int]:
    """Shares in the demat account, under CNC: those may be sold on either exchange, wherever they are listed."""
    held: dict[PositionKey, int] = {}
    for row in rows:
        shares = int(row["quantity"]) + int(row.get("t1_quantity") or 0)
        for exchange in _DEMAT_EXCHANGES:
            key = (exchange, str(row["tradingsymbol"]), Product.CNC.value)
            held[key] = held.get(key, 0) + shares
    return held


def _own_tag(row: Mapping[str, Any]) -> str | None:
    """`tag`, or the user's among `tags`, to which the system adds its own words (kite.md §2)."""
    tags = [row.get("tag"), *(row.get("tags") or [])]
    return next((tag for tag in tags if tag and len(tag) == _TAG_LENGTH), row.get("tag"))


def is_session_error(error: Exception) -> bool:
    """Whether the credentials were refused; Kite also says so by a 400 InputException (kite.md §6)."""
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
    if is_session_error(error):
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
        return str(error)[:_LONGEST_REASON]
    if isinstance(error, requests.Timeout | TimeoutError):
        return "the broker did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "the broker cannot be reached" if _never_sent(error) else "the connection to the broker broke"
    return f"the broker's answer made no sense ({type(error).__name__})"
