"""When a user's day is looked at without being asked, and which session is today's. Pure (row N3).

On an ordinary day of the exchange, which opens at 09:15: at 07:35, 08:45 and 09:08, ten minutes before each BUY, and,
if something was not well, at 09:05 and five minutes before each BUY. A session of other hours moves the times of the
morning with its opening; where an exchange never closes, they are counted from the first BUY that still waits.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo

from actors.domain.session import LOOK_AHEAD_DAYS
from api.readiness.findings import SessionDay, Verdict
from broker.market.trading_calendar import TradingCalendar

LOGIN_BEFORE = timedelta(minutes=100)
"""How long before the session the login is looked at, and nothing said of it."""

MAIN_BEFORE = timedelta(minutes=30)
"""How long before the session everything is looked at. From then on users are notified."""

SECOND_BEFORE = timedelta(minutes=10)
"""How long before the session it is looked at again if not all was well, and said a second time if it still is not."""

PRICES_BEFORE = timedelta(minutes=7)
"""How long before the session it is looked at again: the prices of the pre-open session are known."""

LATE_BEFORE = timedelta(minutes=10)
"""How long before a BUY it is looked at, and said aloud if it will not happen."""

AGAIN_BEFORE = timedelta(minutes=5)
"""How long before a BUY it is looked at for the last time, if not all was well."""

_SATURDAY = 5


def session_of_today(calendar: TradingCalendar, now: datetime, zone: tzinfo) -> SessionDay | None:
    """The session that goes on at this instant or comes today; None if there is none any more."""
    day = now.astimezone(zone).date()
    for hours in calendar.sessions(day):
        closes = datetime.combine(day, hours.closes, zone)
        if now < closes:
            ordinary = calendar.regular is None or (day.weekday() < _SATURDAY and hours == calendar.regular)
            return SessionDay(day, datetime.combine(day, hours.opens, zone), closes, not ordinary)
    return None


def next_session(calendar: TradingCalendar, now: datetime, zone: tzinfo) -> "SessionDay | None":
    """The first session of a later day."""
    today = now.astimezone(zone).date()
    for days in range(1, LOOK_AHEAD_DAYS + 1):
        begins = datetime.combine(today + timedelta(days=days), datetime.min.time(), zone)
        if (found := session_of_today(calendar, begins, zone)) is not None:
            return found
    return None


def closed_weekday(calendar: TradingCalendar, today: date) -> date | None:
    """The first weekday after today, if the exchange is closed on it: a holiday of which a trader should know."""
    days = 7 - today.weekday() if today.weekday() >= _SATURDAY - 1 else 1
    weekday = today + timedelta(days=days)
    return None if calendar.is_session(weekday) else weekday


def opening(calendar: TradingCalendar, session: SessionDay | None, buys: Sequence[datetime]) -> datetime:
    """What the times of the morning are counted from; `buys` holds one instant at least."""
    return min(buys) if session is None or calendar.regular is None else min(session.opens, *buys)


def told_from(opens: datetime) -> datetime:
    """From when on users are notified of what is found."""
    return opens - MAIN_BEFORE


def is_due(
    now: datetime,
    opens: datetime,
    buys: Sequence[datetime],
    *,
    found_at: datetime | None,
    verdict: str | None,
    connected_at: datetime | None,
) -> bool:
    """Whether it is time to look: something was to be looked at since the last time, or the user has logged in."""
    if found_at is not None and connected_at is not None and connected_at > found_at:
        return True
    return any(moment <= now and (found_at is None or found_at < moment) for moment in _moments(opens, buys, verdict))


def _moments(opens: datetime, buys: Sequence[datetime], verdict: str | None) -> Iterator[datetime]:
    for before in (LOGIN_BEFORE, MAIN_BEFORE, PRICES_BEFORE):
        yield opens - before
    if verdict != Verdict.READY:
        yield opens - SECOND_BEFORE
    for buy_at in buys:
        yield buy_at - LATE_BEFORE
        if verdict != Verdict.READY:
            yield buy_at - AGAIN_BEFORE
