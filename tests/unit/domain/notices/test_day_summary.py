"""The summary of the day: what it says, and when it is made (row N1)."""

from datetime import date, datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from actors.domain.notices.day_summary import DayRun, due_at, summary
from actors.domain.session import SessionHours

IST = ZoneInfo("Asia/Kolkata")
DAY = date(2026, 11, 30)
SOLD, LOST = DayRun(True, 10, Decimal("412.50")), DayRun(True, 5, Decimal(-100))


def test_what_was_traded_with_its_result() -> None:
    assert summary([SOLD, LOST], closed_tomorrow=False) == "Today: 2 trades, +₹312.50 before charges."
    assert summary([LOST], closed_tomorrow=True) == (
        "Today: 1 trade, −₹100.00 before charges. Tomorrow the exchange is closed."
    )


def test_what_is_open_not_bought_or_unknown_is_said() -> None:
    runs = [SOLD, DayRun(True, 10, None), DayRun(False, 3, None), DayRun(True, 0, None), DayRun(False, 0, None)]
    assert summary(runs, closed_tomorrow=False) == (
        "Today: 2 trades, +₹412.50 before charges; the result of 1 is not known; 1 still open; 1 not bought."
    )
    assert summary([DayRun(True, 10, None)], closed_tomorrow=False) == "Today: 1 trade; the result is not known."


def test_a_day_without_anything_is_not_told() -> None:
    assert summary([], closed_tomorrow=True) == ""
    assert summary([DayRun(False, 0, None)], closed_tomorrow=True) == ""


def test_it_is_made_after_the_last_close() -> None:
    regular, evening = SessionHours(time(9, 15), time(15, 30)), SessionHours(time(18), time(19))
    assert due_at(DAY, [regular], IST, never_closes=False) == datetime(2026, 11, 30, 15, 45, tzinfo=IST)
    assert due_at(DAY, [evening, regular], IST, never_closes=False) == datetime(2026, 11, 30, 19, 15, tzinfo=IST)
    assert due_at(DAY, [], IST, never_closes=False) is None
    assert due_at(DAY, [regular], IST, never_closes=True) == datetime(2026, 11, 30, 23, 50, tzinfo=IST)
