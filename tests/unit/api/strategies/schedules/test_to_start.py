"""Row N4: what a schedule has still to start today."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from api.strategies.schedules.to_start import is_paused, to_start_today
from broker.exchange_time import IST
from broker.market.overrides import Sessions
from broker.market.trading_calendar import REGULAR_HOURS, TradingCalendar
from config.settings import Settings
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.schedules import Schedule

MON, TUE, WED = (date(2026, 11, 23) + timedelta(days=n) for n in range(3))
EIGHT = datetime.combine(MON, time(8), IST)


class Exchange(TradingCalendar):
    """Open on weekdays; Wednesday is a holiday."""

    regular = REGULAR_HOURS

    def sessions(self, day: date) -> Sessions:
        return (REGULAR_HOURS,) if day.weekday() < 5 and day != WED else ()


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(_env_file=None)


def schedule(**changes: Any) -> Schedule:
    facts: dict[str, Any] = {
        "strategy_id": 1,
        "user_id": 1,
        "days": 127,
        "from_date": MON,
        "skip_dates": [],
        "active_since": EIGHT - timedelta(days=1),
        "looked_at": EIGHT - timedelta(days=1),
        "next_look_at": EIGHT,
    }
    return Schedule(**facts | changes)


def strategy(**changes: Any) -> Strategy:
    facts: dict[str, Any] = {
        "id": 1,
        "user_id": 1,
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "product": "MIS",
        "buy_time": time(9, 20),
        "sell_time": time(15, 10),
        "stop_loss_paise": 0,
        "stop_share": 200,
        "quantity": 1,
    }
    return Strategy(**facts | changes)


def test_a_day_that_is_still_to_come_is_to_be_started_at_the_times_of_the_strategy(settings: Settings) -> None:
    day = to_start_today(Exchange(), settings, schedule(), strategy(), EIGHT)
    assert day is not None
    assert (day.buy_at, day.sell_at) == (EIGHT.replace(hour=9, minute=20), EIGHT.replace(hour=15, minute=10))


@pytest.mark.parametrize(
    "changes",
    [
        {"skip_dates": [MON]},
        {"days": 0b10},
        {"from_date": TUE},
        {"from_date": MON - timedelta(days=7), "until_date": MON - timedelta(days=1)},
        {"state": "ended"},
        {"state": "paused"},
        {"state": "paused", "paused_until": TUE},
        {"active_since": EIGHT.replace(hour=9, minute=20)},
        {"restored_at": EIGHT.replace(hour=8, minute=50)},
    ],
)
def test_what_is_skipped_paused_or_not_of_this_day_is_not_to_be_started(
    settings: Settings, changes: dict[str, Any]
) -> None:
    assert to_start_today(Exchange(), settings, schedule(**changes), strategy(), EIGHT) is None


def test_a_holiday_and_a_sunday_are_not_to_be_started(settings: Settings) -> None:
    for days in (2, 6):
        assert to_start_today(Exchange(), settings, schedule(), strategy(), EIGHT + timedelta(days=days)) is None


@pytest.mark.parametrize("changes", [{"sell_time": time(15, 45)}, {"stop_share": None, "stop_loss_paise": 100}])
def test_what_arming_would_leave_out_is_not_to_be_started(settings: Settings, changes: dict[str, Any]) -> None:
    assert to_start_today(Exchange(), settings, schedule(), strategy(**changes), EIGHT) is None


def test_it_is_to_be_started_until_its_last_try(settings: Settings) -> None:
    last = EIGHT.replace(hour=9, minute=19, second=55)
    assert to_start_today(Exchange(), settings, schedule(), strategy(), last - timedelta(seconds=1)) is not None
    assert to_start_today(Exchange(), settings, schedule(), strategy(), last) is None


@pytest.mark.parametrize("until", [MON, MON - timedelta(days=3)])
def test_a_pause_that_is_over_is_none_also_before_arming_has_ended_it(settings: Settings, until: date) -> None:
    over = schedule(state="paused", pause_reason="by_user", paused_until=until)
    assert not is_paused(over, MON)
    assert to_start_today(Exchange(), settings, over, strategy(), EIGHT) is not None
