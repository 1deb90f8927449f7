"""From Kite's words to ours: rows of orders and positions, and what an exception proves about an order (kite.md §2)."""

import re
import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import requests
from kiteconnect import exceptions as kite_errors
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxyError

from actors.domain.money import round_to_paise
from actors.domain.orders.order import OrderReport, OrderStage, OrderTerms
from actors.domain.orders.placement import AttemptOutcome
from actors.domain.orders.price_band import PriceBand
from broker.kite.answers.broker_text import clean_status, clean_text, clean_word, order_id_of
from broker.kite.answers.exceptions import AnswerLost, NeverSent

_NEVER_SENT = (NewConnectionError, NameResolutionError, ConnectTimeoutError)
_TUNNEL_REFUSED = "Tunnel connection failed"
"""How `http.client` says that a proxy answered CONNECT with a refusal: before that, nothing of the request is sent."""
_CLIENT_ERRORS = range(400, 500)
_REFUSED_CODES = frozenset({400, 404, 405, 410, 428})
_MAYBE_PLACED = ("timed out", "check the order book")
_TAG_LENGTH = 20
_NUMBER = re.compile(r"[0-9]{1,12}(\.0+)?")
_TOO_MUCH = 10**9
"""More shares than any order has, and a price that no share has; the database could not store much more."""
_STAGES = {
    "OPEN": OrderStage.OPEN,
    "TRIGGER PENDING": OrderStage.OPEN,
    "MODIFY VALIDATION PENDING": OrderStage.OPEN,
    "MODIFY PENDING": OrderStage.OPEN,
    "MODIFIED": OrderStage.OPEN,
    "CANCEL PENDING": OrderStage.OPEN,
    "UPDATE": OrderStage.OPEN,
    "COMPLETE": OrderStage.COMPLETE,
    "CANCELLED": OrderStage.CANCELLED,
    "CANCEL": OrderStage.CANCELLED,
    "REJECTED": OrderStage.REJECTED,
}
_DEMAT_EXCHANGES = ("NSE", "BSE")
_INDIA = timezone(timedelta(hours=5, minutes=30))
ODD = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What reading a row that makes no sense raises."""


def stage_of(status: str) -> OrderStage:
    """The stage of a status; one we do not know counts as pending, since only three are final (kite.md §3.1)."""
    return _STAGES.get(status, OrderStage.PENDING)


def report_of(row: Mapping[str, Any]) -> OrderReport:
    """A row of Kite's order book, or an order update. Fills are taken from `filled_quantity` alone: pending counts are
    not reliable.

    Raises:
        ValueError, TypeError, LookupError, ArithmeticError: for a row that makes no sense.
    """
    quantity, filled = count_of(row["quantity"]), count_of(row.get("filled_quantity") or 0)
    price = Decimal(str(row.get("average_price") or 0))
    if not quantity or not isinstance(row["status"], str) or not (price.is_finite() and 0 <= price < _TOO_MUCH):
        raise ValueError("an order of nothing, or without a status, or with a price that is none")
    return OrderReport(
        order_id=order_id_of(row["order_id"]),
        tag=own_tag(row),
        stage=stage_of(clean_status(row["status"])),
        quantity=quantity,
        filled_quantity=min(filled, quantity),
        average_price=price,
        reason=clean_text(row.get("status_message")),
        terms=_terms_of(row),
        exchange_time=_exchange_time(row),
    )


def band_of(row: Mapping[str, Any]) -> PriceBand:
    """The circuit limits and the last price of a quote.

    Raises:
        ValueError, TypeError, LookupError, ArithmeticError: for a quote without them.
    """
    lower, upper, last = (
        round_to_paise(Decimal(str(row[name]))) for name in ("lower_circuit_limit", "upper_circuit_limit", "last_price")
    )
    return PriceBand(lower, upper, last)


def _exchange_time(row: Mapping[str, Any]) -> datetime | None:
    """When the order last changed at the exchange; the other stamp is of its arrival there (kite.md §1.3)."""
    return _ist(row.get("exchange_update_timestamp")) or _ist(row.get("exchange_timestamp"))


def _terms_of(row: Mapping[str, Any]) -> OrderTerms | None:
    """What the order trades, and when the broker last touched it; None if the row does not say what it trades."""
    named = [row.get(name) for name in ("exchange", "tradingsymbol", "product", "transaction_type")]
    if not all(isinstance(name, str) and name for name in named):
        return None
    exchange, symbol, product, side = (clean_status(name) for name in named)
    stamps = [_ist(row.get(name)) for name in ("order_timestamp", "exchange_timestamp", "exchange_update_timestamp")]
    told = [stamp for stamp in stamps if stamp is not None]
    return OrderTerms(exchange, symbol, product, side, min(told, default=None), max(told, default=None))


def _ist(value: object) -> datetime | None:
    """A stamp of a row: the client turns some into naive datetimes, and leaves others as texts; all are IST."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo is not None else value.replace(tzinfo=_INDIA)


def row_word(row: Mapping[str, Any], name: str) -> str:
    """A name in a row, which is taken as it is or not at all. Raises ValueError, TypeError or LookupError."""
    word = row[name]
    if not word or clean_status(word) != word:  # some symbols have a blank
        raise ValueError(f"a row whose {name} is none")
    return str(word)


def shares_of(said: object) -> int:
    """A number of shares held, negative when short. Raises ValueError for what is none."""
    owed = isinstance(said, int | float) and said < 0
    return -count_of(-said) if owed else count_of(said)  # type: ignore[operator] # a number, as just looked at


def named_by(row: object) -> tuple[str | None, str | None, str | None]:
    """What an odd row still says of the exchange, the symbol and the product that it is about."""
    said = row if isinstance(row, Mapping) else {}
    exchange, symbol, product = (clean_status(said.get(name)) for name in ("exchange", "tradingsymbol", "product"))
    return exchange or None, symbol or None, product or None


def own_tag(row: Mapping[str, Any]) -> str | None:
    """`tag`, or the user's among `tags`, to which the system adds its own words (kite.md §2.8).

    Raises:
        TypeError: for a tag that is no text.
    """
    said = [row.get("tag"), *(row.get("tags") or [])]
    if not all(tag is None or isinstance(tag, str) for tag in said):
        raise TypeError("an order with a tag that is none")
    tags = [clean_word(tag) for tag in said]
    return next((tag for tag in tags if len(tag) == _TAG_LENGTH), tags[0] or None)


def count_of(said: object) -> int:
    """A number of shares of an order. Raises ValueError for anything but 0 to a thousand million."""
    if type(said) is int and 0 <= said < _TOO_MUCH:
        return said
    text = str(said) if isinstance(said, int | float | str) and not isinstance(said, bool) else ""
    number = Decimal(text) if _NUMBER.fullmatch(text) else Decimal(-1)
    if not 0 <= number < _TOO_MUCH or number != int(number):
        raise ValueError("a number of shares that is none")
    return int(number)


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
