"""What a user is notified of when something has changed, and what is not said twice (row N3)."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from actors.domain.notices.notice import NoticeKind
from api.readiness.checks import find
from api.readiness.findings import Facts, Findings, Login, Said, Verdict
from api.readiness.news import News, Told, news
from tests.unit.api.readiness.test_checks import FACTS, INFY, NOW, SESSION, TCS

LINK = "https://api.example/broker/login?code=abc"
STALE = Said("stop_loss", "The stop-loss must be below the market price 1480.00", "stop_loss")
READY = find(FACTS)
LOGGED_OUT = find(replace(FACTS, login=Login.ENDED))
UNKNOWN = find(replace(FACTS, login=Login.UNCHECKED, free=None))
ONE_STALE = find(replace(FACTS, trades=(INFY, replace(TCS, refusals=(STALE,)))))
FRESH = Told(NOW.date())
BEFORE_BUY = INFY.buy_at - timedelta(minutes=10)


def tell(findings: Findings, told: Told = FRESH, now: datetime = NOW, *, aloud: bool = True) -> News:
    return news(findings, told, now, opens=SESSION.opens, aloud=aloud, link=LINK)


def said(fresh: News) -> list[tuple[str, str]]:
    """Kinds and texts; a condition that ends has the kind `over`."""
    return [(notice.kind, notice.text) for notice in fresh.notices] + [("over", over.text) for over in fresh.over]


def test_all_well_is_one_silent_line_in_the_morning() -> None:
    fresh = tell(READY)
    assert said(fresh) == [(NoticeKind.READINESS, "All well: INFY 09:20 and TCS 09:30 will trade today.")]
    assert said(tell(READY, fresh.told)) == []
    assert said(tell(READY, now=SESSION.opens)) == [], "after the opening START has said it"


def test_a_missing_login_is_said_with_a_link_and_its_end_too() -> None:
    fresh = tell(LOGGED_OUT)
    text = "Will NOT trade today: INFY 09:20 and TCS 09:30. Your login at the broker has ended: log in again. "
    assert said(fresh) == [(NoticeKind.LOGIN_NEEDED, f"{text}Log in here: {LINK}")]
    assert fresh.notices[0].condition is not None
    assert said(tell(LOGGED_OUT, fresh.told)) == []
    again = tell(READY, fresh.told)
    assert said(again) == [("over", "Ready: INFY 09:20 and TCS 09:30 will trade today.")]
    assert again.over[0].condition == fresh.notices[0].condition
    third = tell(LOGGED_OUT, again.told)
    assert third.notices[0].key != fresh.notices[0].key
    assert third.notices[0].condition != fresh.notices[0].condition


def test_one_that_will_not_trade_is_named_alone() -> None:
    fresh = tell(ONE_STALE)
    (notice,) = fresh.notices
    assert (notice.kind, notice.strategy_id) == (NoticeKind.WILL_NOT_TRADE, 2)
    assert notice.text.startswith(
        "Will NOT trade today: TCS 09:30. The stop-loss must be below the market price 1480.00."
    )


def test_ten_minutes_before_it_is_said_aloud_and_once() -> None:
    morning = tell(LOGGED_OUT)
    assert said(tell(LOGGED_OUT, morning.told, BEFORE_BUY - timedelta(seconds=1))) == []
    late = tell(LOGGED_OUT, morning.told, BEFORE_BUY)
    (notice,) = late.notices
    assert notice.kind is NoticeKind.WILL_NOT_TRADE
    assert notice.text.startswith("Will NOT trade today: INFY 09:20.")
    assert said(tell(LOGGED_OUT, late.told, BEFORE_BUY + timedelta(minutes=5))) == []
    second = tell(LOGGED_OUT, late.told, TCS.buy_at - timedelta(minutes=10))
    assert [text[:37] for _, text in said(second)] == ["Will NOT trade today: TCS 09:30. Your"]
    logged_in = tell(READY, second.told, TCS.buy_at - timedelta(minutes=9))
    assert [text for _, text in said(logged_in) if text] == ["Ready: INFY 09:20 and TCS 09:30 will trade today."]
    assert {over.condition for over in logged_in.over} >= {notice.condition, morning.notices[0].condition}
    assert logged_in.told.late == {}


def test_what_is_said_aloud_first_is_not_said_softly_as_well() -> None:
    late = tell(find(replace(FACTS, login=Login.ENDED, trades=(INFY,))), now=BEFORE_BUY)
    assert [kind for kind, _ in said(late)] == [NoticeKind.WILL_NOT_TRADE]
    assert said(tell(find(replace(FACTS, trades=(INFY,))), late.told, BEFORE_BUY)) == [
        ("over", "INFY 09:20 will trade today after all.")
    ]


def test_a_buy_whose_time_has_come_is_not_said_to_fail() -> None:
    told = replace(FRESH, verdict=Verdict.BLOCKED)
    only = find(replace(FACTS, login=Login.ENDED, trades=(INFY,)))
    assert said(tell(only, told, INFY.buy_at)) == []


def test_what_could_not_be_checked_is_said_as_such() -> None:
    (text,) = [text for _, text in said(tell(UNKNOWN))]
    assert text == "INFY 09:20 and TCS 09:30: look before the session. Your login at the broker could not be checked."
    blocked = tell(LOGGED_OUT)
    assert said(tell(UNKNOWN, blocked.told))[0][0] == "over"


def test_before_its_time_nothing_is_said_and_nothing_is_forgotten() -> None:
    silent = tell(LOGGED_OUT, aloud=False)
    assert (said(silent), silent.told) == ([], FRESH)


def test_strategies_that_wait_no_more_end_what_was_said_of_them_in_silence() -> None:
    blocked = tell(LOGGED_OUT)
    none = tell(find(replace(FACTS, trades=())), blocked.told)
    assert [(over.condition, over.text) for over in none.over] == [(blocked.notices[0].condition, "")]
    assert none.told == replace(blocked.told, verdict=None, open_condition=None)


def test_a_holiday_that_was_announced_late_is_said() -> None:
    closed = find(replace(FACTS, session=None))
    assert [kind for kind, _ in said(tell(closed))] == [NoticeKind.WILL_NOT_TRADE]


@pytest.mark.parametrize("findings", [READY, LOGGED_OUT, UNKNOWN, ONE_STALE], ids=lambda found: found.verdict)
def test_what_was_told_is_kept_for_the_day_alone(findings: Findings) -> None:
    told = tell(findings, now=BEFORE_BUY).told
    stored = json.loads(json.dumps(told.stored()))
    assert Told.read(stored, NOW.date()) == told
    assert Told.read(stored, NOW.date() + timedelta(days=1)) == Told(NOW.date() + timedelta(days=1))
    assert Told.read({}, NOW.date()) == Told.read(None, NOW.date()) == FRESH


def test_what_still_stood_when_the_day_ended_is_over_with_it() -> None:
    morning = tell(LOGGED_OUT)
    late = tell(LOGGED_OUT, morning.told, BEFORE_BUY)
    conditions = {fresh.notices[0].condition for fresh in (morning, late)}
    tomorrow = NOW.date() + timedelta(days=1)
    assert set(Told.of_earlier(late.told.stored(), tomorrow)) == conditions
    assert Told.of_earlier(late.told.stored(), NOW.date()) == ()
    assert Told.of_earlier(tell(READY).told.stored(), tomorrow) == Told.of_earlier(None, tomorrow) == ()


def test_many_strategies_are_counted() -> None:
    many = tuple(replace(INFY, strategy_id=number, symbol=f"S{number}") for number in range(12))
    facts: Facts = replace(FACTS, login=Login.ENDED, trades=many)
    text = said(tell(find(facts)))[0][1]
    assert "S7 09:20 and 4 others." in text
