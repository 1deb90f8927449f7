"""What is recorded when the database refuses a record for its content: the same facts without what it cannot store.

A state change must not be lost for a text. First only what no PostgreSQL can store is replaced; if that is refused too,
every text that others may have written is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

from persistence.journal.records import LogRecord, RunUpdate

R = TypeVar("R")

STAND_IN = "[The text could not be stored]"
"""In place of a text that PostgreSQL refuses."""

_LONGEST = 10_000
_MOST = Decimal(10) ** 15
_FREE_TEXTS = frozenset({"reason", "message", "status_detail", "last_action", "detail"})
"""Names of fields, and of keys of the state, whose texts may be the broker's."""


def storable_updates(update: RunUpdate) -> Iterator[RunUpdate]:
    """The same step without what cannot be stored, then without any text of others."""
    yield _without(update, everything=False)
    yield _without(update, everything=True)


def storable_lines(line: LogRecord) -> Iterator[LogRecord]:
    """The same line, likewise."""
    yield _without(line, everything=False)
    yield _without(line, everything=True)


def _without(record: R, *, everything: bool) -> R:
    return _mended("", record, everything)  # type: ignore[no-any-return] # the same type comes out


def _mended(name: str, value: Any, everything: bool) -> Any:
    match value:
        case str():
            offends = not is_storable(value) or (everything and name in _FREE_TEXTS and value)
            return STAND_IN if offends else value
        case Decimal():
            return value if value.is_finite() and abs(value) < _MOST else None
        case Mapping():
            return {
                _mended("", key, everything): _mended(key if isinstance(key, str) else "", item, everything)
                for key, item in value.items()
            }
        case tuple() | list():
            return type(value)(_mended(name, item, everything) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: _mended(field.name, getattr(value, field.name), everything) for field in fields(value)}
        return replace(value, **changed)
    return value


def is_storable(text: str) -> bool:
    """Whether PostgreSQL stores the text as it is."""
    if "\0" in text or len(text) > _LONGEST:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
