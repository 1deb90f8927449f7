"""Fills in whole, in part and late, and what people see of them (rows H4, L1; ruling 2)."""

from decimal import Decimal

import pytest

from actors.domain.orders.order import FailureKind, OrderEvent, OrderReport, OrderStage
from actors.domain.orders.position import PositionStatus
from actors.domain.strategy.decisions import (
    ArmIntent,
    CancelOrder,
    SendOrder,
)
from actors.domain.strategy.events import (
    IntentArmed,
    OrderReported,
    TickReceived,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.snapshot import RuntimeView, runtime_view
from actors.domain.strategy.state import Phase, StrategyState
from tests.kit.builders import a_report, a_tick
from tests.kit.decisions import alerts, logged, of
from tests.kit.events import BUY_ID, ENTRY, entry_report, exit_id, exit_report, failed
from tests.kit.phases import (
    BELOW,
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

# --- row H4, ruling 2: fills, in whole, in part and late --------------------------------------------------------------


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
def test_position_has_the_word_of_the_status(state: StrategyState, position: str) -> None:
    view: RuntimeView = runtime_view(state)
    assert view.position == position


def test_profit_is_over_the_averages_of_all_exits() -> None:
    first: OrderReport = a_report("290001", OrderStage.CANCELLED, filled=4, price="1400")
    last: OrderReport = a_report("290002", filled=6, quantity=6, price="1410")
    state = play(exiting(), OrderReported(exit_id(1), first), OrderReported(exit_id(2), last))
    assert runtime_view(state).sell_price == Decimal("1406.00")
    assert runtime_view(state).pnl == Decimal("-940.00")
