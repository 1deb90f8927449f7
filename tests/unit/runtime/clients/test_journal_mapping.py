"""What the journal keeps of a step: the state, the intents and the lines of `order_logs`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from actors.domain.identifiers import Instrument, Product
from actors.domain.orders.log_events import ExitCause, LogWord
from actors.domain.orders.order import FailureKind, Order, OrderEvent, OrderStage
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.session import LateExit
from actors.domain.strategy.decisions import LogEvent
from actors.domain.strategy.snapshot import load_state
from actors.domain.strategy.state import Phase, StrategyState
from actors.ports.execution import Attempt, OrderNote, PlaceResult
from actors.ports.strategy import JournalEntry, LoggedEvent
from actors.runtime.clients.journal_mapping import attempt_line, loaded_run, note_line, run_update
from persistence.journal.records import RunRecord
from tests.kit.builders import INFY, NOW, a_report, a_run
from tests.kit.execution import a_command, a_sell

IST = ZoneInfo("Asia/Kolkata")


def an_entry(state: StrategyState, **changes: Any) -> JournalEntry:
    return replace(JournalEntry(state, epoch=3, at=NOW), **changes)


def bought() -> StrategyState:
    run = a_run()
    entry = Order(run.entry_intent(), sent=True).merged(a_report("1"))
    scheduled = StrategyState.scheduled(run)
    return replace(scheduled, phase=Phase.GUARDING, entry=entry, exits=(Order(run.exit_intent(1, 10)),))


def test_a_run_is_loaded_with_instants_in_the_zone_of_the_exchange_and_the_settings_of_the_operator() -> None:
    record = RunRecord(
        run_id=7,
        strategy_id=3,
        user_id=1,
        account_id=2,
        broker="paper",
        exchange="NSE",
        tradingsymbol="INFY",
        instrument_token=408065,
        product="MIS",
        quantity=10,
        stop_loss_paise=145000,
        buy_at=datetime(2026, 11, 23, 4, 0, tzinfo=UTC),
        sell_at=datetime(2026, 11, 23, 9, 40, tzinfo=UTC),
        tag_key=b"0123456789abcdef",
        epoch=4,
        state=None,
        intents=(),
    )
    loaded = loaded_run(record, IST, LateExit.HOLD, timedelta(seconds=7))
    run = loaded.run
    assert (f"{run.buy_at:%H:%M}", run.buy_at, run.sell_at) == ("09:30", record.buy_at, record.sell_at)
    assert (run.instrument, run.product) == (Instrument("NSE", "INFY", 408065), Product.MIS)
    assert (run.late_exit, run.missed_grace, loaded.epoch) == (LateExit.HOLD, timedelta(seconds=7), 4)


def test_an_update_holds_the_state_that_recovery_loads() -> None:
    state = bought()
    update = run_update(an_entry(state))
    assert load_state(state.run, update.state) == state
    assert (update.run_id, update.strategy_id, update.user_id, update.epoch) == (7, 3, 1, 3)
    assert (update.runtime.position, update.runtime.filled_quantity, update.runtime.buy_price) == (
        "bought",
        10,
        Decimal("1500.00"),
    )


@pytest.mark.parametrize(("ended", "manual"), [(False, False), (True, False), (True, True)])
def test_only_a_manual_end_takes_the_mirror_away(*, ended: bool, manual: bool) -> None:
    update = run_update(an_entry(bought(), ended=ended, manual=manual))
    assert (update.ended, update.delete_mirror) == (ended, manual)


def test_the_symbol_is_the_one_of_the_redis_keys() -> None:
    run = a_run(instrument=replace(INFY, exchange="BSE"))
    assert run_update(an_entry(StrategyState.scheduled(run))).symbol == "BSE:INFY"


ENTRY = Order(a_run().entry_intent())


@pytest.mark.parametrize(
    ("order", "state"),
    [
        (ENTRY, "armed"),
        (replace(ENTRY, sent=True), "sent"),
        (ENTRY.merged(a_report("1", OrderStage.OPEN, filled=0)), "acknowledged"),
        (ENTRY.merged(a_report("1", OrderStage.OPEN, filled=4)), "acknowledged"),
        (ENTRY.merged(a_report("1")), "filled"),
        (ENTRY.merged(a_report("1", OrderStage.CANCELLED, filled=4)), "cancelled"),
        (ENTRY.merged(a_report("1", OrderStage.REJECTED, filled=0)), "rejected"),
        (replace(ENTRY, sent=True, failure=FailureKind.EXHAUSTED), "failed"),
        (replace(ENTRY.merged(a_report("1", OrderStage.REJECTED, filled=0)), failure=FailureKind.REFUSED), "rejected"),
    ],
)
def test_an_intent_says_how_far_its_order_came(order: Order, state: str) -> None:
    (intent,) = run_update(an_entry(replace(StrategyState.scheduled(a_run()), entry=order))).intents
    assert (intent.state, intent.tag, intent.side) == (state, ENTRY.intent.tag, "BUY")


def test_an_exit_that_is_only_armed_has_no_cause_and_no_claim() -> None:
    entry, armed = run_update(an_entry(bought())).intents
    assert (entry.cause, entry.claim_epoch, entry.average_price) == ("BUY", 3, Decimal("1500.00"))
    assert (armed.leg, armed.seq, armed.side, armed.quantity) == ("EXIT", 1, "SELL", 10)
    assert (armed.cause, armed.claim_epoch, armed.order_id, armed.average_price) == (None, None, None, None)


def test_log_lines_name_their_intent_and_its_cause() -> None:
    state = bought()
    exit_order = Order(state.run.exit_intent(1, 10, OrderEvent.STOPLOSS), sent=True)
    lines = (
        LogEvent(LogWord.ORDER_COMPLETE, "", exit_order.intent.id, "42", "complete", 10, Decimal("1449.50")),
        LogEvent(LogWord.FEED_LOST),
    )
    happened = NOW - timedelta(seconds=5)  # the record came later
    logged = tuple(LoggedEvent(happened, line) for line in lines)
    filled, lost = run_update(an_entry(replace(state, exits=(exit_order,)), logs=logged)).logs
    assert (filled.leg, filled.seq, filled.order_id, filled.status) == ("EXIT", 1, "42", "complete")
    assert (filled.quantity, filled.price, filled.detail, filled.occurred_at) == (
        10,
        Decimal("1449.50"),
        {"cause": "STOPLOSS"},
        happened,
    )
    assert (lost.event, lost.leg, lost.reason, lost.detail) == ("FEED_LOST", None, None, {})


@pytest.mark.parametrize("cause", ExitCause)
def test_the_line_of_an_exit_says_what_it_is_for(cause: ExitCause) -> None:
    state = bought()
    triggered = LogEvent(LogWord.SELL_TRIGGERED, "in any words", state.exits[-1].intent.id, cause=cause)
    (line,) = run_update(an_entry(state, logs=(LoggedEvent(NOW, triggered),))).logs
    assert line.detail["exit_cause"] == cause.value


def test_an_attempt_line_holds_the_instants_that_latencies_are_made_of() -> None:
    command = a_command(a_sell())
    result = PlaceResult(AttemptOutcome.AMBIGUOUS, NOW + timedelta(milliseconds=1), reason="no answer")
    line = attempt_line(Attempt(command, 2, result, NOW + timedelta(milliseconds=30)))
    assert (line.event, line.status, line.reason, line.order_id) == ("STOPLOSS", "ambiguous", "no answer", None)
    assert line.detail == {
        "attempt": 2,
        "tag": command.intent.tag,
        "triggered_at": NOW.isoformat(),
        "sent_at": (NOW + timedelta(milliseconds=1)).isoformat(),
        "answered_at": (NOW + timedelta(milliseconds=30)).isoformat(),
    }


@pytest.mark.parametrize("outcome", list(AttemptOutcome))
def test_whatever_an_attempt_has_proven_an_order_id_that_it_learnt_is_in_its_line(outcome: AttemptOutcome) -> None:
    result = PlaceResult(outcome, NOW, order_id="42")
    line = attempt_line(Attempt(a_command(a_sell()), 1, result, NOW))
    assert (line.status, line.order_id, line.leg, line.seq) == (outcome.value, "42", "EXIT", 1)


def test_a_note_line_names_the_order_and_what_was_done_about_it() -> None:
    command = a_command(a_sell(seq=2))
    line = note_line(OrderNote(command, LogWord.EXIT_CHASED, "42", "parked; protection widened to 3 %", NOW))
    assert (line.event, line.order_id, line.leg, line.seq) == ("EXIT_CHASED", "42", "EXIT", 2)
    assert (line.quantity, line.status, line.occurred_at) == (10, None, NOW)
    assert line.reason == "parked; protection widened to 3 %"
    assert line.detail == {"tag": command.intent.tag, "cause": "STOPLOSS"}
