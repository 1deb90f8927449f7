"""What a trader hears of each step of a strategy (row N1): of fills and failures, not of accepted orders."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.notices.notice import Notice, NoticeKind
from actors.domain.orders.log_events import LogWord
from actors.execution.watching.troubles import OF_HOLDERS
from actors.strategy.shell import TROUBLES
from persistence.journal.alert_notices import NOTICES_OF_ALERTS, OVER, alert_notice
from persistence.journal.records import IntentRecord, LogRecord, RunRuntime, RunUpdate
from persistence.journal.run_notices import ConditionsOver, notices_of

IST = ZoneInfo("Asia/Kolkata")
AT = datetime(2026, 11, 23, 3, 50, tzinfo=UTC)
SELL_AT = datetime(2026, 11, 23, 9, 40, tzinfo=UTC)


def line(event: str, leg: str | None = None, **facts: Any) -> LogRecord:
    return LogRecord(event=event, occurred_at=AT, leg=leg, seq=1 if leg else None, **facts)


def step(*lines: LogRecord, ended: bool = False, **runtime: Any) -> RunUpdate:
    facts: dict[str, Any] = {
        "status": "running", "position": "bought", "status_detail": "", "last_action": "BUY", "message": "",
        "stop_loss_paise": 150_000, "filled_quantity": 10, "updated_at": AT,
    }  # fmt: skip
    entry = IntentRecord(run_id=7, leg="ENTRY", seq=1, side="BUY", quantity=10, tag="T")
    return RunUpdate(
        run_id=7, strategy_id=3, user_id=1, epoch=1, symbol="INFY", state={}, intents=(entry,), logs=lines, ended=ended,
        runtime=RunRuntime(**(facts | runtime)),
    )  # fmt: skip


def heard(update: RunUpdate) -> list[Notice]:
    items = notices_of(update, update.logs, SELL_AT, IST)
    return [item for item in items if isinstance(item, Notice)]


def one(update: RunUpdate) -> Notice:
    (notice,) = heard(update)
    return notice


FILL = line(LogWord.ORDER_COMPLETE, "ENTRY", quantity=10, price=Decimal(1510))
END = line(LogWord.RUN_ENDED, quantity=10, price=Decimal("1499.2"))


def test_a_fill_says_what_was_paid_and_what_comes_next() -> None:
    notice = one(step(FILL))
    assert notice.kind is NoticeKind.FILL_ENTRY
    assert notice.text == "Bought 10 INFY at ₹1,510.00 (09:20). Stop-loss ₹1,500.00. Sells 15:10."


def test_a_part_of_it_is_called_a_part() -> None:
    part = line(LogWord.ORDER_CANCELLED, "ENTRY", quantity=6, price=Decimal(1510))
    assert one(step(part)).text.startswith("Bought 6 of 10 INFY at ₹1,510.00")


@pytest.mark.parametrize(
    "quiet",
    [
        line(LogWord.ORDER_OPEN, "ENTRY", quantity=0), line(LogWord.ORDER_PENDING, "ENTRY", quantity=0),
        line("BUY", "ENTRY", quantity=10), line(LogWord.BUY_TRIGGERED, "ENTRY"), line(LogWord.ORDER_COMPLETE, "EXIT"),
        line(LogWord.ORDER_PARTIALLY_FILLED, "ENTRY", quantity=3), line(LogWord.STOP_LOSS_MOVED),
        line(LogWord.ORDER_REJECTED, "ENTRY", quantity=0), line(LogWord.ORDER_FAILED, "ENTRY"),
    ],
)  # fmt: skip
def test_what_is_no_result_is_no_notice(quiet: LogRecord) -> None:
    assert heard(step(quiet)) == []


@pytest.mark.parametrize(
    ("runtime", "kind", "text"),
    [
        ({"position": "exited_by_sl", "pnl": Decimal(-108)}, NoticeKind.EXIT_STOP,
         "Stop-loss: sold 10 INFY at ₹1,499.20. −₹108.00 before charges. The stop-loss was ₹1,500.00."),
        ({"position": "sold", "pnl": Decimal("12.5")}, NoticeKind.EXIT_TIME,
         "Sold 10 INFY at ₹1,499.20. +₹12.50 before charges."),
        ({"position": "sold", "status_detail": "stopped_by_user"}, NoticeKind.EXIT_MANUAL,
         "STOP: sold 10 INFY at ₹1,499.20."),
        ({"position": "buy_failed", "message": "Buy Failed – insufficient funds, needs ₹3,020"}, NoticeKind.NOT_BOUGHT,
         "NOT bought: INFY. Insufficient funds, needs ₹3,020. Nothing is open."),
    ],
)  # fmt: skip
def test_the_end_says_what_happened_to_the_money(runtime: dict[str, Any], kind: NoticeKind, text: str) -> None:
    notice = one(step(END, ended=True, **runtime))
    assert (notice.kind, notice.text) == (kind, text)
    assert "3,020" not in notice.shown_in_public


@pytest.mark.parametrize(
    "runtime",
    [{"position": "none", "status_detail": "stopped_by_user"}, {"position": "sold", "status_detail": "closed_outside"}],
)
def test_the_trader_does_not_hear_of_what_he_did_himself(runtime: dict[str, Any]) -> None:
    assert heard(step(END, ended=True, **runtime)) == []


def test_every_condition_of_a_run_ends_with_it() -> None:
    over = [i for i in notices_of(step(END, ended=True), (END,), SELL_AT, IST) if isinstance(i, ConditionsOver)]
    begun = [
        notice.condition
        for update in (
            step(line(LogWord.ORDER_FAILED, "EXIT")), step(line(LogWord.ORDER_FAILED, "ENTRY"), status="paused"),
            step(line(LogWord.ORDER_UNKNOWN, "ENTRY")), step(line(LogWord.ORDER_UNKNOWN, "EXIT")),
            step(line(LogWord.FEED_LOST)), step(line(LogWord.TICKS_STALE)), step(line(LogWord.NO_BUYERS, "EXIT")),
            step(line(LogWord.SYMBOL_NOT_LISTED)),
            step(line(LogWord.MARKET_CLOSED, "EXIT"), status_detail="market_closed"),
        )
        for notice in heard(update)
    ]  # fmt: skip
    assert len(begun) == 9
    assert set(begun) <= set(over[0].conditions)


def test_an_exit_that_fails_says_that_the_position_is_open() -> None:
    failed = line(LogWord.ORDER_FAILED, "EXIT", quantity=10, reason="RMS: blocked")
    notice = one(step(failed, status="failed", position="selling"))
    assert notice.text.startswith("OPEN and not sold: 10 INFY. RMS: blocked. The exit is tried again")
    assert notice.kind is NoticeKind.EXIT_TROUBLE
    expired = one(step(failed, status="paused", status_detail="broker_session_expired"))
    assert expired.text.endswith("Your login at the broker has ended. Log in again, and the exit goes out.")


def test_prices_that_are_back_end_the_condition_in_words() -> None:
    back = line(LogWord.FEED_RESTORED)
    (_, over) = notices_of(step(back), (back,), SELL_AT, IST)
    assert over == ConditionsOver(("run:7:feed",), AT, "INFY: prices are back, the stop-loss ₹1,500.00 is watched.")


LINES = st.builds(
    LogRecord,
    event=st.sampled_from([*LogWord, "BUY", "SELL"]),
    occurred_at=st.just(AT),
    leg=st.sampled_from([None, "ENTRY", "EXIT"]),
    seq=st.sampled_from([None, 1, 2]),
    quantity=st.one_of(st.none(), st.integers(0, 10**9)),
    price=st.one_of(st.none(), st.decimals(min_value=0, max_value=10**9, places=6)),
    reason=st.one_of(st.none(), st.text()),
)


@given(
    st.lists(LINES, max_size=4),
    st.booleans(),
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(["running", "paused", "failed", "stopped"]),
            "position": st.sampled_from(["none", "buying", "bought", "selling", "sold", "exited_by_sl", "buy_failed"]),
            "status_detail": st.sampled_from(["", "market_closed", "missed_execution", "closed_outside"]),
            "message": st.text(),
            "pnl": st.one_of(st.none(), st.decimals(min_value=-(10**9), max_value=10**9, places=6)),
        }
    ),
)
def test_no_step_is_kept_from_the_journal_by_its_notices(
    lines: list[LogRecord], ended: bool, runtime: dict[str, Any]
) -> None:
    update = step(*lines, ended=ended, **runtime)
    items = notices_of(update, lines, SELL_AT, IST)
    assert items == notices_of(update, lines, SELL_AT, IST), "a step that is recorded again makes the same ones"
    assert all(item.shown and item.shown_in_public for item in items if isinstance(item, Notice))


def test_another_fact_has_another_key() -> None:
    later = replace(END, occurred_at=AT + timedelta(seconds=1))
    first, second = (one(step(end, ended=True, position="sold")) for end in (END, later))
    assert first.key != second.key


def test_a_fact_that_is_told_twice_is_one_notice_whatever_its_price_and_of_another_run_another() -> None:
    texts = [f"3 shares were bought after the run had ended, at ₹{price}" for price in ("1500.5", "1501.25")]
    first, again = (alert_notice(3, "late_fill", text, AT, "run:7") for text in texts)
    other = alert_notice(3, "late_fill", texts[0], AT, "run:8")
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.key == again.key != other.key
    assert first.condition is None, "it has no end"
    assert alert_notice(3, "redis_down", "Redis does not answer", AT) is None


def test_a_tag_with_two_orders_is_one_notice_whichever_part_tells_it() -> None:
    texts = ("tag abc has more orders: 2", "tag abc has more than one order: 1, 2")
    first, again = (alert_notice(3, "duplicate_order", text, AT, "tag:abc") for text in texts)
    assert first is not None
    assert again is not None
    assert first.key == again.key


def test_a_trouble_that_begins_again_has_another_key_and_the_same_condition() -> None:
    first, second = (
        alert_notice(3, "position_short", "Short", at, "position:2:NSE:INFY:MIS")
        for at in (AT, AT + timedelta(minutes=3))
    )
    assert first is not None
    assert second is not None
    assert first.key != second.key
    assert first.condition == second.condition == "alert:position_short:position:2:NSE:INFY:MIS"


def test_every_trouble_with_an_end_is_told_when_it_begins() -> None:
    assert OVER.keys() <= NOTICES_OF_ALERTS.keys()
    told_by_watcher = {*OF_HOLDERS, "unguarded_position", "position_short"}
    assert OVER.keys() == told_by_watcher | set(TROUBLES), "and some part calls it over"


def test_the_end_of_a_run_ends_the_troubles_of_its_guard_but_not_that_the_account_is_short() -> None:
    items = notices_of(step(END, ended=True, position="sold"), [END], SELL_AT, IST)
    ended = [condition for item in items if isinstance(item, ConditionsOver) for condition in item.conditions]
    over = {condition.split(":")[1] for condition in ended if condition.startswith("alert:")}
    assert over == OVER.keys() - {"position_short"}


def test_a_share_that_the_broker_does_not_list_is_said_to_its_trader_and_its_end_too() -> None:
    gone, back = line(LogWord.SYMBOL_NOT_LISTED, reason="your broker does not list it"), line(LogWord.FEED_RESTORED)
    notice = one(step(gone))
    assert (notice.kind, notice.condition) == (NoticeKind.GUARD_LOST, "run:7:unlisted")
    assert notice.text == "INFY: no price of it comes, and nothing is bought. Your broker does not list it."
    (over, _) = notices_of(step(back), [back], SELL_AT, IST)
    assert isinstance(over, ConditionsOver)
    assert (over.conditions, over.text) == (("run:7:unlisted",), "INFY: your broker lists it, and its prices come.")


def test_alerts_that_a_step_also_logs_make_no_second_notice() -> None:
    logged = {
        "exit_failed",
        "feed_lost",
        "ticks_stale",
        "no_buyers",
        "buy_failed",
        "missed_execution",
        "closed_outside",
        "symbol_not_listed",
    }
    assert logged.isdisjoint(NOTICES_OF_ALERTS)
