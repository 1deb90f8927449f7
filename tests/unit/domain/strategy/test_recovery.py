"""A new incarnation in every phase, with and without orders in the book (row J1)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from actors.domain.orders.order import OrderStage
from actors.domain.orders.position import PositionStatus
from actors.domain.strategy.decisions import (
    ArmIntent,
    EndRun,
    SendOrder,
    SetTimer,
    WatchPrice,
)
from actors.domain.strategy.entries import ENTRY_PATIENCE, HAND_OVER, hand_over_at
from actors.domain.strategy.events import (
    OrderReported,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.snapshot import dump_state, load_state
from actors.domain.strategy.state import Phase, StrategyState
from tests.kit.builders import BUY_AT, NOW, SELL_AT, a_tick
from tests.kit.decisions import alerts, of
from tests.kit.events import ENTRY, entry_report, exit_id, exit_report
from tests.kit.phases import (
    BELOW,
    BOUGHT_AT,
    LATER,
    STOP,
    arming,
    ended,
    entering,
    exit_failed,
    exiting,
    guarding,
    paused,
    play,
    recover,
    scheduled,
    working,
)

# --- row J1: recovery in every phase ----------------------------------------------------------------------------------


def test_recovery_before_the_buy_restores_both_timers() -> None:
    state, decisions = recover(scheduled(), at=NOW)
    assert state.phase is Phase.SCHEDULED
    assert set(decisions) >= {SetTimer(Timer.BUY, hand_over_at(scheduled())), SetTimer(Timer.SELL, SELL_AT)}


@pytest.mark.parametrize("before", [scheduled(), entering()], ids=lambda state: state.phase)
def test_recovery_in_the_last_second_takes_the_buy_for_handed_over(before: StrategyState) -> None:
    """What STOP then calls back is what the dead incarnation may have given to execution."""
    state, decisions = recover(before, at=BUY_AT - HAND_OVER / 2)
    (send,) = of(decisions, SendOrder)
    assert state.phase is Phase.ENTERING
    assert (send.look_up_first, send.not_before) == (True, BUY_AT)


def test_recovery_adopts_a_buy_that_the_dead_incarnation_never_recorded() -> None:
    state, decisions = recover(scheduled(), entry_report(OrderStage.OPEN, 0))
    assert state.phase is Phase.ENTERING
    assert all(send.look_up_first for send in of(decisions, SendOrder))


@pytest.mark.parametrize("state", [scheduled(), entering(), paused(), arming()], ids=lambda state: state.phase)
def test_recovery_with_a_filled_buy_in_the_book_guards_it(state: StrategyState) -> None:
    after, decisions = recover(state, entry_report())
    assert after.phase is Phase.ARMING
    assert of(decisions, ArmIntent) == [ArmIntent(state.run.exit_intent(1, 10))]
    assert WatchPrice(STOP) in decisions
    assert SetTimer(Timer.SELL, SELL_AT) in decisions


def test_recovery_with_a_buy_in_doubt_only_looks_it_up_after_the_grace() -> None:
    state, decisions = recover(entering(), at=BOUGHT_AT)
    assert state.phase is Phase.ENTERING
    assert [(send.look_up_first, send.not_after) for send in of(decisions, SendOrder)] == [
        (True, BUY_AT + timedelta(seconds=5))
    ]


def test_recovery_while_paused_probes_the_broker_at_once() -> None:
    state, decisions = recover(paused())
    assert state.phase is Phase.PAUSED
    assert SetTimer(Timer.RETRY, LATER) in decisions
    assert SetTimer(Timer.SELL, SELL_AT) in decisions


def test_recovery_while_guarding_watches_on_and_restores_the_sell_timer() -> None:
    state, decisions = recover(guarding(), entry_report())
    assert (state.phase, state.watched_since) == (Phase.GUARDING, BUY_AT)
    assert set(decisions) == {WatchPrice(STOP), SetTimer(Timer.SELL, SELL_AT)}


def test_touch_that_a_dead_incarnation_did_not_hear_exits_after_recovery() -> None:
    guarded, _ = recover(guarding(), entry_report())
    missed = a_tick(BELOW, LATER, age=timedelta(minutes=2))
    assert play(guarded, TickReceived(missed)).phase is Phase.EXITING


def test_run_recovered_from_a_snapshot_that_does_not_say_since_when_asks_the_order_book() -> None:
    filled = replace(entry_report(), report=replace(entry_report().report, exchange_time=BOUGHT_AT))
    data = dump_state(guarding())
    del data["watched_since"]
    old = load_state(guarding().run, data)
    state, _ = recover(old, filled)
    assert state.watched_since == BUY_AT
    assert recover(old, entry_report())[0].watched_since == LATER


def test_recovery_with_the_sell_time_passed_sells_late_in_the_same_session() -> None:
    now = SELL_AT + timedelta(minutes=1)
    guarded, _ = recover(guarding(), entry_report(), at=now)
    state, decisions = step(guarded, TimerFired(Timer.SELL, SELL_AT), now)
    assert state.phase is Phase.EXITING
    assert "missed_execution" in alerts(decisions)


@pytest.mark.parametrize("state", [arming(), guarding()], ids=lambda state: state.phase)
def test_recovery_adopts_an_exit_that_was_sent_before_the_crash(state: StrategyState) -> None:
    after, decisions = recover(state, entry_report(), exit_report(OrderStage.OPEN, 4))
    assert (after.phase, after.open_quantity) == (Phase.EXITING, 6)
    assert [(send.intent.id, send.look_up_first) for send in of(decisions, SendOrder)] == [(exit_id(), True)]
    flat, decisions = recover(state, entry_report(), exit_report())
    assert flat.phase is Phase.ENDED
    assert of(decisions, EndRun) == [EndRun(manual=False)]


@pytest.mark.parametrize(
    ("now", "position"),
    [
        (SELL_AT - timedelta(microseconds=1), PositionStatus.EXITED_BY_SL),
        (SELL_AT, PositionStatus.SOLD),
    ],
)
def test_exit_of_a_dead_incarnation_was_for_the_stop_loss_unless_the_sell_was_due(
    now: datetime, position: PositionStatus
) -> None:
    state, _ = recover(guarding(), entry_report(), exit_report(), at=now)
    assert state.position_status is position


def test_recovery_with_an_open_buy_follows_it_with_fresh_patience() -> None:
    state, decisions = recover(working(), entry_report(OrderStage.OPEN, 0))
    assert state.phase is Phase.ENTERING
    assert SetTimer(Timer.ENTRY_PATIENCE, LATER + ENTRY_PATIENCE) in decisions
    assert [(send.intent.id, send.look_up_first) for send in of(decisions, SendOrder)] == [(ENTRY, True)]


@pytest.mark.parametrize("state", [scheduled(), entering(), paused()], ids=lambda state: state.phase)
def test_recovery_of_an_old_snapshot_finds_the_whole_round_trip_in_the_book(state: StrategyState) -> None:
    after, _ = recover(state, entry_report(), exit_report())
    assert after.phase is Phase.ENDED
    assert (after.position.bought, after.position.sold) == (10, 10)


def test_recovery_while_exiting_looks_the_exit_up_before_sending_it_again() -> None:
    state, decisions = recover(exiting(), entry_report())
    assert state.phase is Phase.EXITING
    assert [(send.intent.id, send.look_up_first) for send in of(decisions, SendOrder)] == [(exit_id(), True)]


def test_recovery_while_exiting_ends_a_run_whose_exit_filled_meanwhile() -> None:
    state, decisions = recover(exiting(), entry_report(), exit_report())
    assert state.position_status is PositionStatus.EXITED_BY_SL
    assert of(decisions, SendOrder) == []


def test_recovery_finds_exits_that_were_never_journalled() -> None:
    state, _ = recover(
        exiting(), entry_report(), exit_report(OrderStage.CANCELLED, 4), exit_report(filled=6, quantity=6, seq=2)
    )
    assert state.phase is Phase.ENDED
    assert state.position.sold == 10


def test_recovery_of_a_failed_exit_tries_it_again_at_once() -> None:
    state, decisions = recover(exit_failed(), entry_report())
    assert state.phase is Phase.EXIT_FAILED
    assert SetTimer(Timer.RETRY, LATER) in decisions


def test_recovery_of_a_run_that_had_ended_ends_it_again_at_the_same_instant() -> None:
    state, decisions = recover(ended(), at=LATER + timedelta(hours=1))
    assert state == ended()
    assert of(decisions, EndRun) == [EndRun(manual=False)]
    assert of(decisions, SendOrder) == []


def test_recovery_after_recovery_changes_nothing() -> None:
    for state in (scheduled(), entering(), paused(), guarding(), exiting(), exit_failed(), ended()):
        once, decisions = recover(state)
        assert recover(once) == (once, decisions)


@pytest.mark.parametrize(
    ("before", "known", "phase"),
    [
        (guarding(), exit_report(OrderStage.OPEN, 0), Phase.EXITING),
        (scheduled(), entry_report(OrderStage.OPEN, 0), Phase.ENTERING),
    ],
)
def test_an_order_that_another_incarnation_has_sent_is_followed_once(
    before: StrategyState, known: OrderReported, phase: Phase
) -> None:
    """Its end goes to the incarnation that asked for it: one that was cut off, and ends before it hears it."""
    at = BUY_AT if phase is Phase.ENTERING else LATER
    told, decisions = step(before, known, at)
    (follow,) = of(decisions, SendOrder)
    assert (follow.look_up_first, follow.order_id) == (True, known.report.order_id)
    assert told.phase is phase
    _, again = step(told, known, at)
    assert of(again, SendOrder) == []
