"""Quiet hours, on the clock of the exchange (row N1)."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.errors import InvalidValue
from actors.domain.notices.notice import AT_RISK, NoticeKind
from actors.domain.notices.quiet_hours import QuietHours, send_at

IST = ZoneInfo("Asia/Kolkata")
NIGHT = QuietHours(time(20, 0), time(7, 30))


def ist(day: int, clock: str) -> datetime:
    return datetime.combine(datetime(2026, 11, day, tzinfo=IST).date(), time.fromisoformat(clock), IST)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (ist(23, "19:59:59"), None),
        (ist(23, "20:00"), ist(24, "07:30")),
        (ist(23, "23:59"), ist(24, "07:30")),
        (ist(24, "00:00"), ist(24, "07:30")),
        (ist(24, "07:30"), None),
        (ist(23, "21:00").astimezone(UTC), ist(24, "07:30")),
    ],
)
def test_a_night_ends_in_the_morning(now: datetime, until: datetime | None) -> None:
    assert NIGHT.over_at(now, IST) == until


def test_hours_of_one_day_end_on_that_day() -> None:
    lunch = QuietHours(time(12, 0), time(13, 0))
    assert lunch.over_at(ist(23, "12:30"), IST) == ist(23, "13:00")
    assert lunch.over_at(ist(23, "13:00"), IST) is None


@given(st.sampled_from(sorted(NoticeKind)), st.datetimes(timezones=st.just(UTC)), st.times(), st.times())
def test_only_what_is_no_risk_waits_and_never_longer_than_a_day(
    kind: NoticeKind, now: datetime, begins: time, ends: time
) -> None:
    if begins == ends or now.year in {1, 9999}:
        return
    at = send_at(kind, now, QuietHours(begins, ends), IST)
    assert at >= now
    assert (at - now).total_seconds() <= 24 * 3600
    assert at == now or kind not in AT_RISK


def test_without_quiet_hours_nothing_waits() -> None:
    assert send_at(NoticeKind.DAY_SUMMARY, ist(23, "23:00"), None, IST) == ist(23, "23:00")


def test_quiet_hours_have_a_length() -> None:
    with pytest.raises(InvalidValue):
        QuietHours(time(7), time(7))
