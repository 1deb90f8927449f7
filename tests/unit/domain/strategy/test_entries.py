"""What happens to the BUY, row by row (docs/requirements.md)."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from actors.domain.errors import InvalidValue
from actors.domain.orders.order import FailureKind, OrderEvent, OrderStage
from actors.domain.orders.position import PositionStatus
from actors.domain.session import LateExit
from actors.domain.strategy.decisions import (
    ArmIntent,
    CancelOrder,
    CancelTimers,
    EndRun,
    LogEvent,
    ProbeBroker,
    SendOrder,
    SetTimer,
    WatchPrice,
    WithdrawOrder,
)
from actors.domain.strategy.entries import ENTRY_PATIENCE, HAND_OVER, RETRY_WINDOW, hand_over_at
from actors.domain.strategy.events import (
    BrokerRestored,
    Event,
    PlacementFailed,
    PlacementUnresolved,
    RunRecovered,
    StopRequested,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.outcomes import PROBE_INTERVAL
from actors.domain.strategy.snapshot import dump_state, load_state, runtime_view
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail, StrategyState
from tests.kit.builders import BUY_AT, NOW, SELL_AT, a_run, a_tick
from tests.kit.decisions import alerts, logged, of
from tests.kit.events import BUY_ID, ENTRY, entry_report, failed
from tests.kit.phases import BELOW, BOUGHT_AT, LATER, STOP, entering, guarding, paused, play, scheduled, working

# --- row E1: the BUY at its instant -----------------------------------------------------------------------------------


def test_start_arms_both_timers_and_follows_the_price() -> None:
    _, decisions = step(StrategyState.scheduled(a_run()), RunRecovered(), NOW)
    handed_over = SetTimer(Timer.BUY, hand_over_at(scheduled()))
    assert set(decisions) == {handed_over, SetTimer(Timer.SELL, SELL_AT), WatchPrice(None)}


def test_buy_is_the_first_decision_at_the_buy_time() -> None:
    state, decisions = step(scheduled(), TimerFired(Timer.BUY, BUY_AT), BUY_AT)
    assert state.position_status is PositionStatus.BUYING
    assert isinstance(decisions[0], SendOrder)
    assert decisions[0].intent == state.run.entry_intent()
    assert decisions[0].intent.quantity == 10
    assert logged(decisions) == ["BUY_TRIGGERED"]


def test_buy_is_handed_over_ahead_of_its_time_and_not_sent_before_it() -> None:
    due = BUY_AT - HAND_OVER
    state, decisions = step(scheduled(), TimerFired(Timer.BUY, due), due)
    assert state.phase is Phase.ENTERING
    assert runtime_view(state).message == f"Buying at {BUY_AT:%H:%M:%S}"
    assert of(decisions, SendOrder)[0].not_before == BUY_AT
    assert [log.reason for log in of(decisions, LogEvent)] == ["handed over 2000 ms before its time"]


def test_runs_of_one_instant_are_handed_over_one_after_the_other_two_to_four_seconds_ahead() -> None:
    hand_overs = [hand_over_at(StrategyState.scheduled(a_run(run_id=number))) for number in range(100, 150)]
    assert all(HAND_OVER <= BUY_AT - at < HAND_OVER + timedelta(seconds=2) for at in hand_overs)
    assert max(hand_overs.count(at) for at in hand_overs) == 3
    assert hand_over_at(StrategyState.scheduled(a_run(run_id=100))) == hand_overs[0]


def test_stop_between_the_handing_over_and_the_buy_time_calls_the_buy_back() -> None:
    due = BUY_AT - HAND_OVER
    handed_over, _ = step(scheduled(), TimerFired(Timer.BUY, due), due)
    stopping, decisions = step(handed_over, StopRequested(), BUY_AT - HAND_OVER / 2)
    assert of(decisions, WithdrawOrder) == [WithdrawOrder(stopping.entry.intent.id)]
    never_sent = PlacementFailed(stopping.entry.intent.id, FailureKind.EXHAUSTED, "withdrawn")
    ended, _ = step(stopping, never_sent, BUY_AT - HAND_OVER / 2)
    assert (ended.phase, ended.detail) == (Phase.ENDED, StatusDetail.STOPPED_BY_USER)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": 0},
        {"quantity": -1},
        {"stop_loss": 0},
        {"stop_loss": -1},
        {"sell_at": BUY_AT},
        {"buy_at": BUY_AT.replace(tzinfo=None)},
        {"sell_at": SELL_AT.replace(tzinfo=None)},
    ],
)
def test_run_that_can_never_be_right_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        a_run(**wrong)


def test_smallest_run_is_one_share_with_a_stop_of_one_paisa() -> None:
    assert a_run(quantity=1, stop_loss=1).entry_intent().quantity == 1


def test_buy_carries_a_time_after_which_it_is_not_sent() -> None:
    _, decisions = step(scheduled(), TimerFired(Timer.BUY, BUY_AT), BUY_AT)
    assert of(decisions, SendOrder)[0].not_after == BUY_AT + RETRY_WINDOW


def test_timer_that_fires_early_is_set_again_and_nothing_is_bought() -> None:
    before = scheduled()
    state, decisions = step(before, TimerFired(Timer.BUY, BUY_AT), BUY_AT - timedelta(microseconds=1))
    assert state is before
    assert decisions == (SetTimer(Timer.BUY, BUY_AT),)


def test_filled_buy_is_bought_with_its_order_id_price_and_log() -> None:
    state, decisions = step(entering(), entry_report(), BOUGHT_AT)
    view = runtime_view(state)
    assert (view.position, view.last_buy_order, view.last_action) == (PositionStatus.BOUGHT, BUY_ID, "BUY")
    assert (view.filled_quantity, view.buy_price) == (10, Decimal("1500.00"))
    assert "ORDER_COMPLETE" in logged(decisions)


def test_accepted_buy_is_not_yet_bought() -> None:
    assert working().position_status is PositionStatus.BUYING


def test_filled_buy_journals_the_exit_and_watches_the_stop_loss() -> None:
    state, decisions = step(entering(), entry_report(), BOUGHT_AT)
    assert state.phase is Phase.ARMING
    assert decisions[1:4] == (
        ArmIntent(state.run.exit_intent(1, 10)),
        WatchPrice(STOP),
        SetTimer(Timer.SELL, SELL_AT),
    )


# --- row E4: missed triggers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=4, microseconds=999_999)])
def test_buy_less_than_five_seconds_late_is_executed_at_once(late: timedelta) -> None:
    state, decisions = step(scheduled(), TimerFired(Timer.BUY, BUY_AT), BUY_AT + late)
    assert state.phase is Phase.ENTERING
    assert len(of(decisions, SendOrder)) == 1


@pytest.mark.parametrize("late", [timedelta(seconds=5), timedelta(hours=30)])
def test_buy_five_seconds_late_is_logged_as_missed_and_never_sent(late: timedelta) -> None:
    state, decisions = step(scheduled(), TimerFired(Timer.BUY, BUY_AT), BUY_AT + late)
    assert (state.phase, state.position_status) == (Phase.ENDED, PositionStatus.NONE)
    assert state.detail is StatusDetail.MISSED_EXECUTION
    assert "MISSED_EXECUTION" in logged(decisions)
    assert "missed_execution" in alerts(decisions)
    assert of(decisions, SendOrder) == []


def test_grace_is_the_operators_setting() -> None:
    patient = scheduled(missed_grace=timedelta(seconds=60))
    assert play(patient, TimerFired(Timer.BUY, BUY_AT), at=BUY_AT + timedelta(seconds=59)).phase is Phase.ENTERING


def test_sell_less_than_five_seconds_late_is_an_ordinary_sell() -> None:
    now = SELL_AT + timedelta(seconds=4, microseconds=999_999)
    _, decisions = step(guarding(), TimerFired(Timer.SELL, SELL_AT), now)
    assert len(of(decisions, SendOrder)) == 1
    assert alerts(decisions) == []


def test_missed_sell_is_logged_alerted_and_executed_in_the_same_session() -> None:
    state, decisions = step(guarding(), TimerFired(Timer.SELL, SELL_AT), SELL_AT + timedelta(seconds=5))
    assert state.exit_event is OrderEvent.SELL
    assert isinstance(decisions[0], SendOrder)
    assert "MISSED_EXECUTION" in logged(decisions)
    assert "missed_execution" in alerts(decisions)


def test_missed_sell_is_held_under_its_stop_loss_when_the_operator_says_so() -> None:
    now = SELL_AT + timedelta(seconds=5)
    state, decisions = step(guarding(late_exit=LateExit.HOLD), TimerFired(Timer.SELL, SELL_AT), now)
    assert (state.phase, state.detail) == (Phase.GUARDING, StatusDetail.MISSED_EXECUTION)
    assert of(decisions, SendOrder) == []
    assert play(state, TickReceived(a_tick(BELOW, now)), at=now).phase is Phase.EXITING


def test_sell_missed_by_a_day_is_held_not_sold_in_another_session() -> None:
    state, decisions = step(guarding(), TimerFired(Timer.SELL, SELL_AT), SELL_AT + timedelta(days=1))
    assert state.phase is Phase.GUARDING
    assert of(decisions, SendOrder) == []
    assert "missed_execution" in alerts(decisions)


# --- rows H1, H2, H3: an entry that fails -----------------------------------------------------------------------------


def test_entry_that_failed_all_its_retries_stops_the_strategy() -> None:
    state, decisions = step(entering(), failed(FailureKind.EXHAUSTED), LATER)
    view = runtime_view(state)
    assert (view.status, view.position) == (RunStatus.FAILED, PositionStatus.BUY_FAILED)
    assert view.message == "Order Failed – Strategy Stopped"
    assert "ORDER_FAILED" in logged(decisions)
    assert "order_failed" in alerts(decisions)
    assert CancelTimers() in decisions
    assert of(decisions, EndRun) == [EndRun(manual=False)]


@pytest.mark.parametrize("event", [failed(FailureKind.REFUSED), entry_report(OrderStage.REJECTED, 0, "no margin")])
def test_rejected_buy_aborts_the_strategy_and_says_why(event: Event) -> None:
    state, decisions = step(entering(), event, LATER)
    view = runtime_view(state)
    assert (view.position, view.status_detail) == (PositionStatus.BUY_FAILED, StatusDetail.ORDER_REJECTED)
    assert view.message in {"Buy Failed – because", "Buy Failed – no margin"}
    assert "buy_failed" in alerts(decisions)
    assert of(decisions, EndRun)


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        (FailureKind.UNREACHABLE, StatusDetail.BROKER_UNREACHABLE),
        (FailureKind.SESSION_EXPIRED, StatusDetail.SESSION_EXPIRED),
        (FailureKind.HALTED, StatusDetail.ENTRIES_HALTED),
    ],
)
def test_unreachable_broker_pauses_the_strategy_with_an_alert(kind: FailureKind, detail: StatusDetail) -> None:
    state, decisions = step(entering(), failed(kind), BUY_AT)
    assert (state.phase, state.status, state.detail) == (Phase.PAUSED, RunStatus.PAUSED, detail)
    assert alerts(decisions) == [detail]
    assert SetTimer(Timer.RETRY, BUY_AT + PROBE_INTERVAL) in decisions


def test_a_buy_that_its_user_has_forbidden_ends_the_run_and_is_not_tried_again() -> None:
    state, decisions = step(entering(), failed(FailureKind.FORBIDDEN), BUY_AT)
    assert (state.phase, state.detail) == (Phase.ENDED, StatusDetail.ENTRIES_FORBIDDEN)
    assert state.message == "Not bought – because"
    assert alerts(decisions) == ["entries_forbidden"]
    assert of(decisions, EndRun)
    assert not of(decisions, SetTimer)


def test_paused_strategy_keeps_probing_the_broker() -> None:
    now = BUY_AT + PROBE_INTERVAL
    _, decisions = step(paused(), TimerFired(Timer.RETRY, now), now)
    assert decisions == (ProbeBroker(), SetTimer(Timer.RETRY, now + PROBE_INTERVAL))


def test_broker_back_in_time_buys_at_once_since_nothing_is_proven_to_have_left() -> None:
    state, decisions = step(paused(), BrokerRestored(), BUY_AT + timedelta(seconds=4))
    assert state.phase is Phase.ENTERING
    assert [send.look_up_first for send in of(decisions, SendOrder)] == [False]


def test_a_run_that_was_loaded_paused_looks_at_the_book_before_it_buys() -> None:
    loaded = load_state(paused().run, dump_state(paused()))
    _, decisions = step(loaded, BrokerRestored(), BUY_AT + timedelta(seconds=4))
    assert [send.look_up_first for send in of(decisions, SendOrder)] == [True]


def test_broker_back_too_late_ends_the_run_as_missed() -> None:
    state, decisions = step(paused(), BrokerRestored(), BUY_AT + timedelta(seconds=5))
    assert (state.phase, state.detail) == (Phase.ENDED, StatusDetail.MISSED_EXECUTION)
    assert of(decisions, SendOrder) == []


def test_buy_cancelled_without_a_fill_ends_the_run() -> None:
    state, decisions = step(entering(), entry_report(OrderStage.CANCELLED, 0), LATER)
    assert (state.position_status, state.detail) == (PositionStatus.BUY_FAILED, StatusDetail.UNFILLED)
    assert "buy_failed" in alerts(decisions)


def test_unknown_outcome_is_said_once_and_nothing_is_sent_by_the_machine() -> None:
    unknown, decisions = step(entering(), PlacementUnresolved(ENTRY, "timeout"), BOUGHT_AT)
    assert (unknown.phase, unknown.detail) == (Phase.ENTERING, StatusDetail.ORDER_UNKNOWN)
    assert of(decisions, SendOrder) == []
    assert len(alerts(decisions)) == 1
    assert step(unknown, PlacementUnresolved(ENTRY, "timeout"), BOUGHT_AT) == (unknown, ())


def test_broker_that_does_not_answer_while_an_order_is_in_doubt_pauses_the_status() -> None:
    state = play(entering(), PlacementUnresolved(ENTRY, "timeout", unreachable=True))
    assert (state.status, state.detail) == (RunStatus.PAUSED, StatusDetail.BROKER_UNREACHABLE)
    found = play(state, entry_report(OrderStage.OPEN, 0))
    assert (found.status, found.detail) == (RunStatus.RUNNING, StatusDetail.NONE)


def test_an_order_in_doubt_whose_session_has_expired_asks_for_a_login() -> None:
    state = play(entering(), PlacementUnresolved(ENTRY, "token is invalid", login_expired=True))
    assert (state.status, state.detail) == (RunStatus.PAUSED, StatusDetail.SESSION_EXPIRED)
    assert "reconnect your broker" in state.message


def test_old_failure_does_not_end_a_buy_whose_order_is_known() -> None:
    before = working()
    assert step(before, failed(FailureKind.EXHAUSTED), LATER) == (before, ())


# --- an entry that parks ---------------------------------------------------------------------------------------------


def test_parked_buy_is_given_its_patience_once() -> None:
    state, decisions = step(entering(), entry_report(OrderStage.OPEN, 0), BOUGHT_AT)
    assert SetTimer(Timer.ENTRY_PATIENCE, BOUGHT_AT + ENTRY_PATIENCE) in decisions
    assert of(step(state, entry_report(OrderStage.OPEN, 1), BOUGHT_AT)[1], SetTimer) == [
        SetTimer(Timer.SELL, SELL_AT),
    ]


@pytest.mark.parametrize("filled", [0, 4])
def test_parked_buy_is_cancelled_when_patience_ends(filled: int) -> None:
    now = BOUGHT_AT + ENTRY_PATIENCE
    _, decisions = step(working(filled), TimerFired(Timer.ENTRY_PATIENCE, now), now)
    assert of(decisions, CancelOrder) == [CancelOrder(ENTRY, BUY_ID)]


def test_patience_that_ends_after_the_fill_cancels_nothing() -> None:
    now = BOUGHT_AT + ENTRY_PATIENCE
    assert step(guarding(), TimerFired(Timer.ENTRY_PATIENCE, now), now) == (guarding(), ())
