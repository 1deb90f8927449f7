"""What a user is notified of when something has changed, and what is not said twice (row N3)."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from actors.domain.notices.notice import NoticeKind
from api.readiness.checks import find
from api.readiness.findings import Facts, Findings, Login, Said, Verdict
from api.readiness.news import News, Over, Told, news
from tests.unit.api.readiness.test_checks import FACTS, INFY, NOW, SESSION, TCS

LINK = "https://api.example/broker/login?code=abc"
STALE = Said("stop_loss", "The stop-loss must be below the market price 1480.00", "stop_loss")
READY = find(FACTS)
LOGGED_OUT = find(replace(FACTS, login=Login.ENDED))
UNKNOWN = find(replace(FACTS, login=Login.UNCHECKED, free=None))
ONE_STALE = find(replace(FACTS, trades=(INFY, replace(TCS, refusals=(STALE,)))))
FRESH = Told(NOW.date())
BEFORE_BUY = INFY.buy_at - timedelta(minutes=10)
SECOND = SESSION.opens - timedelta(minutes=10)


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


def test_a_holiday_that_comes_next_is_said_with_the_line_of_the_morning() -> None:
    eve = find(replace(FACTS, closed_next=NOW.date() + timedelta(days=1), next_day=NOW.date() + timedelta(days=2)))
    text = "All well: INFY 09:20 and TCS 09:30 will trade today. The exchange is closed on Tuesday, 2026-12-01. "
    assert said(tell(eve)) == [(NoticeKind.READINESS, f"{text}The next session is on Wednesday, 2026-12-02.")]


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
    again = tell(LOGGED_OUT, morning.told, SECOND)
    assert said(tell(LOGGED_OUT, again.told, BEFORE_BUY - timedelta(seconds=1))) == []
    late = tell(LOGGED_OUT, again.told, BEFORE_BUY)
    (notice,) = late.notices
    assert notice.kind is NoticeKind.WILL_NOT_TRADE
    assert notice.text.startswith("Will NOT trade today: INFY 09:20.")
    assert said(tell(LOGGED_OUT, late.told, BEFORE_BUY + timedelta(minutes=5))) == []
    second = tell(find(replace(FACTS, login=Login.ENDED, trades=(TCS,))), late.told, TCS.buy_at - timedelta(minutes=10))
    assert [text[:37] for _, text in said(second) if text] == ["Will NOT trade today: TCS 09:30. Your"]
    logged_in = tell(find(replace(FACTS, trades=(TCS,))), second.told, TCS.buy_at - timedelta(minutes=9))
    assert [text for _, text in said(logged_in) if text] == ["Ready: TCS 09:30 will trade today."]
    assert {over.condition for over in logged_in.over} == {again.notices[0].condition, second.notices[0].condition}
    assert [over.condition for over in second.over] == [notice.condition], "the time of INFY has come"
    assert logged_in.told.late == {}


def test_what_is_still_in_the_way_ten_minutes_before_the_session_is_said_a_second_time_and_no_third() -> None:
    first = tell(LOGGED_OUT)
    assert said(tell(LOGGED_OUT, first.told, SECOND - timedelta(seconds=1))) == []
    again = tell(LOGGED_OUT, first.told, SECOND)
    assert [(notice.kind, notice.text) for notice in again.notices] == said(first)
    assert again.over == (Over(first.notices[0].condition or "", ""),), "one of the two stands"
    assert again.notices[0].key != first.notices[0].key
    assert said(tell(LOGGED_OUT, again.told, SECOND + timedelta(minutes=3))) == []
    logged_in = tell(READY, again.told, SECOND + timedelta(minutes=4))
    assert [over.condition for over in logged_in.over] == [again.notices[0].condition]
    assert said(tell(READY, tell(READY).told, SECOND)) == []
    begun = tell(LOGGED_OUT, now=SECOND)
    assert said(tell(LOGGED_OUT, begun.told, SECOND + timedelta(minutes=3))) == [], "it was said just now"


def test_a_login_after_which_another_thing_is_in_the_way_ends_what_was_said() -> None:
    morning = tell(LOGGED_OUT)
    later = tell(ONE_STALE, morning.told)
    assert later.over == (Over(morning.notices[0].condition or "", "INFY 09:20 will trade today after all."),)
    (notice,) = later.notices
    assert (notice.kind, notice.strategy_id) == (NoticeKind.WILL_NOT_TRADE, 2)
    assert said(tell(ONE_STALE, later.told)) == []
    assert said(tell(READY, later.told)) == [("over", "Ready: INFY 09:20 and TCS 09:30 will trade today.")]


def test_another_reason_is_another_fact_also_shortly_before_the_buy() -> None:
    both = find(replace(FACTS, trades=(replace(INFY, refusals=(STALE,)), replace(TCS, refusals=(STALE,)))))
    morning = tell(LOGGED_OUT)
    changed = tell(both, morning.told)
    assert changed.over == (Over(morning.notices[0].condition or "", ""),), "none of them trades after all"
    assert changed.notices[0].kind is NoticeKind.WILL_NOT_TRADE
    late = tell(LOGGED_OUT, morning.told, BEFORE_BUY)
    again = tell(both, late.told, BEFORE_BUY + timedelta(minutes=2))
    assert [over.condition for over in again.over] == [late.notices[0].condition, morning.notices[0].condition]
    assert [(n.kind, "stop-loss" in n.text) for n in again.notices] == [(NoticeKind.WILL_NOT_TRADE, True)]


def test_what_trades_after_all_is_said_once_of_all_notices_that_named_it() -> None:
    late = tell(LOGGED_OUT, tell(LOGGED_OUT).told, BEFORE_BUY)
    fresh = tell(ONE_STALE, late.told, BEFORE_BUY + timedelta(minutes=1))
    assert [over.text for over in fresh.over if over.text] == ["INFY 09:20 will trade today after all."]
    assert len(fresh.over) == 2


def test_a_holiday_in_place_of_a_missing_login_leaves_one_notice_that_stands() -> None:
    morning = tell(LOGGED_OUT)
    closed = tell(find(replace(FACTS, session=None)), morning.told)
    assert closed.over == (Over(morning.notices[0].condition or "", ""),)
    assert closed.told.conditions == (closed.notices[0].condition,)


def test_what_was_stored_by_an_earlier_version_is_read() -> None:
    stored = tell(LOGGED_OUT).told.stored()
    earlier = {name: stored[name] for name in ("day", "verdict", "number", "open_condition", "late")}
    assert said(tell(LOGGED_OUT, Told.read(earlier, NOW.date()))) == []
    assert said(tell(READY, Told.read(earlier, NOW.date())))[0][0] == "over"


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
    assert none.told == replace(FRESH, number=1)


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
