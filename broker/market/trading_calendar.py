"""Which days are trading sessions, and their hours (ruling 5). Times are those of the exchange, IST.

Loads pandas for the exchange's calendar: meant for the API, and for the few processes that orders leave from.
"""

import asyncio
import re
import tomllib
from collections.abc import Mapping
from datetime import date, time
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import structlog

from actors.domain.errors import InvalidValue
from actors.domain.session import WHOLE_DAY, SessionHours
from broker.exchange_time import IST

CalendarName = Literal["XNSE", "24x7"]

REGULAR_HOURS = SessionHours(time(9, 15), time(15, 30))
"""Of the continuous session of NSE's and BSE's equity segment (nseindia.com, market timings)."""

log = structlog.stdlib.get_logger(__name__)

_BOMBAY = "XBOM"  # exchange_calendars has no NSE of its own; both exchanges keep the same holidays
_SATURDAY = 5
_CLOSED = "closed"
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")

Sessions = tuple[SessionHours, ...]
"""Those of one day, in their order; none on a day without trading."""

Overrides = Mapping[date, Sessions]
"""Days on which the operator knows better than the calendar."""


class TradingCalendar(Protocol):
    """Knows the sessions of an exchange."""

    @property
    def regular(self) -> SessionHours | None:
        """The hours of an ordinary session; None for an exchange that never closes and has no rules about hours."""

    def sessions(self, day: date) -> Sessions:
        """The sessions of that day (a date of the exchange's time zone)."""

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on that day."""
        return bool(self.sessions(day))


class AlwaysOpen(TradingCalendar):
    """The calendar of the paper exchange."""

    @property
    def regular(self) -> SessionHours | None:
        """None: it never closes."""
        return None

    def sessions(self, day: date) -> Sessions:  # noqa: ARG002 - every day is one
        """The whole day."""
        return (WHOLE_DAY,)


class InvalidOverrides(Exception):
    """The file of overrides cannot be used; the text says which line of it, or why."""


def parse_overrides(text: str) -> Overrides:
    """The days of a TOML table such as `2026-11-08 = "18:00-19:15"` and `2026-11-24 = "closed"`.

    A day with two sessions, such as a special Saturday, has both: `2026-12-05 = "09:15-10:00, 11:45-12:40"`.

    Raises:
        InvalidOverrides: if it is no TOML, or a day or its hours make no sense.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidOverrides(f"it is no TOML: {error}") from error
    return {_day(key): _sessions(key, value) for key, value in table.items()}


def _day(key: str) -> date:
    try:
        return date.fromisoformat(key)
    except ValueError as error:
        raise InvalidOverrides(f"{key} is no date such as 2026-11-08") from error


def _sessions(key: str, value: object) -> Sessions:
    if value == _CLOSED:
        return ()
    if not isinstance(value, str):
        raise InvalidOverrides(_wrong(key))
    found = tuple(_session(key, part.strip()) for part in value.split(","))
    if any(later.opens < earlier.closes for earlier, later in pairwise(found)):
        raise InvalidOverrides(f"{key}: a session must begin after the one before it has closed")
    return found


def _wrong(key: str) -> str:
    return f'{key} must be "closed", or hours such as "18:00-19:15" or "09:15-10:00, 11:45-12:40"'


def _session(key: str, value: str) -> SessionHours:
    match = _HOURS.fullmatch(value)
    if match is None:
        raise InvalidOverrides(_wrong(key))
    opens_h, opens_m, closes_h, closes_m = map(int, match.groups())
    try:
        return SessionHours(time(opens_h, opens_m), time(closes_h, closes_m))
    except InvalidValue as error:
        raise InvalidOverrides(f"{key}: {error}") from error


class OverrideFile:
    """The operator's file, read again whenever it changes."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            InvalidOverrides: if it cannot be read, or is wrong.
        """
        self._path = path
        self._seen = _signature(path)
        self._days = _read(path)

    @property
    def days(self) -> Overrides:
        """What the file says. While it is broken or gone: what it said before, with an error in the log."""
        seen = _signature(self._path)
        if seen != self._seen:
            self._seen = seen
            try:
                self._days = _read(self._path)
                log.info("calendar_overrides_read", path=str(self._path), days=len(self._days))
            except InvalidOverrides as error:
                log.error("calendar_overrides_broken", path=str(self._path), reason=str(error))  # noqa: TRY400
        return self._days


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino  # an editor may replace the file within one tick of mtime


def _read(path: Path) -> Overrides:
    try:
        return parse_overrides(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidOverrides(f"it cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidOverrides("it is not UTF-8 text") from error


class NseCalendar(TradingCalendar):
    """Weekdays that are no holidays of NSE and BSE, from `exchange_calendars`, and what the operator overrides.

    Beyond `known_until` that package knows no holidays yet, and every weekday counts: an order on a holiday is
    rejected by the broker, while refusing every START in January because a package is old would hurt all users.
    """

    def __init__(self, overrides: OverrideFile | None = None) -> None:
        self._sessions = _bombay()
        self._overrides = overrides
        self._outdated_told = False

    @property
    def regular(self) -> SessionHours | None:
        """09:15 to 15:30."""
        return REGULAR_HOURS

    @property
    def known_until(self) -> date:
        """The last day whose holidays are known."""
        last: date = self._sessions.last_session.date()
        return last

    def sessions(self, day: date) -> Sessions:
        """The sessions of NSE on that day."""
        overrides = self._overrides.days if self._overrides else {}
        if day in overrides:
            return overrides[day]
        if day > self.known_until:
            self._tell_outdated(day)
            return (REGULAR_HOURS,) if day.weekday() < _SATURDAY else ()
        if not self._sessions.is_session(day.isoformat()):
            return ()
        opens = self._sessions.session_open(day.isoformat()).tz_convert(IST)
        closes = self._sessions.session_close(day.isoformat()).tz_convert(IST)
        return (SessionHours(opens.time(), closes.time()),)

    def _tell_outdated(self, day: date) -> None:
        if not self._outdated_told:
            self._outdated_told = True
            log.warning("calendar_outdated", day=day.isoformat(), known_until=self.known_until.isoformat())


@lru_cache
def _bombay() -> Any:
    import exchange_calendars

    return exchange_calendars.get_calendar(_BOMBAY)


class TradingCalendars:
    """The calendars by name, each made when it is first asked for."""

    def __init__(self, overrides: Path | None = None) -> None:
        """`overrides` is the operator's file for XNSE.

        Raises:
            InvalidOverrides: if it cannot be read, or is wrong.
        """
        self._overrides = OverrideFile(overrides) if overrides else None
        self._nse: NseCalendar | None = None

    async def get(self, name: CalendarName) -> TradingCalendar:
        """The calendar of that name. The first XNSE takes a second (pandas), in a thread."""
        if name != "24x7" and self._nse is None:
            return await asyncio.to_thread(self.load, name)
        return self.load(name)

    def load(self, name: CalendarName) -> TradingCalendar:
        """The same, blocking."""
        if name == "24x7":
            return AlwaysOpen()
        if self._nse is None:
            self._nse = NseCalendar(self._overrides)
        return self._nse
