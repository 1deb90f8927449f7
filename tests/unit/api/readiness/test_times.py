"""When a day is looked at (row N3)."""

from datetime import date, datetime, time, timedelta

import pytest

from actors.domain.session import SessionHours
from api.readiness.times import closed_weekday, is_due, next_session, opening, session_of_today, told_from
from broker.exchange_time import IST
from broker.market.trading_calendar import AlwaysOpen, NseCalendar

MONDAY = datetime(2026, 11, 30, tzinfo=IST)
OPENS = MONDAY.replace(hour=9, minute=15)
BUY = MONDAY.replace(hour=9, minute=45)
SPLIT = (SessionHours(time(9, 15), time(10, 0)), SessionHours(time(11, 30), time(12, 30)))


def clock(text: str) -> datetime:
    return datetime.combine(MONDAY.date(), time.fromisoformat(text), IST)


def looks(verdict: str | None, buys: tuple[datetime, ...] = (BUY,)) -> list[str]:
    """The minutes of the morning at which it is looked, if it is asked each minute."""
    found_at, times = None, []
    now = MONDAY.replace(hour=6)
    while now < MONDAY.replace(hour=12):
        if is_due(now, OPENS, buys, found_at=found_at, verdict=verdict, connected_at=None):
            times.append(f"{now:%H:%M}")
            found_at = now
        now += timedelta(minutes=1)
    return times


def test_the_times_of_an_ordinary_morning() -> None:
    assert looks("ready") == ["07:35", "08:45", "09:08", "09:35"]
    assert looks("blocked") == looks("attention") == ["07:35", "08:45", "09:05", "09:08", "09:35", "09:40"]
    assert looks("ready", (BUY, clock("11:00"))) == ["07:35", "08:45", "09:08", "09:35", "10:50"]
    assert told_from(OPENS) == clock("08:45")


def test_a_process_that_was_down_looks_once_and_not_for_each_time_that_it_missed() -> None:
    asked = {"verdict": None, "connected_at": None}
    assert is_due(clock("09:30"), OPENS, (BUY,), found_at=None, **asked)
    assert not is_due(clock("09:31"), OPENS, (BUY,), found_at=clock("09:30"), **asked)


def test_a_login_is_looked_at_once() -> None:
    found, login = clock("08:46"), clock("08:50")
    assert is_due(clock("08:51"), OPENS, (BUY,), found_at=found, verdict="ready", connected_at=login)
    assert not is_due(clock("08:52"), OPENS, (BUY,), found_at=clock("08:51"), verdict="ready", connected_at=login)


def test_what_was_found_yesterday_is_not_of_today() -> None:
    assert is_due(
        clock("07:35"), OPENS, (BUY,), found_at=MONDAY - timedelta(hours=9), verdict="ready", connected_at=None
    )


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        (MONDAY, OPENS),
        (clock("15:29:59"), OPENS),
        (clock("15:30"), None),
        (MONDAY - timedelta(days=1), None),  # Sunday
        (datetime(2026, 12, 25, 8, 0, tzinfo=IST), None),  # Christmas
    ],
)
def test_the_session_of_an_instant(now: datetime, opens: datetime | None) -> None:
    session = session_of_today(NseCalendar(), now, IST)
    assert (None if session is None else session.opens) == opens


def test_the_next_session_is_after_the_holidays() -> None:
    found = next_session(NseCalendar(), datetime(2026, 12, 24, 16, 0, tzinfo=IST), IST)
    assert found is not None
    assert (found.day.isoformat(), found.special) == ("2026-12-28", False)


@pytest.mark.parametrize(
    ("today", "closed"),
    [
        (date(2026, 12, 24), date(2026, 12, 25)),
        (date(2026, 12, 23), None),
        (date(2026, 12, 25), None),  # Friday; Monday is a session
        (date(2026, 12, 26), None),
        (date(2026, 11, 23), date(2026, 11, 24)),
    ],
)
def test_a_holiday_that_comes_next_is_known(today: date, closed: date | None) -> None:
    assert closed_weekday(NseCalendar(), today) == closed
    assert closed_weekday(AlwaysOpen(), today) is None


class Split(NseCalendar):
    """Two sessions a day, as on days on which the exchange tries its other site."""

    def sessions(self, day: object) -> tuple[SessionHours, ...]:
        return SPLIT


def test_of_two_sessions_the_one_that_is_not_over_counts() -> None:
    for now, opens in (("09:59:59", "09:15"), ("10:00", "11:30")):
        session = session_of_today(Split(), clock(now), IST)
        assert session is not None
        assert (session.opens, session.special) == (clock(opens), True)


def test_an_exchange_that_never_closes_opens_with_the_first_buy() -> None:
    session = session_of_today(AlwaysOpen(), MONDAY, IST)
    assert opening(AlwaysOpen(), session, (clock("11:00"), BUY)) == BUY
    regular = session_of_today(NseCalendar(), MONDAY, IST)
    assert opening(NseCalendar(), regular, (BUY,)) == OPENS
    assert opening(NseCalendar(), None, (BUY,)) == BUY
