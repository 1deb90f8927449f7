"""Which days are trading sessions (ruling 5)."""

from datetime import date
from functools import lru_cache
from typing import Any, Literal, Protocol

import structlog

CalendarName = Literal["XNSE", "24x7"]

log = structlog.stdlib.get_logger(__name__)

_BOMBAY = "XBOM"  # exchange_calendars has no NSE of its own; both exchanges keep the same holidays
_SATURDAY = 5


class TradingCalendar(Protocol):
    """Knows the sessions of an exchange."""

    def is_session(self, day: date) -> bool:
        """Whether the exchange trades on that day (a date of its own time zone)."""


class AlwaysOpen:
    """The calendar of the paper exchange."""

    def is_session(self, day: date) -> bool:  # noqa: ARG002 - every day is one
        """True."""
        return True


class NseCalendar:
    """Weekdays that are no holidays of NSE and BSE, from `exchange_calendars`.

    Beyond `known_until` that package knows no holidays yet, and every weekday counts: an order on a holiday is
    rejected by the broker, while refusing every START in January because a package is old would hurt everybody.
    """

    def __init__(self) -> None:
        import exchange_calendars

        self._sessions: Any = exchange_calendars.get_calendar(_BOMBAY)

    @property
    def known_until(self) -> date:
        """The last day whose holidays are known."""
        last: date = self._sessions.last_session.date()
        return last

    def is_session(self, day: date) -> bool:
        """Whether NSE trades on that day."""
        if day > self.known_until:
            log.warning("calendar_outdated", day=day.isoformat(), known_until=self.known_until.isoformat())
            return day.weekday() < _SATURDAY
        return bool(self._sessions.is_session(day.isoformat()))


@lru_cache
def trading_calendar(name: CalendarName) -> TradingCalendar:
    """The calendar of that name. The first `XNSE` takes a second (pandas): call it from a thread."""
    return NseCalendar() if name == "XNSE" else AlwaysOpen()
