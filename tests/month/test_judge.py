"""The judge of the month: it must notice each broken promise."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from tests.month.judge import Order, Seen, Told, judge, orders_of, strays
from tests.month.plan import NOVEMBER, UNSAID, ZONE, Month, Outcome, Planned
from tests.month.report import report

THU, FRI = date(2026, 11, 5), date(2026, 11, 6)
INFY = Planned("asha", "INFY", time(9, 20), time(15, 10), 4)
BUY_AT, SELL_AT = INFY.at(THU)
ONE_DAY = Month(days=(THU,), strategies=(INFY,))
FORGOTTEN = replace(ONE_DAY, forgotten=frozenset({("asha", THU)}))
AWAY = replace(ONE_DAY, away=((datetime.combine(THU, time(8), ZONE), datetime.combine(THU, time(10), ZONE)),))
HOLIDAY = replace(ONE_DAY, holidays=frozenset({THU}))


def order(side: str, at: datetime, filled: int = 4, symbol: str = "INFY") -> Order:
    return Order("asha", symbol, side, at + timedelta(milliseconds=20), filled)


def told(kind: str, at: datetime, text: str = "INFY …", **more: bool) -> Told:
    return Told("asha", kind, text, at, INFY, **more)


TRADED = Seen([order("BUY", BUY_AT), order("SELL", SELL_AT)], [told("fill_entry", BUY_AT), told("exit_time", SELL_AT)])
WARNED = told("login_needed", BUY_AT - timedelta(minutes=30), "Will NOT trade today: INFY 09:20.", lasts=True)


def wrong(month: Month, seen: Seen) -> tuple[str, ...]:
    (verdict,) = judge(month, seen)
    return verdict.wrong


def test_a_trade_that_is_made_and_told_once_is_well() -> None:
    assert wrong(ONE_DAY, TRADED) == ()


@pytest.mark.parametrize(
    ("orders", "sentence"),
    [
        ([order("BUY", BUY_AT)], "0 orders to SELL"),
        ([*TRADED.orders, order("SELL", SELL_AT)], "2 orders to SELL"),
        ([order("BUY", BUY_AT, 3), order("SELL", SELL_AT)], "BUY of 3 shares, not of 4"),
        ([order("BUY", BUY_AT + timedelta(seconds=9)), order("SELL", SELL_AT)], "BUY at 09:20:09, due at 09:20:00"),
        ([order("BUY", BUY_AT - timedelta(seconds=1)), order("SELL", SELL_AT)], "BUY at 09:19:59, due at 09:20:00"),
        ([], "0 orders to BUY"),
    ],
)
def test_orders_that_are_not_as_planned_are_wrong(orders: list[Order], sentence: str) -> None:
    assert sentence in wrong(ONE_DAY, replace(TRADED, orders=orders))


def test_a_trade_that_is_told_twice_or_never_or_denied_is_wrong() -> None:
    assert wrong(ONE_DAY, replace(TRADED, told=TRADED.told[:1])) == ("told 0 times of exit_time",)
    assert wrong(ONE_DAY, replace(TRADED, told=[*TRADED.told, TRADED.told[0]])) == ("told 2 times of fill_entry",)
    denied = replace(TRADED, told=[*TRADED.told, WARNED])
    assert wrong(ONE_DAY, denied) == ("traded, but it was said: Will NOT trade today: INFY 09:20.",)
    taken_back = told("login_needed", BUY_AT - timedelta(minutes=20), "Ready: INFY 09:20.", resolves=True)
    assert wrong(ONE_DAY, replace(denied, told=[*denied.told, taken_back])) == ()


def test_what_does_not_trade_must_have_been_said_before_its_time() -> None:
    assert wrong(FORGOTTEN, Seen([], [WARNED])) == ()
    assert wrong(FORGOTTEN, Seen([], [replace(WARNED, at=BUY_AT + timedelta(seconds=1))])) == (
        "nothing was said beforehand",
    )
    assert wrong(FORGOTTEN, Seen([], [replace(WARNED, owner="bela")])) == ("nothing was said beforehand",)
    assert wrong(FORGOTTEN, Seen([order("BUY", BUY_AT)], [WARNED]))[0].startswith("BUY of 4 at 09:20:00, though ")


def test_an_api_that_was_away_says_so_when_it_is_back() -> None:
    assert wrong(AWAY, Seen([], [])) == ("nothing was said when the API was back",)
    assert wrong(AWAY, Seen([], [told("will_not_trade", BUY_AT + timedelta(minutes=41))])) == ()


def test_what_was_armed_before_the_api_went_trades_without_it() -> None:
    later = replace(AWAY, away=((datetime.combine(THU, time(9), ZONE), datetime.combine(THU, time(10), ZONE)),))
    assert [outcome for *_, outcome in later.each()] == [Outcome.TRADES]


def test_a_holiday_must_have_been_shown_the_evening_before() -> None:
    assert wrong(HOLIDAY, Seen([], [])) == ("the app did not show it before",)
    assert wrong(HOLIDAY, Seen([], [], frozenset({("asha", THU)}))) == ()


def test_a_guard_that_was_lost_must_have_come_back() -> None:
    lost = told("feed_lost", SELL_AT, lasts=True)
    again = told("feed_lost", SELL_AT + timedelta(seconds=2), resolves=True)
    assert strays(ONE_DAY, replace(TRADED, told=[lost])) == ["asha: feed_lost was never said to be over: INFY …"]
    assert strays(ONE_DAY, replace(TRADED, told=[lost, again])) == []
    assert strays(ONE_DAY, replace(TRADED, told=[lost, told("exit_time", SELL_AT)])) == []
    of_another = replace(lost, strategy=replace(INFY, symbol="TCS"), text="TCS …")
    assert len(strays(ONE_DAY, replace(TRADED, told=[of_another, again, told("exit_time", SELL_AT)]))) == 1


def test_an_order_that_nobody_planned_is_found() -> None:
    (sentence,) = strays(ONE_DAY, replace(TRADED, orders=[*TRADED.orders, order("BUY", BUY_AT, symbol="TCS")]))
    assert sentence.startswith("asha: an order for TCS at 2026-11-05 09:20:00")
    (sentence,) = strays(ONE_DAY, replace(TRADED, orders=[order("BUY", BUY_AT + timedelta(days=1))]))
    assert sentence.endswith("that nobody has planned")


def test_the_ledger_is_read_with_what_was_refused() -> None:
    row = {"method": "POST", "form": {"tradingsymbol": "INFY"}, "transaction_type": "BUY", "order_id": None}
    asked = {**row, "received_ns": int(BUY_AT.timestamp() * 1e9)}
    kept = {"accounts": {"PA1": {"orders": [{"order_id": "7", "filled_quantity": 4}]}}}
    ledger = {**kept, "requests": [asked, {**asked, "order_id": "7"}, {**asked, "method": "PUT"}]}
    assert orders_of("asha", ledger) == [Order("asha", "INFY", "BUY", BUY_AT, filled) for filled in (0, 4)]


def test_november_has_every_event() -> None:
    outcomes = {outcome for *_, outcome in NOVEMBER.each()}
    assert outcomes == set(Outcome)
    assert (len(NOVEMBER.days), len(NOVEMBER.owners)) == (22, 3)


def test_the_report_names_what_failed() -> None:
    for month, seen in ((ONE_DAY, TRADED), (FORGOTTEN, Seen([], [WARNED]))):
        verdicts = judge(month, seen)
        assert "## What failed" not in report(month, seen, verdicts, [], 60)
    text = report(ONE_DAY, Seen([], []), judge(ONE_DAY, Seen([], [])), [], 60)
    assert "- 2026-11-05, asha, INFY: 0 orders to BUY" in text
    assert Outcome.TRADES in UNSAID
