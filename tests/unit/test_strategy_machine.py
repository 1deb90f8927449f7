"""What one strategy does, row by row of the specification, from START to its end."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from actors.domain.decisions import (
    ArmIntent,
    CancelOrder,
    CancelTimers,
    Decision,
    EndRun,
    LogEvent,
    ProbeBroker,
    RaiseAlert,
    SendOrder,
    SetTimer,
    WatchPrice,
)
from actors.domain.entries import ENTRY_PATIENCE, PROBE_INTERVAL, RETRY_WINDOW
from actors.domain.errors import IllegalEvent, InvalidValue
from actors.domain.events import (
    BrokerRestored,
    Event,
    FeedLost,
    FeedRestored,
    IntentArmed,
    OrderReported,
    PlacementFailed,
    PlacementUnresolved,
    PositionClosedOutside,
    RunRecovered,
    StopLossMoved,
    StopRequested,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.exits import EXIT_FAILURE_LIMIT, EXIT_RETRY_DELAY
from actors.domain.identifiers import IntentId, Leg
from actors.domain.order import FailureKind, OrderEvent, OrderReport, OrderStage
from actors.domain.position import PositionStatus
from actors.domain.session import LateExit
from actors.domain.snapshot import RuntimeView, runtime_view
from actors.domain.strategy_machine import step
from actors.domain.strategy_state import Phase, RunStatus, StatusDetail, StrategyState
from tests.kit.builders import BUY_AT, NOW, SELL_AT, a_report, a_run, a_tick

STOP = 145000
ABOVE, AT_STOP, BELOW = STOP + 5000, STOP, STOP - 500
BOUGHT_AT = BUY_AT + timedelta(milliseconds=200)
LATER = BUY_AT + timedelta(minutes=10)
ENTRY = IntentId(7, Leg.ENTRY, 1)
BUY_ID = "1900000000000000001"

D = TypeVar("D", bound=Decision)


def exit_id(seq: int = 1) -> IntentId:
    return IntentId(7, Leg.EXIT, seq)


def of(decisions: tuple[Decision, ...], kind: type[D]) -> list[D]:
    return [decision for decision in decisions if isinstance(decision, kind)]


def logged(decisions: tuple[Decision, ...]) -> list[str]:
    return [log.event for log in of(decisions, LogEvent)]


def alerts(decisions: tuple[Decision, ...]) -> list[str]:
    return [alert.code for alert in of(decisions, RaiseAlert)]


def play(state: StrategyState, *events: Event, at: datetime = LATER) -> StrategyState:
    for event in events:
        state, _ = step(state, event, at)
    return state


def entry_report(stage: OrderStage = OrderStage.COMPLETE, filled: int = 10, reason: str = "") -> OrderReported:
    return OrderReported(ENTRY, a_report(BUY_ID, stage, filled=filled, reason=reason))


def exit_report(
    stage: OrderStage = OrderStage.COMPLETE, filled: int = 10, *, seq: int = 1, quantity: int = 10, price: str = "1450"
) -> OrderReported:
    report = a_report(f"29000{seq}", stage, filled=filled, quantity=quantity, price=price, reason="because")
    return OrderReported(exit_id(seq), report)


def failed(kind: FailureKind, intent_id: IntentId = ENTRY) -> PlacementFailed:
    return PlacementFailed(intent_id, kind, "because")


def scheduled(**changes: object) -> StrategyState:
    return play(StrategyState.scheduled(a_run(**changes)), RunRecovered(), at=NOW)


def entering(**changes: object) -> StrategyState:
    return play(scheduled(**changes), TimerFired(Timer.BUY, BUY_AT), at=BUY_AT)


def paused() -> StrategyState:
    return play(entering(), failed(FailureKind.UNREACHABLE), at=BUY_AT + timedelta(seconds=1))


def working(filled: int = 0) -> StrategyState:
    """The BUY is open at the broker; with fills, the run is arming."""
    return play(entering(), entry_report(OrderStage.OPEN, filled), at=BOUGHT_AT)


def arming(**changes: object) -> StrategyState:
    return play(entering(**changes), entry_report(), at=BOUGHT_AT)


def guarding(**changes: object) -> StrategyState:
    return play(arming(**changes), IntentArmed(exit_id()), at=BOUGHT_AT)


def exiting() -> StrategyState:
    return play(guarding(), TickReceived(a_tick(AT_STOP, LATER)))


def exit_failed(kind: FailureKind = FailureKind.EXHAUSTED) -> StrategyState:
    return play(exiting(), failed(kind, exit_id()))


def ended() -> StrategyState:
    return play(exiting(), exit_report())


# --- E1: the BUY at its instant --------------------------------------------------------------------------------------


def test_start_arms_both_timers_and_follows_the_price() -> None:
    _, decisions = step(StrategyState.scheduled(a_run()), RunRecovered(), NOW)
    assert set(decisions) == {SetTimer(Timer.BUY, BUY_AT), SetTimer(Timer.SELL, SELL_AT), WatchPrice(None)}


def test_buy_is_the_first_decision_at_the_buy_time() -> None:
    state, decisions = step(scheduled(), TimerFired(Timer.BUY, BUY_AT), BUY_AT)
    assert state.position_status is PositionStatus.BUYING
    assert isinstance(decisions[0], SendOrder)
    assert decisions[0].intent == state.run.entry_intent()
    assert decisions[0].intent.quantity == 10
    assert logged(decisions) == ["BUY_TRIGGERED"]


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


# --- E2: the SELL at its instant -------------------------------------------------------------------------------------


def test_sell_is_the_first_decision_at_the_sell_time() -> None:
    state, decisions = step(guarding(), TimerFired(Timer.SELL, SELL_AT), SELL_AT)
    assert state.position_status is PositionStatus.SELLING
    assert isinstance(decisions[0], SendOrder)
    assert (decisions[0].intent.event, decisions[0].intent.quantity) == (OrderEvent.SELL, 10)
    assert not decisions[0].look_up_first
    assert CancelTimers() in decisions


def test_filled_sell_ends_the_run_as_sold_with_its_order_id_and_profit() -> None:
    selling = play(guarding(), TimerFired(Timer.SELL, SELL_AT), at=SELL_AT)
    state, decisions = step(selling, exit_report(price="1510.50"), SELL_AT)
    view = runtime_view(state)
    assert (view.position, view.status, view.message) == (PositionStatus.SOLD, RunStatus.STOPPED, "Sold 10")
    assert (view.last_sell_order, view.last_sl_order) == ("290001", None)
    assert view.pnl == Decimal("105.00")
    assert view.terminated_at == SELL_AT
    assert of(decisions, EndRun) == [EndRun(manual=False)]


@pytest.mark.parametrize("state", [scheduled(), exiting(), exit_failed(), ended()], ids=lambda state: state.phase)
def test_sell_timer_sells_nothing_unless_bought(state: StrategyState) -> None:
    after, decisions = step(state, TimerFired(Timer.SELL, SELL_AT), SELL_AT)
    assert after == state
    assert decisions == ()


def test_sell_time_cancels_a_buy_that_is_still_open() -> None:
    _, decisions = step(working(), TimerFired(Timer.SELL, SELL_AT), SELL_AT)
    assert decisions == (CancelOrder(ENTRY, BUY_ID),)


@pytest.mark.parametrize(("early", "cancelled"), [(timedelta(0), True), (timedelta(microseconds=1), False)])
def test_buy_found_open_from_the_sell_time_on_is_cancelled(early: timedelta, *, cancelled: bool) -> None:
    _, decisions = step(entering(), entry_report(OrderStage.OPEN, 0), SELL_AT - early)
    assert (CancelOrder(ENTRY, BUY_ID) in decisions) is cancelled


def test_sell_time_ends_a_paused_run_as_missed() -> None:
    state, decisions = step(paused(), TimerFired(Timer.SELL, SELL_AT), SELL_AT)
    assert state.phase is Phase.ENDED
    assert "missed_execution" in alerts(decisions)


def test_sell_time_that_passes_while_the_exit_is_journalled_sells_as_soon_as_it_is() -> None:
    waiting = play(arming(), TimerFired(Timer.SELL, SELL_AT), at=SELL_AT)
    assert waiting.phase is Phase.ARMING
    state, decisions = step(waiting, IntentArmed(exit_id()), SELL_AT + timedelta(seconds=1))
    assert state.exit_event is OrderEvent.SELL
    assert isinstance(decisions[0], SendOrder)


# --- E4: missed triggers ---------------------------------------------------------------------------------------------


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


# --- F1, F3: the stop-loss -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", [AT_STOP, BELOW, 1])
def test_tick_at_or_below_the_stop_loss_exits_at_once(price: int) -> None:
    state, decisions = step(guarding(), TickReceived(a_tick(price, LATER)), LATER)
    assert isinstance(decisions[0], SendOrder)
    assert (decisions[0].intent.event, decisions[0].intent.quantity) == (OrderEvent.STOPLOSS, 10)
    assert state.message == "STOP-LOSS Triggered"
    assert CancelTimers() in decisions
    assert WatchPrice(None) in decisions
    assert "STOPLOSS_TRIGGERED" in logged(decisions)


def test_tick_one_paisa_above_the_stop_loss_is_left_alone() -> None:
    state, decisions = step(guarding(), TickReceived(a_tick(STOP + 1, LATER)), LATER)
    assert (state.phase, state.last_price) == (Phase.GUARDING, STOP + 1)
    assert decisions == ()


def test_touch_inside_a_conflated_tick_exits() -> None:
    assert play(guarding(), TickReceived(a_tick(ABOVE, LATER, low=AT_STOP))).phase is Phase.EXITING


def test_low_from_before_the_watch_began_does_not_exit() -> None:
    tick = replace(a_tick(ABOVE, LATER, low=BELOW), extremes_since=BOUGHT_AT - timedelta(microseconds=1))
    assert play(guarding(), TickReceived(tick)).phase is Phase.GUARDING


def test_filled_stop_loss_ends_the_run_as_the_specification_says() -> None:
    state, decisions = step(exiting(), exit_report(price="1449.5"), LATER)
    view = runtime_view(state)
    assert (view.position, view.status) == (PositionStatus.EXITED_BY_SL, RunStatus.STOPPED)
    assert (view.last_sl_order, view.last_sell_order) == ("290001", None)
    assert (view.terminated_at, view.message) == (LATER, "STOP-LOSS Triggered")
    assert CancelTimers() in decisions
    assert of(decisions, EndRun) == [EndRun(manual=False)]


@pytest.mark.parametrize("state", [scheduled(), entering(), paused(), ended()], ids=lambda state: state.phase)
def test_stop_loss_is_skipped_unless_bought(state: StrategyState) -> None:
    after, decisions = step(state, TickReceived(a_tick(BELOW, LATER)), LATER)
    assert after.phase is state.phase
    assert decisions == ()
    assert after.last_price == BELOW


def test_stale_tick_shows_the_price_but_decides_nothing() -> None:
    old = a_tick(BELOW, LATER, age=timedelta(seconds=5, microseconds=1))
    state, decisions = step(guarding(), TickReceived(old), LATER)
    assert (state.phase, state.last_price) == (Phase.GUARDING, BELOW)
    assert decisions == ()


def test_touch_while_the_exit_is_journalled_is_remembered_and_exits_when_it_is() -> None:
    touched = play(arming(), TickReceived(a_tick(BELOW, LATER)), TickReceived(a_tick(ABOVE, LATER)))
    assert touched.phase is Phase.ARMING
    state, decisions = step(touched, IntentArmed(exit_id()), LATER)
    assert state.exit_event is OrderEvent.STOPLOSS
    assert isinstance(decisions[0], SendOrder)


def test_exit_is_not_held_up_by_a_journal_that_does_not_answer() -> None:
    assert play(arming(), IntentArmed(exit_id(), durable=False)).phase is Phase.GUARDING


def test_moved_stop_loss_decides_from_then_on() -> None:
    moved, decisions = step(guarding(), StopLossMoved(STOP + 2000), LATER)
    assert WatchPrice(STOP + 2000) in decisions
    assert runtime_view(moved).stop_loss == STOP + 2000
    assert play(moved, TickReceived(a_tick(STOP + 2000, LATER))).phase is Phase.EXITING


def test_moved_stop_loss_is_not_touched_by_an_earlier_low() -> None:
    moved = play(guarding(), StopLossMoved(STOP + 2000))
    tick = replace(a_tick(ABOVE, LATER, low=STOP + 1000), extremes_since=LATER - timedelta(milliseconds=1))
    assert play(moved, TickReceived(tick)).phase is Phase.GUARDING


def test_lowered_stop_loss_no_longer_exits_at_the_old_level() -> None:
    moved = play(guarding(), StopLossMoved(BELOW))
    assert play(moved, TickReceived(a_tick(AT_STOP, LATER))).phase is Phase.GUARDING


@pytest.mark.parametrize("state", [scheduled(), entering(), paused()], ids=lambda state: state.phase)
def test_stop_loss_moved_before_the_buy_guards_the_position(state: StrategyState) -> None:
    moved = replace(play(state, StopLossMoved(BELOW)), phase=Phase.ENTERING)
    _, decisions = step(moved, entry_report(), LATER)
    assert WatchPrice(BELOW) in decisions


# --- J2: the feed ----------------------------------------------------------------------------------------------------


def test_lost_feed_is_alerted_once_while_a_position_depends_on_it() -> None:
    lost, decisions = step(guarding(), FeedLost(), LATER)
    assert alerts(decisions) == ["feed_lost"]
    assert runtime_view(lost).status_detail == StatusDetail.FEED_DOWN
    assert step(lost, FeedLost(), LATER)[1] == ()


def test_lost_feed_without_a_position_is_no_alarm() -> None:
    assert step(scheduled(), FeedLost(), NOW)[1] == ()


def test_ticks_cached_from_before_the_drop_decide_nothing_after_the_feed_is_back() -> None:
    back = play(guarding(), FeedLost(), FeedRestored())
    state = play(back, TickReceived(a_tick(BELOW, LATER, age=timedelta(minutes=1))))
    assert state.phase is Phase.GUARDING


def test_only_a_fresh_tick_proves_that_the_feed_is_back() -> None:
    lost = play(guarding(), FeedLost())
    assert play(lost, TickReceived(a_tick(ABOVE, LATER))).feed_live
    assert not play(lost, TickReceived(a_tick(ABOVE, LATER, age=timedelta(minutes=1)))).feed_live


def test_first_fresh_tick_after_the_feed_is_back_exits_through_a_gap() -> None:
    back = play(guarding(), FeedLost(), FeedRestored())
    assert runtime_view(back).status_detail == StatusDetail.NONE
    assert play(back, TickReceived(a_tick(BELOW, LATER))).phase is Phase.EXITING


# --- G1: duplicates and conflicts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        TimerFired(Timer.BUY, BUY_AT),
        TimerFired(Timer.SELL, SELL_AT),
        TickReceived(a_tick(BELOW, SELL_AT)),
        IntentArmed(exit_id()),
        StopRequested(),
        entry_report(),
    ],
    ids=lambda event: type(event).__name__,
)
def test_nothing_sends_a_second_exit_while_one_is_in_work(event: Event) -> None:
    _, decisions = step(exiting(), event, SELL_AT)
    assert of(decisions, SendOrder) == []


def test_second_buy_timer_is_discarded() -> None:
    before = entering()
    assert step(before, TimerFired(Timer.BUY, BUY_AT), BUY_AT) == (before, ())


def test_repeated_report_of_the_same_fill_is_discarded() -> None:
    assert step(guarding(), entry_report(), LATER) == (guarding(), ())
    part_sold = play(exiting(), exit_report(OrderStage.OPEN, 4))
    assert step(part_sold, exit_report(OrderStage.OPEN, 4), LATER) == (part_sold, ())


def test_older_report_does_not_undo_a_newer_one() -> None:
    part_sold = play(exiting(), exit_report(OrderStage.OPEN, 4))
    assert step(part_sold, exit_report(OrderStage.PENDING, 0), LATER) == (part_sold, ())


@pytest.mark.parametrize("event", [exit_report(), entry_report(), failed(FailureKind.REFUSED, exit_id())])
def test_run_that_has_ended_stays_as_it_is(event: Event) -> None:
    before = ended()
    assert step(before, event, LATER) == (before, ())


@pytest.mark.parametrize("event", [IntentArmed(IntentId(8, Leg.EXIT, 1)), OrderReported(exit_id(2), a_report())])
def test_event_of_an_order_the_run_does_not_know_is_illegal(event: Event) -> None:
    with pytest.raises(IllegalEvent):
        step(guarding(), event, LATER)


# --- H1, H2, H3: an entry that fails ---------------------------------------------------------------------------------


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


def test_paused_strategy_keeps_probing_the_broker() -> None:
    now = BUY_AT + PROBE_INTERVAL
    _, decisions = step(paused(), TimerFired(Timer.RETRY, now), now)
    assert decisions == (ProbeBroker(), SetTimer(Timer.RETRY, now + PROBE_INTERVAL))


def test_broker_back_in_time_buys_after_a_look_at_the_book() -> None:
    state, decisions = step(paused(), BrokerRestored(), BUY_AT + timedelta(seconds=4))
    assert state.phase is Phase.ENTERING
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


def test_old_failure_does_not_end_a_buy_whose_order_is_known() -> None:
    before = working()
    assert step(before, failed(FailureKind.EXHAUSTED), LATER) == (before, ())


# --- H4, ruling 2: fills, in whole, in part and late -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "filled", "event"),
    [
        (OrderStage.OPEN, 0, "ORDER_OPEN"),
        (OrderStage.OPEN, 4, "ORDER_PARTIALLY_FILLED"),
        (OrderStage.COMPLETE, 10, "ORDER_COMPLETE"),
        (OrderStage.REJECTED, 0, "ORDER_REJECTED"),
        (OrderStage.CANCELLED, 4, "ORDER_CANCELLED"),
    ],
)
def test_each_status_of_an_order_is_logged(stage: OrderStage, filled: int, event: str) -> None:
    _, decisions = step(entering(), entry_report(stage, filled), LATER)
    assert event in logged(decisions)


def test_buy_filled_in_part_is_bought_and_guarded() -> None:
    state = play(working(filled=4), IntentArmed(exit_id()))
    assert (state.phase, state.position_status, state.open_quantity) == (Phase.GUARDING, PositionStatus.BOUGHT, 4)


def test_exit_sells_what_was_filled_and_cancels_the_rest_of_the_buy() -> None:
    guarded = play(working(filled=4), IntentArmed(exit_id()))
    _, decisions = step(guarded, TickReceived(a_tick(BELOW, LATER)), LATER)
    assert [send.intent.quantity for send in of(decisions, SendOrder)] == [4]
    assert of(decisions, CancelOrder) == [CancelOrder(ENTRY, BUY_ID)]


def test_exit_follows_later_fills_of_the_buy() -> None:
    guarded = play(working(filled=4), IntentArmed(exit_id()), entry_report(OrderStage.OPEN, 7))
    _, decisions = step(guarded, TickReceived(a_tick(BELOW, LATER)), LATER)
    assert [send.intent.quantity for send in of(decisions, SendOrder)] == [7]


def test_fill_that_beats_the_cancellation_is_sold_as_the_next_exit() -> None:
    leaving = play(
        working(filled=4),
        IntentArmed(exit_id()),
        TickReceived(a_tick(BELOW, LATER)),
        entry_report(OrderStage.CANCELLED, 6),
    )
    state, decisions = step(leaving, exit_report(filled=4, quantity=4), LATER)
    sends = of(decisions, SendOrder)
    assert [(send.intent.id, send.intent.quantity, send.intent.event) for send in sends] == [
        (exit_id(2), 2, OrderEvent.STOPLOSS)
    ]
    assert ArmIntent(sends[0].intent) in decisions
    assert play(state, exit_report(filled=2, quantity=2, seq=2)).position_status is PositionStatus.EXITED_BY_SL


def test_flat_run_does_not_end_while_its_buy_may_still_fill() -> None:
    leaving = play(working(filled=4), IntentArmed(exit_id()), TickReceived(a_tick(BELOW, LATER)))
    flat, decisions = step(leaving, exit_report(filled=4, quantity=4), LATER)
    assert flat.phase is Phase.EXITING
    assert of(decisions, CancelOrder) == [CancelOrder(ENTRY, BUY_ID)]
    assert play(flat, entry_report(OrderStage.CANCELLED, 4)).phase is Phase.ENDED


def test_exit_cancelled_in_part_goes_on_with_the_remainder_under_the_next_number() -> None:
    _, decisions = step(exiting(), exit_report(OrderStage.CANCELLED, 4), LATER)
    assert [(send.intent.id, send.intent.quantity) for send in of(decisions, SendOrder)] == [(exit_id(2), 6)]


def test_next_exit_is_live_and_an_old_answer_about_the_first_does_not_fail_it() -> None:
    going_on = play(exiting(), exit_report(OrderStage.CANCELLED, 4))
    assert going_on.exits[-1].live
    assert step(going_on, failed(FailureKind.EXHAUSTED, exit_id(1)), LATER) == (going_on, ())


def test_exit_of_many_parts_sells_exactly_what_was_bought() -> None:
    parts = [(OrderStage.CANCELLED, 3, 10), (OrderStage.CANCELLED, 0, 7), (OrderStage.COMPLETE, 7, 7)]
    state = exiting()
    for seq, (stage, filled, quantity) in enumerate(parts, 1):
        state = play(state, exit_report(stage, filled, seq=seq, quantity=quantity))
    assert state.phase is Phase.ENDED
    assert (state.position.sold, state.open_quantity) == (10, 0)


def test_buy_filled_after_the_run_was_given_up_is_alerted() -> None:
    gone = play(entering(), failed(FailureKind.EXHAUSTED))
    state, decisions = step(gone, entry_report(), LATER)
    assert alerts(decisions) == ["late_fill"]
    assert state.open_quantity == 10


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


# --- ruling 3: an exit that fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "detail"),
    [
        (FailureKind.EXHAUSTED, RunStatus.FAILED, StatusDetail.ORDER_FAILED),
        (FailureKind.REFUSED, RunStatus.FAILED, StatusDetail.ORDER_REJECTED),
        (FailureKind.UNREACHABLE, RunStatus.PAUSED, StatusDetail.BROKER_UNREACHABLE),
        (FailureKind.SESSION_EXPIRED, RunStatus.PAUSED, StatusDetail.SESSION_EXPIRED),
    ],
)
def test_failed_exit_says_so_and_is_retried_slowly(kind: FailureKind, status: RunStatus, detail: StatusDetail) -> None:
    state, decisions = step(exiting(), failed(kind, exit_id()), LATER)
    assert (state.phase, state.status, state.detail) == (Phase.EXIT_FAILED, status, detail)
    assert state.message.startswith("Order Failed")
    assert decisions[0] == CancelTimers()
    assert SetTimer(Timer.RETRY, LATER + EXIT_RETRY_DELAY) in decisions
    assert "ORDER_FAILED" in logged(decisions)
    assert alerts(decisions) == ["exit_failed"]
    assert of(decisions, EndRun) == []


def test_retried_exit_is_the_same_intent_after_a_look_at_the_book() -> None:
    now = LATER + EXIT_RETRY_DELAY
    state, decisions = step(exit_failed(), TimerFired(Timer.RETRY, now), now)
    assert state.phase is Phase.EXITING
    assert [(send.intent.id, send.look_up_first) for send in of(decisions, SendOrder)] == [(exit_id(1), True)]


def test_retried_exit_is_live_and_can_fail_again() -> None:
    retried = play(exit_failed(), TimerFired(Timer.RETRY, LATER))
    assert retried.exits[-1].live
    assert play(retried, failed(FailureKind.EXHAUSTED, exit_id())) == exit_failed()


def test_repeated_rejection_does_not_hurry_a_failed_exit() -> None:
    rejected = exiting()
    for seq in range(1, EXIT_FAILURE_LIMIT + 1):
        rejected = play(rejected, exit_report(OrderStage.REJECTED, 0, seq=seq))
    assert step(rejected, exit_report(OrderStage.REJECTED, 0, seq=3), LATER) == (rejected, ())


def test_alert_of_a_failed_exit_says_what_the_broker_said() -> None:
    state = exiting()
    for seq in range(1, EXIT_FAILURE_LIMIT + 1):
        state, decisions = step(state, exit_report(OrderStage.REJECTED, 0, seq=seq), LATER)
    assert of(decisions, RaiseAlert)[0].message.endswith(": because")


def test_refused_exit_is_retried_under_its_own_number_since_the_broker_never_had_it() -> None:
    now = LATER + EXIT_RETRY_DELAY
    _, decisions = step(exit_failed(FailureKind.REFUSED), TimerFired(Timer.RETRY, now), now)
    assert [(send.intent.id, send.check_position) for send in of(decisions, SendOrder)] == [(exit_id(1), True)]


def test_exit_rejected_three_times_fails_and_is_retried_until_it_fills() -> None:
    state = exiting()
    for seq in range(1, EXIT_FAILURE_LIMIT + 1):
        assert state.phase is Phase.EXITING
        state, decisions = step(state, exit_report(OrderStage.REJECTED, 0, seq=seq), LATER)
    assert state.phase is Phase.EXIT_FAILED
    assert alerts(decisions) == ["exit_failed"]
    now = LATER + EXIT_RETRY_DELAY
    state = play(state, TimerFired(Timer.RETRY, now), at=now)
    assert state.exits[-1].intent.id == exit_id(4)
    assert play(state, exit_report(seq=4)).position_status is PositionStatus.EXITED_BY_SL


@pytest.mark.parametrize("event", [BrokerRestored(), StopRequested()])
def test_failed_exit_is_retried_at_once_when_the_broker_is_back_or_the_trader_asks(event: Event) -> None:
    state, decisions = step(exit_failed(), event, LATER)
    assert state.phase is Phase.EXITING
    assert len(of(decisions, SendOrder)) == 1


def test_exit_thought_absent_that_turns_up_is_adopted() -> None:
    assert play(exit_failed(), exit_report(OrderStage.OPEN, 0)).phase is Phase.EXITING
    assert play(exit_failed(), exit_report()).position_status is PositionStatus.EXITED_BY_SL


def test_exit_that_has_nothing_to_sell_ends_the_run_as_closed_outside() -> None:
    state, decisions = step(exiting(), failed(FailureKind.NOTHING_TO_SELL, exit_id()), LATER)
    assert (state.phase, state.detail) == (Phase.ENDED, StatusDetail.CLOSED_OUTSIDE)
    assert "closed_outside" in alerts(decisions)


# --- a position closed outside ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [arming(), guarding(), exit_failed()], ids=lambda state: state.phase)
def test_position_closed_outside_ends_the_run_without_an_order(state: StrategyState) -> None:
    after, decisions = step(state, PositionClosedOutside("squared off"), LATER)
    assert (after.phase, after.detail) == (Phase.ENDED, StatusDetail.CLOSED_OUTSIDE)
    assert after.position_status is PositionStatus.SOLD
    assert of(decisions, SendOrder) == []


def test_position_closed_outside_cancels_an_exit_in_work_and_waits_for_its_end() -> None:
    leaving = play(exiting(), exit_report(OrderStage.OPEN, 0))
    state, decisions = step(leaving, PositionClosedOutside("squared off"), LATER)
    assert state.phase is Phase.EXITING
    assert of(decisions, CancelOrder) == [CancelOrder(exit_id(), "290001")]
    after, decisions = step(state, exit_report(OrderStage.CANCELLED, 0), LATER)
    assert (after.phase, of(decisions, SendOrder)) == (Phase.ENDED, [])


# --- I1: STOP from every phase ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [scheduled(), paused()], ids=lambda state: state.phase)
def test_stop_before_anything_was_bought_ends_the_run_at_once(state: StrategyState) -> None:
    after, decisions = step(state, StopRequested(), LATER)
    assert (after.phase, after.status, after.detail) == (
        Phase.ENDED,
        RunStatus.STOPPED,
        StatusDetail.STOPPED_BY_USER,
    )
    assert after.position_status is PositionStatus.NONE
    assert CancelTimers() in decisions
    assert of(decisions, EndRun) == [EndRun(manual=True)]


def test_stop_while_buying_cancels_and_ends_when_nothing_was_filled() -> None:
    stopping, decisions = step(working(), StopRequested(), LATER)
    assert of(decisions, CancelOrder) == [CancelOrder(ENTRY, BUY_ID)]
    after, decisions = step(stopping, entry_report(OrderStage.CANCELLED, 0), LATER)
    assert (after.phase, after.detail) == (Phase.ENDED, StatusDetail.STOPPED_BY_USER)
    assert of(decisions, EndRun) == [EndRun(manual=True)]


def test_stop_while_the_buy_is_in_doubt_cancels_it_as_soon_as_it_is_found() -> None:
    stopping = play(entering(), StopRequested())
    assert of(step(stopping, entry_report(OrderStage.OPEN, 0), LATER)[1], CancelOrder) == [CancelOrder(ENTRY, BUY_ID)]


@pytest.mark.parametrize("kind", list(FailureKind))
def test_stop_while_the_buy_is_in_doubt_ends_when_it_is_proven_absent(kind: FailureKind) -> None:
    after, decisions = step(play(entering(), StopRequested()), failed(kind), LATER)
    assert (after.phase, after.detail) == (Phase.ENDED, StatusDetail.STOPPED_BY_USER)
    assert of(decisions, EndRun) == [EndRun(manual=True)]


def test_stop_that_loses_the_race_against_the_fill_sells_it() -> None:
    bought = play(working(), StopRequested(), entry_report())
    assert bought.phase is Phase.ARMING
    after, decisions = step(bought, IntentArmed(exit_id()), LATER)
    assert [send.intent.event for send in of(decisions, SendOrder)] == [OrderEvent.SELL]
    _, decisions = step(after, exit_report(), LATER)
    assert of(decisions, EndRun) == [EndRun(manual=True)]


def test_stop_while_the_exit_is_journalled_sells_as_soon_as_it_is() -> None:
    _, decisions = step(play(arming(), StopRequested()), IntentArmed(exit_id(), durable=False), LATER)
    assert isinstance(decisions[0], SendOrder)


def test_stop_with_a_position_sells_it_and_ends_as_stopped_by_the_user() -> None:
    selling, decisions = step(guarding(), StopRequested(), LATER)
    assert isinstance(decisions[0], SendOrder)
    assert decisions[0].intent.event is OrderEvent.SELL
    assert CancelTimers() in decisions
    after, decisions = step(selling, exit_report(), LATER)
    assert (after.position_status, after.detail) == (PositionStatus.SOLD, StatusDetail.STOPPED_BY_USER)
    assert of(decisions, EndRun) == [EndRun(manual=True)]


def test_stop_during_a_stop_loss_waits_for_the_one_exit() -> None:
    stopping, decisions = step(exiting(), StopRequested(), LATER)
    assert decisions == ()
    after, decisions = step(stopping, exit_report(), LATER)
    assert after.position_status is PositionStatus.EXITED_BY_SL
    assert of(decisions, EndRun) == [EndRun(manual=True)]


# --- J1: recovery in every phase -------------------------------------------------------------------------------------


def recover(
    state: StrategyState, *reports: OrderReported, at: datetime = LATER
) -> tuple[StrategyState, tuple[Decision, ...]]:
    tags = {ENTRY: state.entry.intent.tag} | {exit_id(n): state.run.exit_intent(n, 1).tag for n in range(1, 6)}
    return step(state, RunRecovered({tags[event.intent_id]: event.report for event in reports}), at)


def test_recovery_before_the_buy_restores_both_timers() -> None:
    state, decisions = recover(scheduled(), at=NOW)
    assert state.phase is Phase.SCHEDULED
    assert set(decisions) >= {SetTimer(Timer.BUY, BUY_AT), SetTimer(Timer.SELL, SELL_AT)}


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


def test_recovery_while_guarding_watches_anew_and_restores_the_sell_timer() -> None:
    state, decisions = recover(guarding(), entry_report())
    assert (state.phase, state.watched_since) == (Phase.GUARDING, LATER)
    assert set(decisions) == {WatchPrice(STOP), SetTimer(Timer.SELL, SELL_AT)}


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


# --- what people see -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "position"),
    [
        (scheduled(), "none"),
        (paused(), "none"),
        (entering(), "buying"),
        (arming(), "bought"),
        (guarding(), "bought"),
        (exiting(), "selling"),
        (exit_failed(), "selling"),
        (ended(), "exited_by_sl"),
    ],
    ids=lambda value: str(getattr(value, "phase", value)),
)
def test_position_is_named_as_the_contract_names_it(state: StrategyState, position: str) -> None:
    view: RuntimeView = runtime_view(state)
    assert view.position == position


def test_profit_is_over_the_averages_of_all_exits() -> None:
    first: OrderReport = a_report("290001", OrderStage.CANCELLED, filled=4, price="1400")
    last: OrderReport = a_report("290002", filled=6, quantity=6, price="1410")
    state = play(exiting(), OrderReported(exit_id(1), first), OrderReported(exit_id(2), last))
    assert runtime_view(state).sell_price == Decimal("1406.00")
    assert runtime_view(state).pnl == Decimal("-940.00")
