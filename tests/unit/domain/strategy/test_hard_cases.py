"""Hard cases of the strategy machine: crashes, late reports and contradictions that cost money if taken lightly."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from actors.domain.errors import DomainError
from actors.domain.identifiers import Side
from actors.domain.orders.order import FailureKind, OrderStage
from actors.domain.orders.placement_policy import Adopt, Placement, RetryPolicy, SendAt, after_look_up, begin
from actors.domain.orders.position import PositionStatus
from actors.domain.prices.fanout import TickFanout
from actors.domain.prices.tick_filter import TickFilter
from actors.domain.strategy.decisions import CancelOrder, LogEvent, RaiseAlert, SendOrder, SetTimer
from actors.domain.strategy.events import (
    IntentArmed,
    OrderReported,
    PlacementUnresolved,
    PositionClosedOutside,
    RunRecovered,
    StopLossMoved,
    StopRequested,
    Timer,
    TimerFired,
)
from actors.domain.strategy.exit_retries import EXIT_RETRY_DELAY
from actors.domain.strategy.exits import EXIT_FAILURE_LIMIT
from actors.domain.strategy.machine import step
from actors.domain.strategy.reconciliation import expected_tags
from actors.domain.strategy.snapshot import runtime_view
from actors.domain.strategy.state import Phase, StatusDetail, StrategyState
from tests.kit.builders import BUY_AT, INFY, NOW, a_report, a_tick
from tests.kit.decisions import alerts, of
from tests.kit.events import BUY_ID, ENTRY, entry_report, exit_id, exit_report, failed
from tests.kit.phases import (
    BOUGHT_AT,
    LATER,
    arming,
    ended,
    entering,
    exit_failed,
    exiting,
    guarding,
    play,
    recover,
    scheduled,
    working,
)

# --- 1. A BUY that surprises -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [working(), working(filled=4)], ids=["open", "filled in part"])
def test_recovery_never_buys_again_when_the_order_book_of_a_new_day_is_empty(state: StrategyState) -> None:
    next_day = BUY_AT + timedelta(days=1)
    _, decisions = recover(state, at=next_day)
    buys = [send for send in of(decisions, SendOrder) if send.intent.side is Side.BUY]
    assert [send.order_id for send in buys] == [BUY_ID]


def test_recovery_within_the_grace_looks_for_the_buy_before_sending_it() -> None:
    now = BUY_AT + timedelta(seconds=2)
    state, decisions = recover(scheduled(), at=now)
    if not of(decisions, SendOrder):
        _, decisions = step(state, TimerFired(Timer.BUY, BUY_AT), now)
    assert [send.look_up_first for send in of(decisions, SendOrder)] == [True]


def test_stop_withdraws_a_buy_that_has_not_reached_the_broker_yet() -> None:
    _, decisions = step(entering(), StopRequested(), BOUGHT_AT)
    assert [decision for decision in decisions if not isinstance(decision, (LogEvent, RaiseAlert))]


def test_recovery_after_stop_forbids_the_buy() -> None:
    _, decisions = recover(play(entering(), StopRequested(), at=BOUGHT_AT), at=BOUGHT_AT)
    assert [send.not_after is not None and send.not_after <= BOUGHT_AT for send in of(decisions, SendOrder)] == [True]


def test_nothing_is_sent_from_not_after_on() -> None:
    _, move = begin(BUY_AT, look_up_first=False, not_after=BUY_AT)
    assert not isinstance(move, SendAt)


# --- 2. Two SELLs for one position -----------------------------------------------------------------------------------


def test_rejected_order_does_not_hide_a_live_one_of_the_same_tag() -> None:
    dead = a_report("1001", OrderStage.REJECTED, filled=0)
    live = a_report("1002", OrderStage.OPEN, filled=0)
    _, move = after_look_up(Placement(), [dead, live], NOW, RetryPolicy())
    assert move == Adopt(live)


def test_recovery_that_goes_on_with_the_next_exit_looks_for_it_first() -> None:
    _, decisions = recover(exiting(), entry_report(), exit_report(OrderStage.CANCELLED, 4))
    assert [(send.intent.id, send.look_up_first) for send in of(decisions, SendOrder)] == [(exit_id(2), True)]


def test_recovery_finds_an_exit_behind_one_that_the_book_never_had() -> None:
    state, decisions = recover(
        exiting(), entry_report(), exit_report(OrderStage.REJECTED, 0), exit_report(OrderStage.OPEN, 0, seq=3)
    )
    assert exit_id(3) in [order.intent.id for order in state.exits]
    assert exit_id(2) not in [send.intent.id for send in of(decisions, SendOrder)]


def test_recovery_looks_for_every_exit_that_a_long_journal_outage_may_have_hidden() -> None:
    stale, current = exiting(), exiting()
    for seq in range(1, 6):
        if current.phase is Phase.EXIT_FAILED:
            current = play(current, TimerFired(Timer.RETRY, LATER))
        current = play(current, exit_report(OrderStage.REJECTED, 0, seq=seq))
    assert {order.intent.tag for order in current.exits} <= set(expected_tags(stale))


def test_late_fill_of_an_earlier_exit_cancels_the_working_one() -> None:
    second = play(exiting(), exit_report(OrderStage.CANCELLED, 0), exit_report(OrderStage.OPEN, 0, seq=2))
    _, decisions = step(second, exit_report(OrderStage.COMPLETE, 10), LATER)
    assert of(decisions, CancelOrder) == [CancelOrder(exit_id(2), "290002")]


def test_oversold_run_is_an_alert_not_a_broken_machine() -> None:
    state = play(exiting(), exit_report(OrderStage.CANCELLED, 0), exit_report(OrderStage.OPEN, 0, seq=2))
    state = play(state, exit_report(OrderStage.COMPLETE, 10))
    state, decisions = step(state, exit_report(OrderStage.COMPLETE, 10, seq=2), LATER)
    assert alerts(decisions)
    assert runtime_view(state).open_quantity <= 0


def test_complete_report_that_lags_its_fills_does_not_sell_the_rest_twice() -> None:
    _, decisions = step(exiting(), exit_report(OrderStage.COMPLETE, 6), LATER)
    assert of(decisions, SendOrder) == []


def test_exit_that_sold_fewer_than_asked_checks_the_account_before_it_goes_on() -> None:
    _, decisions = step(exiting(), exit_report(filled=6, quantity=6), LATER)
    assert [send.check_position for send in of(decisions, SendOrder)] == [True]


def test_exit_in_doubt_is_not_sent_again_once_the_position_was_closed_outside() -> None:
    closed = play(exiting(), PositionClosedOutside("sold by hand"))
    _, decisions = recover(closed, entry_report())
    assert all(send.not_after is not None and send.not_after <= LATER for send in of(decisions, SendOrder))


# --- 3. A position without a guard -----------------------------------------------------------------------------------


def test_recovery_survives_two_orders_under_one_tag() -> None:
    other = a_report("1900000000000000002", filled=10)
    state, _ = step(guarding(), RunRecovered({guarding().entry.intent.tag: other}), LATER)
    assert state.phase is Phase.GUARDING


def test_buy_that_filled_more_than_asked_is_guarded_all_the_same() -> None:
    state = play(entering(), OrderReported(ENTRY, a_report(BUY_ID, filled=12, quantity=12)))
    assert state.open_quantity == 12


def test_exit_known_before_its_buy_is_taken_in() -> None:
    state = play(arming(), IntentArmed(exit_id()))
    behind = replace(state, entry=replace(state.entry, filled_quantity=4, stage=OrderStage.OPEN))
    after = play(behind, exit_report(filled=10), entry_report())
    assert after.phase is Phase.ENDED


def test_live_buy_that_turns_up_after_the_end_is_cancelled() -> None:
    gone = play(entering(), failed(FailureKind.EXHAUSTED))
    _, decisions = step(gone, entry_report(OrderStage.OPEN, 0), LATER)
    assert of(decisions, CancelOrder) == [CancelOrder(ENTRY, BUY_ID)]


def test_recovery_of_an_ended_run_reports_shares_bought_meanwhile() -> None:
    gone = play(entering(), failed(FailureKind.EXHAUSTED))
    _, decisions = recover(gone, entry_report())
    assert "late_fill" in alerts(decisions)


def test_one_tick_from_the_future_does_not_blind_the_filter() -> None:
    ticks = TickFilter()
    assert not ticks.accepts(INFY.token, 150000, NOW + timedelta(days=1), NOW)
    assert ticks.accepts(INFY.token, 144000, NOW + timedelta(seconds=1), NOW + timedelta(seconds=1))


def test_stop_loss_cannot_be_moved_to_nothing() -> None:
    with pytest.raises(DomainError):
        step(guarding(), StopLossMoved(0), LATER)


# --- 4. Retries that eat the account's order quota -------------------------------------------------------------------


def rejected_for_good() -> StrategyState:
    state = exiting()
    for seq in range(1, EXIT_FAILURE_LIMIT + 1):
        state = play(state, exit_report(OrderStage.REJECTED, 0, seq=seq))
    return state


def test_repeated_report_of_the_buy_does_not_hurry_a_failed_exit() -> None:
    _, decisions = step(rejected_for_good(), entry_report(), LATER)
    assert of(decisions, SendOrder) == []


def test_exit_that_failed_before_sends_one_order_per_slow_retry() -> None:
    now = LATER + EXIT_RETRY_DELAY
    retried = play(rejected_for_good(), TimerFired(Timer.RETRY, now), at=now)
    state, decisions = step(retried, exit_report(OrderStage.REJECTED, 0, seq=4), now)
    assert state.phase is Phase.EXIT_FAILED
    assert [timer.timer for timer in of(decisions, SetTimer)] == [Timer.RETRY]


def test_late_fill_of_an_earlier_exit_ends_a_failed_one() -> None:
    flat = play(rejected_for_good(), exit_report(OrderStage.COMPLETE, 10, seq=1))
    now = LATER + EXIT_RETRY_DELAY
    assert play(flat, TimerFired(Timer.RETRY, now), at=now).phase is Phase.ENDED


# --- 5. What the trader hears ----------------------------------------------------------------------------------------


def test_exit_of_a_dead_incarnation_is_shown_as_the_stop_loss_it_was() -> None:
    state, _ = recover(guarding(), entry_report(), exit_report())
    view = runtime_view(state)
    assert (view.position, view.last_sl_order) == (PositionStatus.EXITED_BY_SL, "290001")


def test_old_doubt_about_the_buy_does_not_cover_the_exit() -> None:
    before = play(exiting(), exit_report(OrderStage.OPEN, 0))
    assert step(before, PlacementUnresolved(ENTRY, "timeout"), LATER) == (before, ())


def test_doubt_that_is_resolved_is_no_longer_shown() -> None:
    state = play(exiting(), PlacementUnresolved(exit_id(), "timeout"), exit_report(OrderStage.OPEN, 0))
    assert runtime_view(state).message == "STOP-LOSS Triggered"


def test_retried_exit_no_longer_says_that_it_failed() -> None:
    state = play(exit_failed(), TimerFired(Timer.RETRY, LATER))
    assert state.detail is StatusDetail.NONE


def test_stop_after_the_end_changes_nothing() -> None:
    assert play(ended(), StopRequested()) == ended()


def test_average_price_that_comes_after_the_fill_is_taken_in() -> None:
    unpriced = OrderReported(ENTRY, replace(a_report(BUY_ID), average_price=Decimal(0)))
    assert runtime_view(play(entering(), unpriced, entry_report())).buy_price == Decimal("1500.00")


def test_clock_that_steps_back_does_not_silence_the_conflated_ticks() -> None:
    fanout = TickFanout()
    fanout.subscribe(3, None)
    fanout.on_tick(a_tick(150000, NOW))
    assert fanout.on_tick(a_tick(150100, NOW - timedelta(minutes=1)))
