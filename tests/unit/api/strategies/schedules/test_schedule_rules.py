"""Row N4: on which days a schedule trades, from when to when it is armed, and which days have passed without it."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.session import SessionHours
from api.strategies.schedules.schedule_rules import (
    LOOK_EVERY,
    RETRY_EVERY,
    Plan,
    coming_days,
    day_of,
    days_at_hand,
    is_streak,
    next_look,
    to_bits,
    to_names,
)
from broker.exchange_time import IST
from broker.market.allowed_times import SessionRules
from broker.market.overrides import Sessions
from broker.market.trading_calendar import REGULAR_HOURS, AlwaysOpen, TradingCalendar

MON, TUE, WED, THU, FRI, SAT, SUN = (date(2026, 11, 23) + timedelta(days=n) for n in range(7))
CALLED_OFF = MON + timedelta(days=8)
HALF_DAY = SessionHours(time(9, 15), time(12, 30))
EVENING = SessionHours(time(18), time(19, 15))


class Exchange(TradingCalendar):
    """Open on weekdays; Wednesday is a holiday, Thursday half a day, and on Saturday there is an evening session.

    `CALLED_OFF` was to be a session.
    """

    regular = REGULAR_HOURS

    def sessions(self, day: date) -> Sessions:
        special: dict[date, Sessions] = {WED: (), THU: (HALF_DAY,), SAT: (EVENING,), CALLED_OFF: ()}
        return special.get(day, (REGULAR_HOURS,) if day.weekday() < 5 else ())

    def is_called_off(self, day: date) -> bool:
        return day == CALLED_OFF


def at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, IST)


PLAN = Plan(
    buy_time=time(9, 20),
    sell_time=time(15, 10),
    days=127,
    special_sessions=False,
    from_date=MON,
    until_date=None,
    skip=frozenset(),
    in_percent=True,
    active_since=at(MON, time(0)),
    looked_at=at(MON, time(0)),
    rules=SessionRules(Exchange(), has_derivatives=False, mis_cutoff=time(15, 20)),
    zone=IST,
)
WITH_SPECIAL = replace(PLAN, special_sessions=True)
IN_THE_EVENING = replace(WITH_SPECIAL, buy_time=time(18, 5), sell_time=time(19))
BEFORE_NOON = replace(WITH_SPECIAL, sell_time=time(12))


@pytest.mark.parametrize(
    ("plan", "day", "skipped"),
    [
        (PLAN, MON, ""),
        (PLAN, WED, None),
        (PLAN, SUN, None),
        (PLAN, CALLED_OFF, "no_session"),
        (WITH_SPECIAL, CALLED_OFF, "no_session"),
        (replace(PLAN, skip=frozenset({CALLED_OFF})), CALLED_OFF, "skipped_by_user"),
        (replace(PLAN, days=to_bits(["mon"])), CALLED_OFF, None),
        (PLAN, THU, "special_session"),
        (PLAN, SAT, "special_session"),
        (WITH_SPECIAL, THU, "hours"),
        (BEFORE_NOON, THU, ""),
        (IN_THE_EVENING, SAT, ""),
        (IN_THE_EVENING, MON, "hours"),
        (replace(PLAN, days=to_bits(["mon"])), TUE, None),
        (replace(IN_THE_EVENING, days=to_bits(["mon"])), SAT, None),
        (replace(PLAN, from_date=TUE), MON, None),
        (replace(PLAN, until_date=MON), TUE, None),
        (replace(PLAN, skip=frozenset({MON})), MON, "skipped_by_user"),
        (replace(PLAN, in_percent=False), MON, "schedule_needs_percent"),
    ],
)
def test_what_a_schedule_does_on_a_day(plan: Plan, day: date, skipped: str | None) -> None:
    found = day_of(plan, day)
    assert (None if found is None else found.skipped) == skipped


def test_a_day_is_armed_from_half_past_eight_and_ten_until_five_seconds_before_the_buy() -> None:
    monday = day_of(PLAN, MON)
    assert monday is not None
    assert (monday.arms_from, monday.ends_at) == (at(MON, time(8, 40)), at(MON, time(9, 19, 55)))
    night = replace(
        PLAN, buy_time=time(0, 10), rules=SessionRules(AlwaysOpen(), has_derivatives=False, mis_cutoff=None)
    )
    tuesday = day_of(night, TUE)
    assert tuesday is not None
    assert tuesday.arms_from == at(MON, time(23, 40))
    assert [day.day for day in days_at_hand(replace(night, active_since=at(MON, time(12))), at(MON, time(23, 50)))] == [
        TUE
    ]


def test_days_that_passed_are_at_hand_until_they_are_dealt_with_and_those_of_before_are_not() -> None:
    assert days_at_hand(PLAN, at(MON, time(8, 39, 59))) == []
    assert [day.day for day in days_at_hand(PLAN, at(FRI, time(10)))] == [MON, TUE, THU, FRI]
    resumed = replace(PLAN, active_since=at(TUE, time(9, 20)))
    assert [day.day for day in days_at_hand(resumed, at(FRI, time(10)))] == [THU, FRI]


def test_the_coming_days_leave_out_holidays_and_what_cannot_be_started_any_more() -> None:
    days = coming_days(PLAN, at(MON, time(9, 19, 55)))
    assert [next(days).day for _ in range(3)] == [TUE, FRI, MON + timedelta(days=7)]


def test_a_waiting_day_is_tried_again_and_looked_at_when_its_time_is_over() -> None:
    monday = day_of(PLAN, MON)
    assert monday is not None
    early, late = at(MON, time(9)), at(MON, time(9, 19, 50))
    assert next_look([monday], None, early) == early + RETRY_EVERY
    assert next_look([monday], None, late) == monday.ends_at
    assert next_look([monday], None, at(MON, time(9, 19, 30))) == at(MON, time(9, 19, 50)), "one more try"
    assert next_look([], monday, at(MON, time(8, 38))) == monday.arms_from
    assert next_look([], monday, at(MON, time(8))) == at(MON, time(8)) + LOOK_EVERY


@given(st.datetimes(at(MON, time(0)).replace(tzinfo=None), at(SUN, time(0)).replace(tzinfo=None)), st.integers(1, 127))
def test_a_schedule_is_looked_at_again_later_and_soon(moment: datetime, days: int) -> None:
    plan, now = replace(PLAN, days=days), moment.replace(tzinfo=IST)
    coming = next(coming_days(plan, now), None)
    again = next_look(days_at_hand(plan, now), coming, now)
    assert now < again <= now + LOOK_EVERY
    if coming is not None and now < coming.arms_from:
        assert again <= max(coming.arms_from, now + timedelta(seconds=1))


@given(st.integers(1, 127))
def test_names_and_bits_of_days_are_inverse(days: int) -> None:
    assert to_bits(to_names(days)) == days


@pytest.mark.parametrize(
    ("bad", "streak"),
    [([True] * 3, True), ([True] * 2, False), ([True, True, False, True], False), ([], False), ([True] * 4, True)],
)
def test_three_bad_days_in_a_row_are_a_streak(bad: list[bool], streak: bool) -> None:
    assert is_streak(bad) is streak


def test_times_that_are_changed_later_make_no_day_of_the_past() -> None:
    looked = replace(PLAN, looked_at=at(TUE, time(8)), buy_time=time(13))
    assert days_at_hand(looked, at(TUE, time(8, 30))) == []
    assert [day.day for day in days_at_hand(replace(looked, looked_at=at(MON, time(8))), at(TUE, time(8, 30)))] == [MON]


def test_after_a_restore_nothing_is_started_on_a_day_that_had_begun() -> None:
    restored = replace(PLAN, restored_at=at(TUE, time(8, 50)))
    skipped = {day: found.skipped for day in (MON, TUE, FRI) if (found := day_of(restored, day))}
    assert skipped == {MON: "restored", TUE: "restored", FRI: ""}
    early = day_of(replace(PLAN, restored_at=at(TUE, time(8, 39))), TUE)
    assert early is not None
    assert early.skipped == ""


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/London", "Pacific/Auckland"])
@given(moment=st.datetimes(datetime(2026, 10, 20), datetime(2026, 11, 27)))  # noqa: DTZ001 - of India
def test_the_clock_of_the_machine_may_be_of_any_zone_and_change_with_the_season(zone: str, moment: datetime) -> None:
    october = replace(PLAN, active_since=at(date(2026, 10, 19), time(0)), looked_at=at(date(2026, 10, 19), time(0)))
    here, there = moment.replace(tzinfo=IST), moment.replace(tzinfo=IST).astimezone(ZoneInfo(zone))
    assert days_at_hand(october, here) == days_at_hand(october, there)
    assert next(coming_days(october, here), None) == next(coming_days(october, there), None)
    assert next_look([], next(coming_days(october, here), None), here) == next_look(
        [], next(coming_days(october, there), None), there
    )


def test_a_sunday_has_nothing_at_hand_and_monday_comes_next() -> None:
    plan = replace(PLAN, active_since=at(SUN, time(0)), looked_at=at(SUN, time(0)))
    assert days_at_hand(plan, at(SUN, time(12))) == []
    assert next(coming_days(plan, at(SUN, time(12)))).day == SUN + timedelta(days=1)
    assert list(coming_days(replace(plan, days=to_bits(["sun"])), at(SUN, time(12)))) == []
