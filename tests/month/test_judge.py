"""The judge of the month: it must notice each broken promise."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pytest

from tests.month.judge import Mail, Order, Seen, Told, judge, orders_of, strays
from tests.month.plan import NOVEMBER, UNSAID, ZONE, Month, Outcome, Panicked, Planned
from tests.month.report import report

THU, FRI = date(2026, 11, 5), date(2026, 11, 6)
INFY = Planned("asha", "INFY", time(9, 20), time(15, 10), 4)
BUY_AT, SELL_AT = INFY.at(THU)
ONE_DAY = Month(days=(THU,), strategies=(INFY,))
FORGOTTEN = replace(ONE_DAY, forgotten=frozenset({("asha", THU)}))
AWAY = replace(ONE_DAY, away=((datetime.combine(THU, time(8), ZONE), datetime.combine(THU, time(10), ZONE)),))
HOLIDAY = replace(ONE_DAY, holidays=frozenset({THU}))
NOON = datetime.combine(THU, time(12), ZONE)
FALLS = replace(ONE_DAY, falls={"INFY": NOON})
PANICS = Month((THU, FRI), (INFY,), panics=(Panicked("asha", NOON, NOON + timedelta(days=1)),))
SUMMED_UP = replace(ONE_DAY, summed_up=frozenset({THU}))


def order(side: str, at: datetime, filled: int = 4, symbol: str = "INFY") -> Order:
    return Order("asha", symbol, side, at + timedelta(milliseconds=20), filled)


def told(kind: str, at: datetime, text: str = "INFY …", **more: bool) -> Told:
    return Told("asha", kind, text, at, INFY, **more)


TRADED = Seen([order("BUY", BUY_AT), order("SELL", SELL_AT)], [told("fill_entry", BUY_AT), told("exit_time", SELL_AT)])
WARNED = told("login_needed", BUY_AT - timedelta(minutes=30), "Will NOT trade today: INFY 09:20.", lasts=True)
ALOUD = told("will_not_trade", BUY_AT - timedelta(minutes=9), "Will NOT trade today: INFY 09:20. Log in.", lasts=True)
CALLED = Told(
    "asha", "panic", "PANIC: nothing more is bought, 1 strategy is being ended, and your schedules are paused", NOON
)
DONE = replace(CALLED, text="PANIC is done. All is flat.", at=NOON + timedelta(seconds=1))


def mailed(*told: Told) -> list[Mail]:
    return [Mail(one.owner, (one.text,), one.at.replace(microsecond=0) + timedelta(seconds=1)) for one in told]


FORGOTTEN_SAID = Seen([], [WARNED, ALOUD], mails=mailed(WARNED, ALOUD))
PANICKED = Seen(
    [order("BUY", BUY_AT), order("SELL", NOON)],
    [told("fill_entry", BUY_AT), told("exit_manual", NOON), CALLED, DONE],
    mails=mailed(CALLED, DONE),
)


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
    assert wrong(FORGOTTEN, FORGOTTEN_SAID) == ()
    late = [replace(one, at=BUY_AT + timedelta(seconds=1)) for one in (WARNED, ALOUD)]
    assert wrong(FORGOTTEN, replace(FORGOTTEN_SAID, told=late)) == ("nothing was said beforehand",)
    of_bela = [replace(one, owner="bela") for one in (WARNED, ALOUD)]
    assert wrong(FORGOTTEN, replace(FORGOTTEN_SAID, told=of_bela)) == ("nothing was said beforehand",)
    bought = replace(FORGOTTEN_SAID, orders=[order("BUY", BUY_AT)])
    assert wrong(FORGOTTEN, bought)[0].startswith("BUY of 4 at 09:20:00, though ")


def test_what_does_not_trade_must_be_said_aloud_in_the_last_ten_minutes_and_be_mailed_by_then() -> None:
    assert wrong(FORGOTTEN, replace(FORGOTTEN_SAID, told=[WARNED])) == ("said 0 times aloud in the last ten minutes",)
    twice = replace(FORGOTTEN_SAID, told=[WARNED, ALOUD, ALOUD])
    assert wrong(FORGOTTEN, twice) == ("said 2 times aloud in the last ten minutes",)
    early = replace(ALOUD, at=BUY_AT - timedelta(minutes=11))
    assert wrong(FORGOTTEN, replace(FORGOTTEN_SAID, told=[WARNED, early]))[0].startswith("said 0 times aloud")
    unsent = replace(FORGOTTEN_SAID, mails=mailed(WARNED))
    assert wrong(FORGOTTEN, unsent) == (f"not mailed before its time: {ALOUD.text}",)
    late = replace(FORGOTTEN_SAID, mails=[replace(mail, at=BUY_AT + timedelta(1)) for mail in mailed(ALOUD)])
    assert wrong(FORGOTTEN, late) == (f"not mailed before its time: {ALOUD.text}",)


def test_a_stop_loss_must_sell_when_the_price_falls_and_be_told_as_one() -> None:
    stopped = Seen(
        [order("BUY", BUY_AT), order("SELL", NOON)], [told("fill_entry", BUY_AT), told("exit_stop", NOON, "Stop-loss")]
    )
    assert wrong(FALLS, stopped) == ()
    assert wrong(FALLS, TRADED) == (
        "SELL at 15:10:00, due at 12:00:00", "told 1 times of exit_time", "told 0 times of exit_stop",
    )  # fmt: skip
    assert wrong(ONE_DAY, stopped)[0] == "SELL at 12:00:00, due at 15:10:00"


def test_a_panic_must_sell_at_once_say_so_twice_by_mail_too_and_pause_the_next_day() -> None:
    today, tomorrow = judge(PANICS, PANICKED)
    assert (today.outcome, today.wrong, tomorrow.outcome, tomorrow.wrong) == (Outcome.PANIC, (), Outcome.PAUSED, ())
    assert tomorrow.said == CALLED.text
    today, tomorrow = judge(PANICS, replace(PANICKED, told=PANICKED.told[:2]))
    assert today.wrong == (
        "told 0 times: PANIC: nothing more is bought, …", "told 0 times: PANIC is done. All is flat.…",
    )  # fmt: skip
    assert tomorrow.wrong == ("nothing was said of the pause",)
    today, _ = judge(PANICS, replace(PANICKED, mails=mailed(CALLED)))
    assert today.wrong == (f"not mailed at once: {DONE.text}",)
    again = order("BUY", BUY_AT + timedelta(days=1))
    _, tomorrow = judge(PANICS, replace(PANICKED, orders=[*PANICKED.orders, again]))
    assert tomorrow.wrong[0].startswith("BUY of 4 at 09:20:00, though its owner had pressed panic")
    resumed = replace(PANICS, panics=(replace(PANICS.panics[0], until=SELL_AT),))
    assert [outcome for *_, outcome in resumed.each()] == [Outcome.PANIC, Outcome.TRADES]


def test_every_notice_must_be_in_the_mailbox_once() -> None:
    heard = replace(TRADED, mails=mailed(*TRADED.told))
    assert strays(ONE_DAY, heard) == []
    (sentence,) = strays(ONE_DAY, replace(heard, mails=heard.mails[:1]))
    assert sentence == "asha: 2 times in the inbox and 1 times in the mailbox: INFY …"
    (sentence,) = strays(ONE_DAY, replace(heard, mails=[*heard.mails, *mailed(replace(WARNED, text="Never told"))]))
    assert sentence == "asha: 0 times in the inbox and 1 times in the mailbox: Never told"


def test_a_day_must_be_summed_up_once_with_what_was_traded() -> None:
    close = SELL_AT + timedelta(minutes=40)
    summed_up = told("day_summary", close, "Today: 1 trade, +₹12.00 before charges.")

    def said(*summaries: Told) -> list[str]:
        notices = [*TRADED.told, *summaries]
        return strays(SUMMED_UP, replace(TRADED, told=notices, mails=mailed(*notices)))

    assert said(summed_up) == []
    assert said(replace(summed_up, text="Today: 1 trade, ₹0.00 before charges.")) == []
    assert said() == ["asha: 0 summaries of 2026-11-05"]
    assert said(summed_up, summed_up) == ["asha: 2 summaries of 2026-11-05"]
    (sentence,) = said(replace(summed_up, text="Today: 2 trades, +₹12.00 before charges."))
    assert sentence.startswith("asha: 1 trades on 2026-11-05, and the summary says: Today: 2 trades")


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
    assert left(lost) == ["asha: feed_lost was never said to be over: INFY …"]
    assert left(lost, again) == []
    assert left(lost, told("exit_time", SELL_AT)) == []
    of_another = replace(lost, strategy=replace(INFY, symbol="TCS"), text="TCS …")
    assert len(left(of_another, again, told("exit_time", SELL_AT))) == 1


def left(*notices: Told) -> list[str]:
    return strays(ONE_DAY, replace(TRADED, told=notices, mails=mailed(*notices)))


def test_an_order_that_nobody_planned_is_found() -> None:
    heard = replace(TRADED, mails=mailed(*TRADED.told))
    (sentence,) = strays(ONE_DAY, replace(heard, orders=[*TRADED.orders, order("BUY", BUY_AT, symbol="TCS")]))
    assert sentence.startswith("asha: an order for TCS at 2026-11-05 09:20:00")
    (sentence,) = strays(ONE_DAY, replace(heard, orders=[order("BUY", BUY_AT + timedelta(days=1))]))
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
    for month, seen in ((ONE_DAY, TRADED), (FORGOTTEN, FORGOTTEN_SAID), (PANICS, PANICKED)):
        verdicts = judge(month, seen)
        assert "## What failed" not in report(month, seen, verdicts, [], 60)
    text = report(ONE_DAY, Seen([], []), judge(ONE_DAY, Seen([], [])), [], 60)
    assert "- 2026-11-05, asha, INFY: 0 orders to BUY" in text
    assert Outcome.TRADES in UNSAID
