"""The days of a trading calendar as the app shows them. Pure, but for what the calendar reads."""

from collections.abc import Sequence
from datetime import date, time, timedelta

from actors.domain.market_hours import AUCTION_FROM
from actors.domain.session import SessionHours
from api.reference.schemas import CalendarDay, SessionHoursAnswer
from broker.market.trading_calendar import TradingCalendar

_SATURDAY = 5


def calendar_days(calendar: TradingCalendar, first: date, days: int, mis_cutoff: time) -> list[CalendarDay]:
    """`days` days from `first` on. `mis_cutoff`: of ordinary sessions, where the calendar has hours."""
    dates = [first + timedelta(days=number) for number in range(days)]
    return [_day(calendar, day, calendar.sessions(day), mis_cutoff) for day in dates]


def _day(calendar: TradingCalendar, day: date, sessions: Sequence[SessionHours], mis_cutoff: time) -> CalendarDay:
    weekend, regular = day.weekday() >= _SATURDAY, calendar.regular
    ordinary = regular is None or (list(sessions) == [regular] and not weekend)
    return CalendarDay(
        date=day,
        sessions=[_hours(session, None if regular is None else mis_cutoff) for session in sessions],
        special=bool(sessions) and not ordinary,
        closed=None if sessions else "weekend" if weekend else "holiday",
    )


def _hours(session: SessionHours, mis_cutoff: time | None) -> SessionHoursAnswer:
    auction = mis_cutoff is not None and session.opens < AUCTION_FROM < session.closes
    cutoff = session.mis_cutoff(mis_cutoff)
    return SessionHoursAnswer(
        opens=shown(session.opens),
        closes=shown(session.closes),
        last_entry=None if session.last_entry is None else shown(session.last_entry),
        mis_cutoff=None if cutoff is None else shown(cutoff),
        auction_from=shown(AUCTION_FROM) if auction else None,
    )


def shown(at: time) -> str:
    """A time of day in whole seconds; the end of a day that never closes is its last second."""
    return at.replace(microsecond=0).isoformat()
