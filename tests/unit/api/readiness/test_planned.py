"""Where today's trades come from: runs, and schedules that have not started theirs (rows N3, N4)."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest

from api.readiness.findings import Said
from api.readiness.planned import PlannedTrade, all_waiting, day_around, to_be_started
from broker.exchange_time import IST
from broker.market.trading_calendar import AlwaysOpen
from config.settings import Settings
from persistence.database.models.strategies import Strategy
from persistence.database.models.trading_day.schedules import Schedule
from persistence.database.readiness import Scheduled, Waiting

NOW = datetime(2026, 11, 30, 8, 45, tzinfo=IST)
BUY = NOW.replace(hour=9, minute=20)
SETTINGS = Settings(_env_file=None)
STRATEGY = Strategy(
    id=1, user_id=1, exchange="NSE", tradingsymbol="INFY", product="MIS", buy_time=time(9, 20), sell_time=time(15),
    stop_loss_paise=0, stop_share=200, quantity=1,
)  # fmt: skip


def user(number: int, *buys: datetime) -> Waiting:
    return Waiting(number, buys, "paper", None, None, None)


def scheduled(**changes: Any) -> Scheduled:
    since = NOW - timedelta(days=1)
    schedule = Schedule(
        strategy_id=1, user_id=1, days=127, from_date=since.date(), skip_dates=[], active_since=since, looked_at=since,
        next_look_at=NOW, **changes.pop("schedule", {}),
    )  # fmt: skip
    facts = {"open_buy_at": None, "code": "", "reason": "", "user": user(1)} | changes
    return Scheduled(schedule=schedule, strategy=STRATEGY, **facts)


def planned(row: Scheduled) -> list[PlannedTrade]:
    return to_be_started([row], AlwaysOpen(), SETTINGS, NOW)


def test_a_schedule_is_a_trade_that_has_not_started() -> None:
    (trade,) = planned(scheduled())
    assert (trade.buy_at, trade.started, trade.refusal) == (BUY, False, None)


def test_a_schedule_that_is_paused_is_none() -> None:
    assert planned(scheduled(schedule={"state": "paused", "pause_reason": "by_user"})) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"open_buy_at": BUY - timedelta(days=3)}, "still_running"),
        ({"open_buy_at": BUY + timedelta(days=1)}, "hours"),
        ({"open_buy_at": BUY}, None),
        ({"code": "engine_full", "reason": "All 100 places are taken"}, "engine_full"),
        ({"code": "too_many_running", "reason": "25 strategies run already"}, None),  # the judge counts them by itself
        ({"code": "broker_token_expired", "reason": "Log in again"}, None),
    ],
)
def test_what_no_check_finds_out_is_said_with_the_trade(changes: dict[str, Any], code: str | None) -> None:
    (trade,) = planned(scheduled(**changes))
    assert (None if trade.refusal is None else trade.refusal.code) == code


def test_its_sentence_can_stand_alone() -> None:
    (trade,) = planned(scheduled(open_buy_at=BUY - timedelta(days=3)))
    assert trade.refusal == Said("still_running", "Its run of an earlier day is still open")


def test_users_of_runs_and_of_schedules_are_looked_at_once_each() -> None:
    (trade,) = planned(scheduled())
    later = BUY + timedelta(hours=1)
    found = all_waiting([user(1, BUY, later), user(2, later)], [(user(1), trade), (user(3), trade), (user(3), trade)])
    assert found == [user(1, BUY, later), user(2, later), user(3, BUY)]


def test_the_day_is_that_of_the_exchange() -> None:
    begins, ends = day_around(datetime.fromisoformat("2026-11-29T23:00:00+00:00"), IST)
    assert (begins.isoformat(), ends - begins) == ("2026-11-30T00:00:00+05:30", timedelta(days=1))
