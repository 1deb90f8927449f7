"""The stories that a run's timeline tells, from rows made by hand."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actors.domain.orders.log_events import ExitCause
from actors.domain.strategy.decisions import LogEvent
from actors.domain.strategy.events import IntentArmed, OrderReported, StopRequested, TimerFired
from actors.domain.strategy.events import Timer as TimerName
from actors.domain.strategy.machine import step
from actors.domain.strategy.state import StrategyState
from api.timeline.legs import timeline_before_start, timeline_of_run
from api.timeline.schemas import StrategyTimeline
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Intent, Run
from tests.kit.builders import a_report, a_run
from tests.kit.timelines import whole_page

IST = ZoneInfo("Asia/Kolkata")
BUY_AT = datetime(2026, 11, 23, 9, 30, tzinfo=IST)
SELL_AT = datetime(2026, 11, 23, 15, 10, tzinfo=IST)
TOUCHED = datetime(2026, 11, 23, 10, 12, 5, tzinfo=IST)


def ms(count: float, after: datetime = BUY_AT) -> datetime:
    return after + timedelta(milliseconds=count)


def a_row(**changes: Any) -> Run:
    values: dict[str, Any] = {
        "id": 7,
        "strategy_id": 3,
        "user_id": 1,
        "buy_at": BUY_AT,
        "sell_at": SELL_AT,
        "stop_loss_paise": 150_000,
        "quantity": 10,
        "product": "MIS",
        "message": "",
        "status_detail": "",
        "started_at": ms(-60_000),
        "ended_at": None,
    }
    return Run(**values | changes)


def intent(leg: str = "ENTRY", seq: int = 1, **changes: Any) -> Intent:
    values: dict[str, Any] = {"run_id": 7, "leg": leg, "seq": seq, "quantity": 10, "state": "armed"}
    return Intent(**values | {"filled_quantity": 0} | changes)


def filled(leg: str = "ENTRY", seq: int = 1, quantity: int = 10, price: str = "1510", **changes: Any) -> Intent:
    values: dict[str, Any] = {
        "state": "filled",
        "cause": "BUY",
        "order_id": f"{leg}-{seq}",
        "quantity": quantity,
        "filled_quantity": quantity,
        "average_price": Decimal(price),
    }
    return intent(leg, seq, **values | changes)


def line(event: str, at: datetime, leg: str | None = "ENTRY", seq: int | None = 1, **changes: Any) -> OrderLog:
    values: dict[str, Any] = {"event": event, "occurred_at": at, "leg": leg, "seq": seq if leg else None, "detail": {}}
    return OrderLog(**values | changes)


def attempt(event: str, sent_at: datetime, answered_at: datetime, **changes: Any) -> OrderLog:
    leg = "ENTRY" if event == "BUY" else "EXIT"
    due = changes.pop("due", sent_at)
    detail = {"sent_at": sent_at.isoformat(), "triggered_at": due.isoformat(), "attempt": 1}
    values: dict[str, Any] = {"leg": leg, "status": "accepted", "order_id": f"{leg}-1", "detail": detail}
    return line(event, answered_at, **values | changes)


BOUGHT = [
    line("BUY_TRIGGERED", ms(2), reason="2 ms after its time"),
    attempt("BUY", ms(14), ms(30), due=BUY_AT),
    line("ORDER_OPEN", ms(31), order_id="ENTRY-1", quantity=0),
    line("ORDER_PARTIALLY_FILLED", ms(90), order_id="ENTRY-1", quantity=4),
    line("ORDER_COMPLETE", ms(120), order_id="ENTRY-1", quantity=10),
]


def told(run: Run, intents: list[Intent], lines: list[OrderLog]) -> StrategyTimeline:
    timeline = timeline_of_run(run, "INFY", whole_page(intents, lines), IST, limit=50, offset=0)
    attempts = sum(len(leg.attempts) for leg in timeline.legs)
    quiet = sum(line.event.startswith("ORDER_") and not line.reason for line in lines)
    assert attempts + len(timeline.notes) + quiet == len(lines), "every line is in a leg or in the notes"
    return timeline


def test_a_timely_trade() -> None:
    run = a_row(ended_at=ms(200, SELL_AT), sell_price=Decimal("1520.5"), message="Sold 10")
    exit_leg = filled("EXIT", price="1520.5", cause="SELL")
    lines = [
        *BOUGHT,
        line("SELL_TRIGGERED", ms(1, SELL_AT), "EXIT", reason="1 ms after its time"),
        attempt("SELL", ms(9, SELL_AT), ms(25, SELL_AT), due=SELL_AT),
        line("ORDER_COMPLETE", ms(150, SELL_AT), "EXIT", order_id="EXIT-1", quantity=10),
        line("RUN_ENDED", ms(151, SELL_AT), None, reason="Sold 10", quantity=10),
    ]
    timeline = told(run, [filled(), exit_leg], lines)
    entry, leaving = timeline.legs
    assert (entry.cause, entry.scheduled_at, entry.triggered_at) == ("BUY", BUY_AT, ms(2))
    assert (entry.sent_at, entry.acknowledged_at, entry.filled_at) == (ms(14), ms(30), ms(120))
    assert (entry.late_ms, entry.order_id, entry.outcome) == (14, "ENTRY-1", "filled")
    assert (entry.quantity, entry.filled_quantity, entry.average_price) == (10, 10, 1510.0)
    assert (leaving.cause, leaving.scheduled_at, leaving.late_ms) == ("SELL", SELL_AT, 9)
    assert leaving.filled_at == ms(150, SELL_AT)
    assert [attempt.status for attempt in entry.attempts] == ["accepted"]
    assert [note.event for note in timeline.notes] == ["BUY_TRIGGERED", "SELL_TRIGGERED", "RUN_ENDED"]
    assert (timeline.run_id, timeline.started_at, timeline.ended_at) == (7, ms(-60_000), ms(200, SELL_AT))
    assert timeline.summary == (
        "Bought 10 INFY at 1510.00, 14 ms after 09:30:00; sold at the sell time at 1520.50, 9 ms after 15:10:00."
    )


def test_instants_carry_the_offset_of_the_exchange() -> None:
    timeline = told(a_row(), [intent()], [])
    assert timeline.legs[0].model_dump(mode="json")["scheduled_at"] == "2026-11-23T09:30:00+05:30"


def test_a_stop_loss_is_late_from_the_tick_on() -> None:
    run = a_row(ended_at=ms(90, TOUCHED), sell_price=Decimal(1495), message="STOP-LOSS Triggered")
    reason = "price ₹1499.50 at or below ₹1500.00"
    lines = [
        *BOUGHT,
        line("STOPLOSS_TRIGGERED", ms(1, TOUCHED), "EXIT", reason=reason),
        attempt("STOPLOSS", ms(3, TOUCHED), ms(20, TOUCHED), due=TOUCHED),
        line("ORDER_COMPLETE", ms(80, TOUCHED), "EXIT", order_id="EXIT-1", quantity=10),
    ]
    timeline = told(run, [filled(), filled("EXIT", price="1495", cause="STOPLOSS")], lines)
    leaving = timeline.legs[1]
    assert (leaving.cause, leaving.scheduled_at, leaving.triggered_at) == ("STOPLOSS", None, TOUCHED)
    assert leaving.late_ms == 3
    assert reason in [note.reason for note in timeline.notes]
    assert timeline.summary == (
        "Bought 10 INFY at 1510.00, 14 ms after 09:30:00; "
        "sold by stop-loss at 1495.00, 3 ms after the price touched it at 10:12:05."
    )


STOPPED: dict[str, Any] = {"reason": "the trader wants out", "detail": {"cause": "SELL", "exit_cause": "STOP"}}
STOPPED_BEFORE_LINES_NAMED_IT: dict[str, Any] = {"reason": "STOP pressed", "detail": {"cause": "SELL"}}


@pytest.mark.parametrize("said", [STOPPED, STOPPED_BEFORE_LINES_NAMED_IT])
def test_a_stop_is_told_apart_from_a_timed_sale(said: dict[str, Any]) -> None:
    run = a_row(ended_at=ms(90, TOUCHED), sell_price=Decimal(1512), status_detail="stopped_by_user")
    lines = [
        *BOUGHT,
        line("SELL_TRIGGERED", TOUCHED, "EXIT", **said),
        attempt("SELL", ms(5, TOUCHED), ms(20, TOUCHED), due=TOUCHED),
    ]
    timeline = told(run, [filled(), filled("EXIT", price="1512", cause="SELL")], lines)
    assert (timeline.legs[1].cause, timeline.legs[1].scheduled_at, timeline.legs[1].late_ms) == ("STOP", None, 5)
    assert timeline.summary.endswith("; sold on STOP at 1512.00, 5 ms after it was decided at 10:12:05.")


def test_no_reason_makes_a_timed_sale_a_stop() -> None:
    timed = line("SELL_TRIGGERED", SELL_AT, "EXIT", reason="STOP pressed", detail={"exit_cause": "SELL"})
    timeline = told(a_row(), [filled(), intent("EXIT", cause="SELL")], [*BOUGHT, timed])
    assert (timeline.legs[1].cause, timeline.legs[1].scheduled_at) == ("SELL", SELL_AT)


def test_the_machine_names_that_cause_for_a_stop() -> None:
    run = a_run()
    state = StrategyState.scheduled(run)
    for event in (
        TimerFired(TimerName.BUY, run.buy_at),
        OrderReported(run.entry_intent().id, a_report("1")),
        IntentArmed(run.exit_intent(1, 10).id),
    ):
        state, _ = step(state, event, run.buy_at)
    _, decisions = step(state, StopRequested(), run.buy_at)
    logged = [decision.cause for decision in decisions if isinstance(decision, LogEvent)]
    assert logged == [ExitCause.STOP]


def test_a_missed_execution() -> None:
    reason = "missed execution: BUY was due at 2026-11-23T09:30:00+05:30"
    run = a_row(ended_at=ms(9_000), status_detail="missed_execution", message="Missed execution – …")
    timeline = told(run, [intent()], [line("MISSED_EXECUTION", ms(9_000), reason=reason)])
    (entry,) = timeline.legs
    assert (entry.outcome, entry.cause, entry.sent_at, entry.late_ms) == ("missed", "BUY", None, None)
    assert [(note.event, note.reason) for note in timeline.notes] == [("MISSED_EXECUTION", reason)]
    assert timeline.summary == "Did not buy INFY: its time 09:30:00 had passed before it could be acted on."


def test_a_sale_that_was_missed_and_is_not_made_up_for_is_held() -> None:
    message = "Missed execution – the sell time passed, the position is held under its stop-loss"
    run = a_row(status_detail="missed_execution", message=message)
    lines = [*BOUGHT, line("MISSED_EXECUTION", ms(9_000, SELL_AT), None, reason="missed execution: SELL was due")]
    timeline = told(run, [filled(), intent("EXIT")], lines)
    assert timeline.legs[1].outcome == "waiting"
    assert timeline.summary.endswith(f"; {message}.")


def test_a_rejected_entry_says_why() -> None:
    run = a_row(ended_at=ms(60), message="Buy Failed – Insufficient funds", status_detail="order_rejected")
    lines = [
        BOUGHT[0],
        attempt("BUY", ms(14), ms(30), due=BUY_AT),
        line("ORDER_REJECTED", ms(50), order_id="ENTRY-1", reason="Insufficient funds", quantity=0),
        line("ORDER_FAILED", ms(50), reason="Insufficient funds", order_id="ENTRY-1"),
    ]
    timeline = told(run, [intent(state="rejected", cause="BUY", order_id="ENTRY-1")], lines)
    (entry,) = timeline.legs
    assert (entry.outcome, entry.acknowledged_at, entry.filled_at) == ("rejected", ms(30), None)
    assert timeline.summary == "Did not buy INFY: Insufficient funds."


def test_retries_after_ambiguity_are_all_there_and_the_order_found_is_the_leg_s() -> None:
    lines = [
        BOUGHT[0],
        attempt("BUY", ms(14), ms(3_014), status="ambiguous", order_id=None, reason="read timed out"),
        line("ORDER_UNKNOWN", ms(6_000), reason="read timed out"),
        attempt("BUY", ms(13_100), ms(13_120), status="ambiguous", order_id=None, reason="bad gateway"),
        line("ORDER_OPEN", ms(13_500), order_id="ENTRY-1", quantity=0),
        line("ORDER_COMPLETE", ms(13_600), order_id="ENTRY-1", quantity=10),
    ]
    timeline = told(a_row(), [filled(), intent("EXIT")], lines)
    entry = timeline.legs[0]
    assert [(a.status, a.reason) for a in entry.attempts] == [
        ("ambiguous", "read timed out"),
        ("ambiguous", "bad gateway"),
    ]
    assert (entry.sent_at, entry.late_ms, entry.acknowledged_at) == (ms(14), 14, ms(13_500))
    assert timeline.summary == (
        "Bought 10 INFY at 1510.00, 14 ms after 09:30:00 (after 2 attempts); "
        "held until 15:10:00, or the stop-loss at 1500.00."
    )


def test_what_never_reached_the_broker_was_not_sent() -> None:
    refused = {"status": "not_sent", "order_id": None, "reason": "connection refused"}
    lines = [BOUGHT[0], *(attempt("BUY", ms(n), ms(n + 1), **refused) for n in (14, 114, 214, 314))]
    lines.append(line("ORDER_FAILED", ms(320), reason="connection refused"))
    run = a_row(status_detail="broker_unreachable", message="Paused – connection refused")
    timeline = told(run, [intent(state="failed", cause="BUY")], lines)
    (entry,) = timeline.legs
    assert (entry.sent_at, entry.late_ms, entry.outcome, len(entry.attempts)) == (None, None, "failed", 4)
    assert timeline.summary == "Not bought INFY yet: Paused – connection refused."
    ended = told(a_row(ended_at=ms(400)), [intent(state="failed", cause="BUY")], lines)
    assert ended.summary == "Did not buy INFY: connection refused (after 4 attempts)."


def test_a_partial_exit_is_continued_by_the_next_one() -> None:
    run = a_row(ended_at=ms(4_000, TOUCHED), sell_price=Decimal("1494.4"))
    first = filled("EXIT", 1, 10, "1495", state="cancelled", cause="STOPLOSS", filled_quantity=4)
    second = filled("EXIT", 2, 6, "1494", cause="STOPLOSS")
    lines = [
        *BOUGHT,
        line("STOPLOSS_TRIGGERED", TOUCHED, "EXIT", reason="touched"),
        attempt("STOPLOSS", ms(3, TOUCHED), ms(20, TOUCHED), due=TOUCHED),
        line("ORDER_PARTIALLY_FILLED", ms(80, TOUCHED), "EXIT", order_id="EXIT-1", quantity=4),
        line("ORDER_CANCELLED", ms(2_000, TOUCHED), "EXIT", order_id="EXIT-1", quantity=4),
        line("EXIT_CONTINUED", ms(2_001, TOUCHED), "EXIT", 2, reason="6 left to sell"),
        attempt("STOPLOSS", ms(2_005, TOUCHED), ms(2_020, TOUCHED), seq=2, order_id="EXIT-2", due=ms(2_001, TOUCHED)),
        line("ORDER_COMPLETE", ms(2_100, TOUCHED), "EXIT", 2, order_id="EXIT-2", quantity=6),
    ]
    timeline = told(run, [filled(), first, second], lines)
    _, one, two = timeline.legs
    assert (one.outcome, one.filled_quantity, one.filled_at) == ("cancelled", 4, ms(80, TOUCHED))
    assert (two.seq, two.cause, two.scheduled_at, two.late_ms) == (2, "STOPLOSS", None, 4)
    assert (two.triggered_at, two.filled_at, two.order_id) == (ms(2_001, TOUCHED), ms(2_100, TOUCHED), "EXIT-2")
    assert timeline.summary.endswith(
        "; sold by stop-loss at 1494.40 in 2 orders, 3 ms after the price touched it at 10:12:05."
    )


def test_the_rest_of_a_stop_was_sold_on_stop_too() -> None:
    lines = [*BOUGHT, line("SELL_TRIGGERED", TOUCHED, "EXIT", **STOPPED)]
    lines.append(line("EXIT_CONTINUED", ms(900, TOUCHED), "EXIT", 2, reason="6 left to sell"))
    first = filled("EXIT", 1, 10, "1495", state="cancelled", cause="SELL", filled_quantity=4)
    second = intent("EXIT", 2, state="sent", cause="SELL", quantity=6)
    run = a_row(message="Selling", sell_price=Decimal(1495))
    timeline = told(run, [filled(), first, second], lines)
    assert [leg.cause for leg in timeline.legs] == ["BUY", "STOP", "STOP"]
    assert timeline.legs[2].outcome == "sent"
    assert timeline.summary.endswith("; sold 4 of 10 on STOP at 1495.00; the rest: Selling.")


def test_what_is_still_to_come_is_waited_for() -> None:
    timeline = told(a_row(message="Waiting to buy at 2026-11-23 09:30:00"), [intent()], [])
    (entry,) = timeline.legs
    assert (entry.outcome, entry.cause, entry.scheduled_at) == ("waiting", "BUY", BUY_AT)
    assert (entry.triggered_at, entry.sent_at, entry.acknowledged_at, entry.filled_at) == (None, None, None, None)
    assert (timeline.ended_at, timeline.notes) == (None, [])
    assert timeline.summary == "Waiting to buy 10 INFY at 09:30:00 on 2026-11-23."


def test_an_armed_exit_is_scheduled_and_has_no_cause_yet() -> None:
    timeline = told(a_row(), [filled(), intent("EXIT")], BOUGHT)
    leaving = timeline.legs[1]
    assert (leaving.outcome, leaving.cause, leaving.scheduled_at) == ("waiting", None, SELL_AT)


@pytest.mark.parametrize(
    ("detail", "message", "expected"),
    [
        ("", "Buying", "Buying 10 INFY, 14 ms after 09:30:00: not filled yet."),
        (
            "order_outcome_unknown",
            "Order outcome unknown – looking it up at the broker",
            "Buying 10 INFY, 14 ms after 09:30:00: Order outcome unknown – looking it up at the broker.",
        ),
    ],
)
def test_a_working_entry(detail: str, message: str, expected: str) -> None:
    run = a_row(status_detail=detail, message=message)
    timeline = told(run, [intent(state="sent", cause="BUY")], BOUGHT[:2])
    assert timeline.legs[0].outcome == "sent"
    assert timeline.summary == expected


def test_a_run_that_was_stopped_before_it_bought() -> None:
    run = a_row(ended_at=ms(-1_000), status_detail="stopped_by_user", message="Stopped before anything was bought")
    timeline = told(run, [intent()], [line("RUN_ENDED", ms(-1_000), None, reason=run.message)])
    assert timeline.legs[0].outcome == "not_sent"
    assert timeline.summary == "Did not buy INFY: stopped before anything was bought."


def test_a_position_that_was_closed_elsewhere() -> None:
    run = a_row(ended_at=ms(0, TOUCHED), status_detail="closed_outside")
    lines = [*BOUGHT, line("CLOSED_OUTSIDE", TOUCHED, None, reason="the account no longer holds the shares")]
    timeline = told(run, [filled(), intent("EXIT")], lines)
    assert timeline.legs[1].outcome == "not_sent"
    assert timeline.summary.endswith("; closed outside TradeActors.")


def test_an_exit_that_is_being_retried() -> None:
    message = "Order Failed – position still open, retrying the exit"
    run = a_row(status_detail="order_rejected", message=message)
    lines = [
        *BOUGHT,
        line("STOPLOSS_TRIGGERED", TOUCHED, "EXIT", reason="touched"),
        attempt("STOPLOSS", ms(3, TOUCHED), ms(9, TOUCHED), status="refused", order_id=None, reason="no", due=TOUCHED),
        line("ORDER_FAILED", ms(10, TOUCHED), "EXIT", reason="no"),
    ]
    timeline = told(run, [filled(), intent("EXIT", state="failed", cause="STOPLOSS")], lines)
    assert timeline.summary.endswith(f"; selling by stop-loss, 3 ms after the price touched it at 10:12:05: {message}.")


def test_an_entry_that_was_filled_in_part() -> None:
    entry = filled(state="cancelled", filled_quantity=4)
    timeline = told(a_row(), [entry, intent("EXIT", quantity=4)], BOUGHT[:4])
    assert timeline.legs[0].filled_at == ms(90)
    assert timeline.summary.startswith("Bought 4 of 10 INFY at 1510.00, 14 ms after 09:30:00; held until")


def test_an_event_that_nobody_foresaw_is_a_note_and_so_is_an_attempt_whose_intent_is_not_recorded_yet() -> None:
    lines = [line("FEED_LOST", ms(5), None), attempt("SELL", ms(9), ms(10), seq=2), line("SOMETHING_NEW", ms(11))]
    timeline = told(a_row(), [intent()], lines)
    assert [(note.at, note.event, note.reason) for note in timeline.notes] == [
        (ms(5), "FEED_LOST", None),
        (ms(10), "SELL", "accepted"),
        (ms(11), "SOMETHING_NEW", None),
    ]


def test_a_strategy_that_never_ran_has_no_legs() -> None:
    timeline = timeline_before_start(3, limit=50, offset=0)
    assert (timeline.strategy_id, timeline.run_id, timeline.legs, timeline.notes) == (3, None, [], [])
    assert timeline.summary == "Not started yet."
