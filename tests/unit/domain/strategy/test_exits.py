"""How a position is sold, row by row (docs/requirements.md)."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from actors.domain.orders.order import FailureKind, OrderEvent, OrderStage
from actors.domain.orders.position import PositionStatus
from actors.domain.strategy.decisions import (
    CancelOrder,
    CancelTimers,
    EndRun,
    ProbeBroker,
    RaiseAlert,
    SendOrder,
    SetTimer,
)
from actors.domain.strategy.events import (
    BrokerRestored,
    Event,
    IntentArmed,
    OrderQueued,
    PositionClosedOutside,
    StopRequested,
    Timer,
    TimerFired,
)
from actors.domain.strategy.exit_retries import EXIT_RETRY_DELAY
from actors.domain.strategy.exits import EXIT_FAILURE_LIMIT
from actors.domain.strategy.machine import step
from actors.domain.strategy.outcomes import PROBE_INTERVAL
from actors.domain.strategy.snapshot import runtime_view
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail, StrategyState
from tests.kit.builders import SELL_AT
from tests.kit.decisions import alerts, logged, of
from tests.kit.events import BUY_ID, ENTRY, entry_report, exit_id, exit_report, failed
from tests.kit.phases import (
    LATER,
    arming,
    ended,
    entering,
    exit_failed,
    exiting,
    guarding,
    paused,
    play,
    scheduled,
    working,
)

# --- row E2: the SELL at its instant ----------------------------------------------------------------------------------


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


# --- ruling 3: an exit that fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "detail"),
    [
        (FailureKind.EXHAUSTED, RunStatus.FAILED, StatusDetail.ORDER_FAILED),
        (FailureKind.REFUSED, RunStatus.FAILED, StatusDetail.ORDER_REJECTED),
        (FailureKind.BUDGET_USED_UP, RunStatus.FAILED, StatusDetail.ORDER_BUDGET_USED_UP),
    ],
)
def test_failed_exit_says_so_and_is_retried_slowly(kind: FailureKind, status: RunStatus, detail: StatusDetail) -> None:
    state, decisions = step(exiting(), failed(kind, exit_id()), LATER)
    assert (state.phase, state.status, state.detail) == (Phase.EXIT_FAILED, status, detail)
    assert "position still open" in state.message
    assert decisions[0] == CancelTimers()
    assert SetTimer(Timer.RETRY, LATER + EXIT_RETRY_DELAY) in decisions
    assert "ORDER_FAILED" in logged(decisions)
    assert alerts(decisions) == ["exit_failed"]
    assert of(decisions, EndRun) == []


@pytest.mark.parametrize(
    ("kind", "detail", "message"),
    [
        (FailureKind.UNREACHABLE, StatusDetail.BROKER_UNREACHABLE, "Broker unreachable"),
        (FailureKind.SESSION_EXPIRED, StatusDetail.SESSION_EXPIRED, "Broker session expired"),
        (FailureKind.HALTED, StatusDetail.ENTRIES_HALTED, "Order Failed"),
    ],
)
def test_exit_that_waits_for_the_broker_asks_every_two_seconds_and_goes_out_when_it_is_back(
    kind: FailureKind, detail: StatusDetail, message: str
) -> None:
    waiting, decisions = step(exiting(), failed(kind, exit_id()), LATER)
    assert (waiting.phase, waiting.status, waiting.detail) == (Phase.EXIT_FAILED, RunStatus.PAUSED, detail)
    assert waiting.message.startswith(message)
    due = LATER + PROBE_INTERVAL
    assert SetTimer(Timer.RETRY, due) in decisions
    still, asked = step(waiting, TimerFired(Timer.RETRY, due), due)
    assert (still.phase, asked) == (Phase.EXIT_FAILED, (ProbeBroker(), SetTimer(Timer.RETRY, due + PROBE_INTERVAL)))
    back, sent = step(still, BrokerRestored(), due)
    assert back.phase is Phase.EXITING
    assert [(send.intent.id, send.look_up_first) for send in of(sent, SendOrder)] == [(exit_id(1), True)]


def test_exit_that_waits_for_the_order_limit_says_when_it_is_expected() -> None:
    queued, decisions = step(exiting(), OrderQueued(exit_id(), LATER), LATER)
    assert (queued.phase, queued.detail) == (Phase.EXITING, StatusDetail.ORDER_QUEUED)
    expected = f"{LATER.astimezone(queued.run.buy_at.tzinfo):%H:%M:%S}"
    assert queued.message.endswith(f"waiting for the broker's order limit, expected at {expected}")
    assert logged(decisions) == ["ORDER_QUEUED"]
    placed = play(queued, exit_report(OrderStage.OPEN, 0))
    assert placed.detail is StatusDetail.NONE
    assert "waiting" not in placed.message


def test_what_the_order_limit_says_of_another_order_changes_nothing() -> None:
    assert step(exiting(), OrderQueued(exit_id(9), LATER), LATER) == (exiting(), ())
    placed = play(exiting(), exit_report(OrderStage.OPEN, 0))
    assert step(placed, OrderQueued(exit_id(), LATER), LATER) == (placed, ())


def test_shares_sold_outside_while_the_exit_sold_the_rest_end_the_run() -> None:
    partly = play(exiting(), exit_report(OrderStage.COMPLETE, 4, quantity=4))
    assert partly.phase is Phase.EXITING
    ended, decisions = step(partly, failed(FailureKind.NOTHING_TO_SELL, exit_id(2)), LATER)
    assert (ended.phase, ended.detail) == (Phase.ENDED, StatusDetail.CLOSED_OUTSIDE)
    assert of(decisions, SendOrder) == []


def test_retried_exit_is_the_same_intent_after_a_look_at_the_book() -> None:
    now = LATER + EXIT_RETRY_DELAY
    state, decisions = step(exit_failed(), TimerFired(Timer.RETRY, now), now)
    assert state.phase is Phase.EXITING
    assert [(send.intent.id, send.look_up_first) for send in of(decisions, SendOrder)] == [(exit_id(1), True)]


def test_retried_exit_is_live_and_can_fail_again() -> None:
    retried = play(exit_failed(), TimerFired(Timer.RETRY, LATER))
    assert retried.exits[-1].live
    assert play(retried, failed(FailureKind.EXHAUSTED, exit_id())) == replace(exit_failed(), exit_tries=2)


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


def test_position_closed_outside_cancels_a_working_exit_and_waits_for_its_end() -> None:
    leaving = play(exiting(), exit_report(OrderStage.OPEN, 0))
    state, decisions = step(leaving, PositionClosedOutside("squared off"), LATER)
    assert state.phase is Phase.EXITING
    assert of(decisions, CancelOrder) == [CancelOrder(exit_id(), "290001")]
    after, decisions = step(state, exit_report(OrderStage.CANCELLED, 0), LATER)
    assert (after.phase, of(decisions, SendOrder)) == (Phase.ENDED, [])


# --- row I1: STOP from every phase ------------------------------------------------------------------------------------


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
