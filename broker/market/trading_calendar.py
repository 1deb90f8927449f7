"""Which days are trading sessions, and their hours (ruling 5). Times are those of the exchange, IST.

Loads pandas for the exchange's calendar: meant for the API, and for the few processes that orders leave from.
"""

import asyncio
from datetime import date, time
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

import structlog

from actors.domain.session import WHOLE_DAY, SessionHours
from broker.exchange_time import IST
from broker.market.override_file import OverrideFile
from broker.market.overrides import Sessions

CalendarName = Literal["XNSE", "24x7"]

REGULAR_HOURS = SessionHours(time(9, 15), time(15, 30))
"""Of the continuous session of NSE's and BSE's equity segment (nseindia.com, market timings)."""

log = structlog.stdlib.get_logger(__name__)

_BOMBAY = "XBOM"  # exchange_calendars has no NSE of its own; both exchanges keep the same holidays
_SATURDAY = 5


class TradingCalendar(Protocol):
    """Knows the sessions of an exchange."""

    @property
    def regular(self) -> SessionHours | None:
        """The hours of an ordinary session; None for an exchange that never closes and has no rules about hours."""

    @property
    def known_until(self) -> date | None:
        """The last day whose holidays are known; None if there are none to know."""
        return None

    def sessions(self, day: date) -> Sessions:
        """The sessions of that day (a date of the exchange's time zone)."""

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on that day."""
        return bool(self.sessions(day))

    def is_called_off(self, day: date) -> bool:  # noqa: ARG002 - only an operator's file calls days off
        """Whether that day was to have a session, and the operator's file closes it."""
        return False


class AlwaysOpen(TradingCalendar):
    """The calendar of the paper exchange."""

    @property
    def regular(self) -> SessionHours | None:
        """None: it never closes."""
        return None

    def sessions(self, day: date) -> Sessions:  # noqa: ARG002 - every day is one
        """The whole day."""
        return (WHOLE_DAY,)


class NseCalendar(TradingCalendar):
    """Weekdays that are no holidays of NSE and BSE, from `exchange_calendars`, and what the operator overrides.

    Beyond `known_until` that package knows no holidays yet, and every weekday counts: an order on a holiday is
    rejected by the broker, while refusing every START in January because a package is old would hurt all users.
    """

    def __init__(self, overrides: OverrideFile | None = None) -> None:
        self._known_until: date = _bombay().last_session.date()
        self._overrides = overrides
        self._outdated_told = False

    @property
    def regular(self) -> SessionHours | None:
        """09:15 to 15:30."""
        return REGULAR_HOURS

    @property
    def known_until(self) -> date:
        """The last day whose holidays are known."""
        return self._known_until

    def sessions(self, day: date) -> Sessions:
        """The sessions of NSE on that day."""
        overrides = self._overrides.days if self._overrides else {}
        return overrides[day] if day in overrides else self._ordinary(day)

    def is_called_off(self, day: date) -> bool:
        """Whether the file closes a day that is a session without it."""
        return not self.is_session(day) and bool(self._ordinary(day))

    def _ordinary(self, day: date) -> Sessions:
        if day > self.known_until:
            self._tell_outdated(day)
            return (REGULAR_HOURS,) if day.weekday() < _SATURDAY else ()
        return _sessions_of_bombay(day)

    def _tell_outdated(self, day: date) -> None:
        if not self._outdated_told:
            self._outdated_told = True
            log.warning("calendar_outdated", day=day.isoformat(), known_until=self.known_until.isoformat())


@lru_cache
def _bombay() -> Any:
    import exchange_calendars

    return exchange_calendars.get_calendar(_BOMBAY)


@lru_cache(maxsize=2000)
def _sessions_of_bombay(day: date) -> Sessions:
    """What the package has for a day that it knows: a millisecond in pandas, and the same each time."""
    calendar = _bombay()
    if not calendar.is_session(day.isoformat()):
        return ()
    opens = calendar.session_open(day.isoformat()).tz_convert(IST)
    closes = calendar.session_close(day.isoformat()).tz_convert(IST)
    return (SessionHours(opens.time(), closes.time()),)


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
