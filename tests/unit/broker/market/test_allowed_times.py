"""Between which times of day a strategy may trade, at every boundary."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actors.domain.market_hours import AUCTION_FROM
from actors.domain.session import SessionHours
from broker.exchange_time import IST
from broker.market.allowed_times import SessionRules, TimesRefused
from broker.market.overrides import Overrides, Sessions
from broker.market.trading_calendar import REGULAR_HOURS, AlwaysOpen, TradingCalendar

MONDAY = date(2026, 11, 23)
SATURDAY, SUNDAY = date(2026, 11, 28), date(2026, 11, 29)
NOW = datetime(2026, 11, 23, 7, 0, tzinfo=IST)
CUTOFF = time(15, 20)
EVENING = (SessionHours(time(18, 0), time(19, 15)),)
SPECIAL = (SessionHours(time(9, 15), time(10)), SessionHours(time(11, 45), time(12, 40)))
FRIDAY_EVENING = datetime(2026, 11, 27, 20, 0, tzinfo=IST)
SECONDS = st.integers(0, 86_399).map(lambda s: time(s // 3600, s // 60 % 60, s % 60))


class Weekdays(TradingCalendar):
    """Ordinary sessions from Monday to Friday, and special ones."""

    def __init__(self, special: Overrides | None = None) -> None:
        self._special = special or {}

    @property
    def regular(self) -> SessionHours | None:
        return REGULAR_HOURS

    def sessions(self, day: date) -> Sessions:
        return self._special.get(day, (REGULAR_HOURS,) if day.weekday() < 5 else ())


def rules(
    calendar: TradingCalendar | None = None, *, derivatives: bool = False, mis: bool = False, cutoff: time = CUTOFF
) -> SessionRules:
    return SessionRules(calendar or Weekdays(), derivatives, cutoff if mis else None)


def refused(checked: SessionRules, buy: time, sell: time) -> tuple[str, str] | None:
    try:
        checked.session_times(buy, sell, NOW, IST)
    except TimesRefused as refusal:
        return refusal.field, refusal.message
    return None


BUY, SELL = time(9, 30), time(15, 10)
OPENS = ("buy_time", "must be 09:15 or later, when the session opens")
CLOSES = ("sell_time", "must be before 15:30, when the session closes")
AUCTION = ("sell_time", "must be before 15:15, when continuous trading in shares with derivatives ends")
SQUARE_OFF = ("sell_time", "must be before 15:20, when the broker squares MIS positions off")


@pytest.mark.parametrize(
    ("kind", "buy", "sell", "refusal"),
    [
        ({}, time(9, 14, 59), SELL, OPENS),
        ({}, time(9, 15), SELL, None),
        ({}, BUY, time(15, 29, 59), None),
        ({}, BUY, time(15, 30), CLOSES),
        ({}, time(16, 0), time(16, 30), CLOSES),
        ({"derivatives": True}, BUY, time(15, 14, 59), None),
        ({"derivatives": True}, BUY, time(15, 15), AUCTION),
        ({"mis": True}, BUY, time(15, 19, 59), None),
        ({"mis": True}, BUY, time(15, 20), SQUARE_OFF),
        ({"mis": True, "derivatives": True}, BUY, time(15, 15), AUCTION),
        ({"mis": True, "cutoff": time(15, 10, 30)}, BUY, time(15, 10, 29), None),
        ({}, BUY, BUY, ("sell_time", "must be after buy_time")),
        ({}, time(8), time(8), ("sell_time", "must be after buy_time")),
    ],
)
def test_times_at_the_boundaries_of_the_ordinary_session(
    kind: dict[str, object], buy: time, sell: time, refusal: tuple[str, str] | None
) -> None:
    assert refused(rules(**kind), buy, sell) == refusal  # type: ignore[arg-type] # the keywords of the table


def test_the_message_tells_the_cutoff_that_is_set() -> None:
    field, message = refused(rules(mis=True, cutoff=time(15, 10, 30)), BUY, time(15, 12)) or ("", "")
    assert (field, message.split(",")[0]) == ("sell_time", "must be before 15:10:30")


def test_nothing_of_this_holds_for_an_exchange_that_never_closes() -> None:
    always = rules(AlwaysOpen(), derivatives=True, mis=True)
    assert refused(always, time(0), time(23, 59, 59)) is None
    assert refused(always, BUY, time(9, 0)) == ("sell_time", "must be after buy_time")


@given(buy=SECONDS, sell=SECONDS, derivatives=st.booleans(), mis=st.booleans())
def test_times_are_taken_exactly_if_an_ordinary_session_holds_them(
    buy: time, sell: time, derivatives: bool, mis: bool
) -> None:
    ends = [REGULAR_HOURS.closes, *([AUCTION_FROM] if derivatives else []), *([CUTOFF] if mis else [])]
    held = REGULAR_HOURS.opens <= buy < sell < min(ends)
    refusal = refused(rules(derivatives=derivatives, mis=mis), buy, sell)
    assert (refusal is None) is held
    if refusal:
        assert refusal[0] in {"buy_time", "sell_time"}


@given(buy=SECONDS, sell=SECONDS, now=st.datetimes(datetime(2026, 11, 1), datetime(2026, 12, 31)))  # noqa: DTZ001
def test_the_session_that_is_armed_always_holds_the_times(buy: time, sell: time, now: datetime) -> None:
    assume(buy < sell)
    checked = rules(Weekdays({SUNDAY: EVENING, MONDAY: ()}), derivatives=True, mis=True)
    try:
        times = checked.session_times(buy, sell, now.replace(tzinfo=UTC), IST)
    except TimesRefused:
        return
    assert any(session.hold(buy, sell) for session in checked.sessions(times.buy_at.date()))
    assert times.buy_at > now.replace(tzinfo=UTC) - timedelta(seconds=5)


def test_an_evening_session_takes_its_own_times_whatever_the_product() -> None:
    evening = rules(Weekdays({SUNDAY: EVENING}), derivatives=True, mis=True)
    times = evening.session_times(time(18, 5), time(19, 14, 59), NOW, IST)
    assert times.buy_at == datetime(2026, 11, 29, 18, 5, tzinfo=IST)
    assert refused(evening, time(18, 5), time(19, 15)) == AUCTION
    assert refused(rules(), time(18, 5), time(19, 0)) == CLOSES


def test_a_special_session_too_far_away_does_not_count() -> None:
    near, far = NOW.date() + timedelta(days=29), NOW.date() + timedelta(days=30)
    assert refused(rules(Weekdays({near: EVENING})), time(18, 5), time(19)) is None
    assert refused(rules(Weekdays({far: EVENING})), time(18, 5), time(19)) == CLOSES


def test_the_closing_rules_hold_on_a_saturday_with_ordinary_hours_too() -> None:
    saturday = rules(Weekdays({SATURDAY: (REGULAR_HOURS,)}), derivatives=True)
    (session,) = saturday.sessions(SATURDAY)
    assert session.closes == AUCTION_FROM


def test_each_of_two_sessions_of_a_day_takes_times_of_its_own_and_none_across_the_break() -> None:
    double = rules(Weekdays({SATURDAY: SPECIAL}), derivatives=True, mis=True)
    assert double.session_times(time(9, 20), time(9, 50), NOW, IST).buy_at.date() == MONDAY
    assert double.session_times(time(11, 45), time(12, 39), FRIDAY_EVENING, IST).buy_at.date() == SATURDAY
    assert double.session_times(time(9, 15), time(9, 59), FRIDAY_EVENING, IST).buy_at.date() == SATURDAY
    assert double.session_times(time(9, 20), time(12, 0), FRIDAY_EVENING, IST).buy_at.date() > SUNDAY


def test_a_half_day_is_passed_over_by_times_that_it_does_not_hold() -> None:
    half = rules(Weekdays({MONDAY: (SessionHours(time(9, 15), time(12, 30)),)}))
    assert half.session_times(BUY, time(12), NOW, IST).buy_at.date() == MONDAY
    assert half.session_times(BUY, SELL, NOW, IST).buy_at.date() == MONDAY + timedelta(days=1)


def test_a_month_without_any_session_is_no_fault_of_the_times() -> None:
    closed: Overrides = {NOW.date() + timedelta(days=n): () for n in range(31)}
    assert refused(rules(Weekdays(closed)), BUY, SELL) == (
        "buy_time",
        "is in no trading session of the coming 30 days",
    )
