"""The cut-offs that an operator writes for a special session, and which times of a strategy they leave."""

from collections.abc import Callable
from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.market_hours import AUCTION_FROM
from actors.domain.session import SessionHours
from broker.exchange_time import IST
from broker.market.allowed_times import SessionRules, TimesRefused
from broker.market.overrides import parse_overrides
from broker.market.trading_calendar import REGULAR_HOURS, TradingCalendar

SATURDAY = date(2026, 12, 5)
CUTOFF = time(15, 20)
EVE = datetime(2026, 12, 4, 20, 0, tzinfo=IST)
WRITTEN = parse_overrides(
    '2026-12-05 = [{hours = "09:15-10:00", square_off = "09:50", last_entry = "09:40"}, "11:45-12:40"]'
)
MINUTES = st.integers(0, 1439).map(lambda minute: time(minute // 60, minute % 60))


class Days(TradingCalendar):
    """Sessions by a rule."""

    def __init__(self, sessions: Callable[[date], tuple[SessionHours, ...]]) -> None:
        self.of = sessions

    @property
    def regular(self) -> SessionHours | None:
        return REGULAR_HOURS

    def sessions(self, day: date) -> tuple[SessionHours, ...]:
        return self.of(day)


def on_saturday(buy: time, sell: time, *, mis: bool) -> bool:
    rules = SessionRules(Days(lambda day: WRITTEN.get(day, ())), False, CUTOFF if mis else None)
    try:
        return rules.session_times(buy, sell, EVE, IST).buy_at.date() == SATURDAY
    except TimesRefused:
        return False


@pytest.mark.parametrize(
    ("buy", "sell", "mis", "taken"),
    [
        (time(9, 20), time(9, 49), True, True),
        (time(9, 20), time(9, 50), True, False),
        (time(9, 20), time(9, 50), False, True),
        (time(9, 39, 59), time(9, 49), True, True),
        (time(9, 40), time(9, 49), True, False),
        (time(9, 40), time(9, 59), False, False),
        (time(11, 45), time(12, 39), True, True),
        (time(9, 20), time(12, 0), False, False),
    ],
)
def test_a_strategy_must_fit_between_the_cutoffs_of_one_session(buy: time, sell: time, mis: bool, taken: bool) -> None:
    assert on_saturday(buy, sell, mis=mis) is taken


@given(st.tuples(MINUTES, MINUTES).filter(lambda pair: pair[0] < pair[1]), st.booleans(), st.booleans())
def test_a_session_without_cutoffs_is_narrowed_as_it_always_was(
    pair: tuple[time, time], derivatives: bool, mis: bool
) -> None:
    session = SessionHours(*pair)
    rules = SessionRules(Days(lambda _day: (session,)), derivatives, CUTOFF if mis else None)
    ends = [session.closes, *([AUCTION_FROM] if derivatives else []), *([CUTOFF] if mis else [])]
    expected = SessionHours(session.opens, min(end for end in ends if end > session.opens))
    assert rules.sessions(SATURDAY) == (expected,)
