"""The text of the operator's file of sessions: which days it names, and a sentence for each mistake in it."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from itertools import pairwise
from typing import Any

from actors.domain.session import SessionHours

Sessions = tuple[SessionHours, ...]
"""Those of one day, in their order; none on a day without trading."""

Overrides = Mapping[date, Sessions]
"""Days on which the operator knows better than the calendar."""

_CLOSED = "closed"
_EXAMPLES = '"closed", or hours such as "18:00-19:15" or "09:15-10:00, 11:45-12:40"'
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_RANGE = re.compile(r"(\S+?)\s*[-–]\s*(\S+)")  # a word processor makes the longer dash
_PARTS = ("hours", "square_off", "last_entry")
_WHERE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_TWICE = ("Cannot overwrite", "Cannot declare")
_DAY_EXAMPLE = 'a day is written as 2026-11-08 = "18:00-19:15", with quotes'
_LONGEST_SHOWN = 40


class InvalidOverrides(Exception):
    """The file of overrides cannot be used; `problems` has a sentence for each mistake, which begins with its line."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Mistake(Exception):
    """What is wrong with one day, without saying where it stands."""


def parse_overrides(text: str) -> Overrides:
    """The days of a TOML table such as `2026-11-08 = "18:00-19:15"` and `2026-11-24 = "closed"`.

    A day with several sessions, such as a special Saturday, has them all: `2026-12-05 = "09:15-10:00, 11:45-12:40"`.
    One with cut-offs of its own is a table: `{hours = "09:15-10:00", square_off = "09:50", last_entry = "09:45"}`, or
    an array of such tables.

    Raises:
        InvalidOverrides: if it is no TOML, or a day or its hours make no sense.
    """
    try:
        table = tomllib.loads(text)
    except RecursionError as error:
        raise InvalidOverrides(f"it is no TOML: its brackets are nested too deeply; {_DAY_EXAMPLE}") from error
    except ValueError as error:  # TOMLDecodeError, and what Python refuses to take for a number
        raise InvalidOverrides(_no_toml(str(error), text)) from error
    days: dict[date, Sessions] = {}
    problems: list[str] = []
    for key, value in table.items():
        try:
            day = _day(key, value)
            days[day] = _sessions(value)
        except _Mistake as mistake:
            problems.append(f"{_where(key, text)}{_shown(key)}: {mistake}")
    if problems:
        raise InvalidOverrides(*problems)
    return days


def _no_toml(reason: str, text: str) -> str:
    lines, found = text.split("\n"), _WHERE.search(reason)
    if found is None:  # a number of thousands of digits, which stands on one line
        number = max(range(len(lines)), key=lambda index: len(lines[index])) + 1
    else:
        number = int(found.group(1) or len(lines))
    if reason.startswith(_TWICE):
        return f"line {number}: it is there twice; a day has one line, with all its sessions"
    return f"line {number}: it is no TOML; {_DAY_EXAMPLE}"


def _where(key: str, text: str) -> str:
    stands = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    numbers = (number for number, line in enumerate(text.split("\n"), 1) if stands.match(line))
    number = next(numbers, None)
    return "" if number is None else f"line {number}: "


def _day(key: str, value: object) -> date:
    try:
        if _DAY.fullmatch(key) and key.isascii():
            return date.fromisoformat(key)
    except ValueError as error:
        raise _Mistake("there is no such day") from error
    if not isinstance(value, str):  # the day stands behind the name of a holiday, or in a list under a heading
        raise _Mistake('that is no day; write a line for each day, such as 2026-11-24 = "closed"')
    raise _Mistake("that is no day; write it as 2026-11-08")


def _sessions(value: object) -> Sessions:
    if isinstance(value, str) and value.strip().lower() == _CLOSED:
        return ()
    found = tuple(_session(part) for part in _session_parts(value))
    for earlier, later in pairwise(found):
        if later.opens < earlier.closes:
            raise _Mistake(
                f"the session {later.opens:%H:%M}-{later.closes:%H:%M} begins before the one before it has closed; "
                "write them in their order"
            )
    return found


@dataclass(frozen=True, slots=True)
class _Written:
    """One session as it stands in the file."""

    hours: str
    square_off: str | None = None
    last_entry: str | None = None


def _session_parts(value: object) -> Iterator[_Written]:
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",")]
        if len(parts) > 1 and any(part.lower() == _CLOSED for part in parts):
            raise _Mistake('"closed" stands alone, without hours beside it')
        yield from map(_Written, parts)
    elif isinstance(value, dict):
        yield _table(value)
    elif isinstance(value, list) and value:
        for part in value:
            if not isinstance(part, str | dict):
                raise _Mistake('an array holds hours, such as "09:15-10:00", or tables')
            yield _table(part) if isinstance(part, dict) else _Written(part.strip())
    else:
        raise _Mistake(f"it must be {_EXAMPLES}")


def _table(value: Mapping[str, Any]) -> _Written:
    unknown = [name for name in value if name not in _PARTS]
    if unknown:
        raise _Mistake(f"a session has no {_shown(unknown[0])}; it has {', '.join(_PARTS)}")
    if "hours" not in value:
        raise _Mistake('a session needs hours, such as hours = "09:15-10:00"')
    for name, text in value.items():
        if not isinstance(text, str):
            raise _Mistake(f"{name} must be a text between quotes")
    return _Written(value["hours"].strip(), value.get("square_off"), value.get("last_entry"))


def _session(written: _Written) -> SessionHours:
    match = _RANGE.fullmatch(written.hours)
    if match is None:
        raise _Mistake(f'"{_shown(written.hours)}" must be {_EXAMPLES}')
    opens, closes = _time(match.group(1)), _time(match.group(2))
    if opens >= closes:
        raise _Mistake(f"the session {_shown(written.hours)} must open before it closes")
    cutoffs = {
        name: _cutoff(name, text, opens, closes)
        for name, text in (("square_off", written.square_off), ("last_entry", written.last_entry))
        if text is not None
    }
    return SessionHours(opens, closes, **cutoffs)


def _cutoff(name: str, text: str, opens: time, closes: time) -> time:
    at = _time(text.strip())
    if not opens < at <= closes:
        raise _Mistake(f"{name} {at:%H:%M} must be after {opens:%H:%M} and {closes:%H:%M} at the latest")
    return at


def _time(text: str) -> time:
    match = _TIME.fullmatch(text) if text.isascii() else None
    if match is None:
        raise _Mistake(f'"{_shown(text)}" is no time of day such as 09:15 or 18:00')
    return time(int(match.group(1)), int(match.group(2)))


def _shown(text: str) -> str:
    plain = _plain(text)
    return plain if len(plain) <= _LONGEST_SHOWN else f"{plain[:_LONGEST_SHOWN]}…"


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)
