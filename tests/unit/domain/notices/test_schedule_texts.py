"""Row N4: what a trader reads about schedules."""

from datetime import datetime, timedelta

from actors.domain.notices import schedule_texts
from broker.exchange_time import IST

AT = datetime(2026, 11, 23, 9, 20, tzinfo=IST)
SHARES = "INFY (strategy 7)"


def test_what_waits_says_why_and_until_when_it_is_tried() -> None:
    assert schedule_texts.not_armed(SHARES, AT, "token expired, please refresh", AT - timedelta(seconds=5)) == (
        "INFY (strategy 7) is not armed for 2026-11-23 09:20:00. Token expired, please refresh. "
        "It is tried again until 09:19:55."
    )
    assert schedule_texts.armed_now(SHARES, AT) == "INFY (strategy 7) is armed for 2026-11-23 09:20:00 now."


def test_a_missed_day_says_that_nothing_was_bought() -> None:
    assert schedule_texts.missed(SHARES, AT, "No process of TradeActors was at work at that time") == (
        "Missed: INFY (strategy 7) was not started for 2026-11-23 09:20:00. "
        "No process of TradeActors was at work at that time. Nothing was bought."
    )
    assert schedule_texts.missed(SHARES, AT, "") == (
        "Missed: INFY (strategy 7) was not started for 2026-11-23 09:20:00. Nothing was bought."
    )


def test_a_day_that_is_left_out_and_a_schedule_that_pauses_itself_say_so() -> None:
    assert schedule_texts.left_out(SHARES, AT.date(), "the exchange does not open on this day") == (
        "INFY (strategy 7) does not trade on Monday, 2026-11-23: the exchange does not open on this day."
    )
    assert "its schedule is as it was then" in schedule_texts.restored(SHARES)
    assert "its schedule is paused, since 3 days in a row" in schedule_texts.paused_itself(SHARES, 3)
