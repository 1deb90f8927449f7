"""When a START trades, and what a late trigger means."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actors.domain.errors import InvalidValue
from actors.domain.session import (
    MISSED_GRACE,
    WHOLE_DAY,
    SessionHours,
    TriggerVerdict,
    next_session_times,
    trigger_verdict,
)

IST = ZoneInfo("Asia/Kolkata")
FRIDAY = date(2026, 11, 20)
MONDAY = date(2026, 11, 23)
BUY, SELL = time(9, 30), time(15, 10)
TICK = timedelta(microseconds=1)


def weekday(day: date) -> tuple[SessionHours, ...]:
    return (WHOLE_DAY,) if day.weekday() < 5 else ()


def always(_: date) -> tuple[SessionHours, ...]:
    return (WHOLE_DAY,)


def at(day: date, wall: time) -> datetime:
    return datetime.combine(day, wall, IST)


@pytest.mark.parametrize(
    ("late", "verdict"),
    [
        (-TICK, TriggerVerdict.EARLY),
        (timedelta(0), TriggerVerdict.EXECUTE),
        (MISSED_GRACE - TICK, TriggerVerdict.EXECUTE),
        (MISSED_GRACE, TriggerVerdict.MISSED),
        (timedelta(days=1), TriggerVerdict.MISSED),
    ],
)
def test_trigger_is_executed_from_its_instant_until_just_before_the_grace_ends(
    late: timedelta, verdict: TriggerVerdict
) -> None:
    due = at(FRIDAY, BUY)
    assert trigger_verdict(due, due + late) is verdict


def test_trigger_does_not_depend_on_the_time_zone_of_the_clock() -> None:
    due = at(FRIDAY, BUY)
    assert trigger_verdict(due, (due + timedelta(seconds=1)).astimezone(UTC)) is TriggerVerdict.EXECUTE


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (at(FRIDAY, time(0)), FRIDAY),
        (at(FRIDAY, BUY), FRIDAY),
        (at(FRIDAY, BUY) + MISSED_GRACE - TICK, FRIDAY),
        (at(FRIDAY, BUY) + MISSED_GRACE, MONDAY),
        (at(FRIDAY, time(23, 59, 59)), MONDAY),
        (at(date(2026, 11, 21), time(12)), MONDAY),
        (at(date(2026, 11, 22), time(23, 59, 59)), MONDAY),
    ],
)
def test_start_trades_in_the_first_session_whose_buy_time_is_not_missed(now: datetime, day: date) -> None:
    times = next_session_times(BUY, SELL, now, IST, weekday)
    assert (times.buy_at, times.sell_at) == (at(day, BUY), at(day, SELL))


def test_holiday_is_skipped() -> None:
    times = next_session_times(BUY, SELL, at(FRIDAY, time(8)), IST, lambda day: () if day == FRIDAY else weekday(day))
    assert times.buy_at == at(MONDAY, BUY)


def test_day_is_that_of_the_exchange_not_of_the_host() -> None:
    times = next_session_times(BUY, SELL, datetime(2026, 11, 22, 19, 0, tzinfo=UTC), IST, always)
    assert times.buy_at == at(MONDAY, BUY)


def test_last_second_of_a_day_can_be_bought_on() -> None:
    late, last = time(23, 59, 58), time(23, 59, 59)
    assert next_session_times(late, last, at(FRIDAY, late), IST, always).buy_at == at(FRIDAY, late)


@pytest.mark.parametrize("sell", [BUY, time(9, 29, 59)])
def test_sell_time_must_be_after_buy_time(sell: time) -> None:
    with pytest.raises(InvalidValue, match="before"):
        next_session_times(BUY, sell, at(FRIDAY, BUY), IST, always)


def test_naive_now_is_refused() -> None:
    with pytest.raises(InvalidValue, match="timezone-aware"):
        next_session_times(BUY, SELL, datetime(2026, 11, 20, 9, 0), IST, always)  # noqa: DTZ001 - that is the point


def test_exchange_that_never_opens_is_refused() -> None:
    with pytest.raises(InvalidValue, match="no trading session"):
        next_session_times(BUY, SELL, at(FRIDAY, BUY), IST, lambda _: ())


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 1), timezones=st.just(IST)),  # noqa: DTZ001
    buy=st.times(),
    sell=st.times(),
    holidays=st.sets(st.integers(0, 20)),
)
def test_session_is_the_first_open_day_on_which_the_buy_is_not_missed(
    now: datetime, buy: time, sell: time, holidays: set[int]
) -> None:
    assume(buy < sell)
    today = now.date()

    assume(sell < time.max)

    def sessions(day: date) -> tuple[SessionHours, ...]:
        return () if (day - today).days in holidays else weekday(day)

    times = next_session_times(buy, sell, now.astimezone(UTC), IST, sessions)
    day = times.buy_at.astimezone(IST).date()
    assert sessions(day)
    assert times.buy_at < times.sell_at
    assert (times.buy_at.time(), times.sell_at.time()) == (buy, sell)
    assert now < times.buy_at + MISSED_GRACE
    earlier = [today + timedelta(days=n) for n in range((day - today).days)]
    assert all(not sessions(d) or now >= at(d, buy) + MISSED_GRACE for d in earlier)


EVENING = SessionHours(time(18, 0), time(19, 15))
HALF_DAY = SessionHours(time(9, 15), time(12, 30))


@pytest.mark.parametrize(
    ("buy", "sell", "held"),
    [
        (time(18, 0), time(19, 14, 59), True),
        (time(17, 59, 59), time(19, 0), False),
        (time(18, 0), time(19, 15), False),
        (time(9, 30), time(15, 10), False),
    ],
)
def test_session_holds_times_from_its_opening_until_just_before_its_close(buy: time, sell: time, held: bool) -> None:
    assert EVENING.hold(buy, sell) is held


@pytest.mark.parametrize(
    ("opens", "closes"), [(time(9), time(9)), (time(10), time(9)), (time(9, tzinfo=UTC), time(10))]
)
def test_hours_that_are_none_are_refused(opens: time, closes: time) -> None:
    with pytest.raises(InvalidValue):
        SessionHours(opens, closes)


def test_sessions_that_do_not_hold_the_times_are_passed_over() -> None:
    ordinary = SessionHours(time(9, 15), time(15, 30))
    days = {FRIDAY: (HALF_DAY,), MONDAY: (EVENING,), date(2026, 11, 24): (ordinary,)}

    def sessions(day: date) -> tuple[SessionHours, ...]:
        return days.get(day, ())

    times = next_session_times(BUY, SELL, at(FRIDAY, time(8)), IST, sessions)
    assert times.buy_at == at(date(2026, 11, 24), BUY)
    assert next_session_times(time(18, 5), time(19), at(FRIDAY, BUY), IST, sessions).buy_at == at(MONDAY, time(18, 5))
    with pytest.raises(InvalidValue, match="no trading session"):
        next_session_times(time(8), time(9), at(FRIDAY, time(7)), IST, sessions)
