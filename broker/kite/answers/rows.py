"""From Kite's words to ours: rows of orders, positions and quotes (kite.md §3)."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from actors.domain.money import round_to_paise
from actors.domain.orders.order import OrderReport, OrderStage, OrderTerms
from actors.domain.orders.price_band import PriceBand
from broker.kite.answers.broker_text import clean_status, clean_text, clean_word, order_id_of

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
