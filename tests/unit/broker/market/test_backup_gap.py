"""Which day's order book still shows everything since a backup."""

from datetime import date, datetime

import pytest

from broker.exchange_time import IST
from broker.market.backup_gap import last_provable_day
from broker.market.trading_calendar import AlwaysOpen, NseCalendar

FRIDAY = date(2026, 11, 27)
MONDAY = date(2026, 11, 30)


@pytest.mark.parametrize(
    ("backed_up_at", "provable_until"),
    [
        ("2026-11-27 08:00", FRIDAY),  # before the session
        ("2026-11-27 11:00", FRIDAY),  # in it
        ("2026-11-27 15:29", FRIDAY),
        ("2026-11-27 15:30", MONDAY),  # the evening's backup is proven by the book of the next session
        ("2026-11-27 23:59", MONDAY),
        ("2026-11-28 12:00", MONDAY),
    ],
)
def test_the_book_of_the_first_session_that_had_not_ended_proves_it(backed_up_at: str, provable_until: date) -> None:
    at = datetime.fromisoformat(backed_up_at).replace(tzinfo=IST)
    assert last_provable_day(NseCalendar(), at) == provable_until


def test_an_exchange_that_never_closes_leaves_a_gap_after_each_midnight() -> None:
    at = datetime(2026, 11, 27, 23, 59, tzinfo=IST)
    assert last_provable_day(AlwaysOpen(), at) == FRIDAY
