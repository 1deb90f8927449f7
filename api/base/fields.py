"""The fields that requests and answers are made of. Requests refuse fields that they do not know.

Prices are numbers in rupees with two decimals; times of day are "HH:MM" or "HH:MM:SS" of the exchange (IST); instants
are ISO 8601 with offset.
"""

import re
import unicodedata
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    field_validator,
)

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import split_symbol
from actors.domain.money import to_paise
from actors.domain.prices.stop_share import MAX_PERCENT, to_hundredths

MAX_PRICE = Decimal(10_000_000)
MAX_QUANTITY = 10_000_000
MAX_ID = 2**53 - 1
"""The largest integer that every reader of JSON takes exactly (RFC 8259 §6)."""
NO_NUL = "must not hold a NUL character"
"""PostgreSQL stores none, and no keyboard types one."""

_AROUND = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
"""Unicode's categories of spaces, and of what has no width: marks of direction, byte order marks, controls."""
_SYMBOL = re.compile(r"([!-9;-~]+:)?[!-9;-~]([ -9;-~]*[!-9;-~])?")
"""Printable ASCII with at most one colon: what exchanges use, and nothing that PostgreSQL refuses to store."""
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")


def trimmed(text: Any) -> Any:
    """A text without the spaces and invisible characters that keyboards and copied lines put around it.

    A NUL stays, and is refused. What is no text is returned as it is.
    """
    if not isinstance(text, str):
        return text
    first, last = 0, len(text)
    while first < last and _is_around(text[first]):
        first += 1
    while first < last and _is_around(text[last - 1]):
        last -= 1
    return text[first:last]


def _is_around(character: str) -> bool:
    return unicodedata.category(character) in _AROUND and character != "\0"


def _check_unicode(secret: SecretStr) -> SecretStr:
    try:  # JSON can spell half a surrogate pair, which nothing can encode; pydantic lets it pass in a SecretStr
        secret.get_secret_value().encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode text") from error
    return secret


def _parse_time(text: Any) -> time:
    if isinstance(text, str) and _TIME.fullmatch(text):
        return time.fromisoformat(text)
    raise ValueError('must be a time of day such as "09:30" or "09:30:15"')


def _whole(number: Any) -> Any:
    """10.0 is an integer too (JSON Schema 2020-12 §4.2.3), "10" and true are none."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _parse_price(number: Any) -> Decimal:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic reports ValueError
    price = Decimal(repr(number))  # the shortest text that means this float: what was typed
    if not price.is_finite() or not 0 < price <= MAX_PRICE:
        raise ValueError(f"must be greater than 0 and at most {MAX_PRICE}")
    try:
        to_paise(price)
    except InvalidValue as error:
        raise ValueError("must have at most two decimals") from error
    return price


def _parse_date(text: Any) -> date:
    if type(text) is date:
        return text
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        raise ValueError("must be a day such as 2026-12-24")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a day that there is, such as 2026-12-24") from None


def _parse_percent(number: Any) -> Decimal:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic reports ValueError
    percent = Decimal(repr(number))
    try:
        to_hundredths(percent)
    except InvalidValue as error:
        raise ValueError(str(error)) from error
    return percent


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, list) and any(map(_has_nul, value))


def _parse_symbol(text: str) -> str:
    closed = ":".join(trimmed(part) for part in text.split(":"))
    if not _SYMBOL.fullmatch(closed):
        raise ValueError("must be a symbol such as INFY or NSE:INFY")
    return ":".join(split_symbol(closed))


EncodableSecret = Annotated[
    SecretStr, AfterValidator(_check_unicode), Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})
]
Secret = Annotated[EncodableSecret, Field(min_length=1, max_length=256)]
TimeOfDay = Annotated[
    time,
    BeforeValidator(_parse_time),
    PlainSerializer(time.isoformat, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{_TIME.pattern}$",
            "examples": ["09:30"],
            "description": "`HH:MM` or `HH:MM:SS` of a clock of 24 hours.",
        }
    ),
]
ExchangeDate = Annotated[
    date,
    BeforeValidator(_parse_date),
    WithJsonSchema(
        {"type": "string", "format": "date", "examples": ["2026-12-24"], "description": "A day of the exchange."}
    ),
]
Percent = Annotated[
    Decimal,
    BeforeValidator(_parse_percent),
    WithJsonSchema(
        {"type": "number", "minimum": 0.01, "maximum": int(MAX_PERCENT), "multipleOf": 0.01, "examples": [2.5]}
    ),
]
Price = Annotated[
    Decimal,
    BeforeValidator(_parse_price),
    WithJsonSchema(
        {"type": "number", "minimum": 0.01, "maximum": int(MAX_PRICE), "multipleOf": 0.01, "examples": [1490.5]}
    ),
]
Quantity = Annotated[int, Field(strict=True, gt=0, le=MAX_QUANTITY, examples=[10]), BeforeValidator(_whole)]
Symbol = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64),
    AfterValidator(_parse_symbol),
    Field(
        examples=["INFY"],
        description="`INFY` (on NSE) or `BSE:INFY`",
        json_schema_extra={"pattern": f"^{_SYMBOL.pattern}$"},
    ),
]
RowId = Annotated[int, Field(strict=True, gt=0, le=MAX_ID, examples=[1]), BeforeValidator(_whole)]
StrategyId = RowId

StrategyStatusWord = Literal["created", "running", "paused", "stopped"]
PhaseWord = Literal["created", "waiting", "paused", "buying", "arming", "holding", "selling", "exit_failed", "ended"]
PositionWord = Literal["none", "buying", "bought", "selling", "sold", "exited_by_sl", "buy_failed"]


class Request(BaseModel):
    """Base of all request bodies and queries."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_nul(cls, value: Any) -> Any:
        if _has_nul(value):
            raise ValueError(NO_NUL)
        return value
