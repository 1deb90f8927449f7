"""The stop-loss, the feed it depends on, and events that come twice (rows F1, F3, G1, J2)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from actors.domain.errors import IllegalEvent
from actors.domain.identifiers import IntentId, Leg
from actors.domain.orders.order import FailureKind, OrderEvent, OrderStage
from actors.domain.orders.position import PositionStatus
from actors.domain.prices.tick import Tick
from actors.domain.strategy.decisions import (
    CancelTimers,
    EndRun,
    SendOrder,
    WatchPrice,
)
from actors.domain.strategy.events import (
    Event,
    FeedLost,
    FeedRestored,
    IntentArmed,
    OrderReported,
    StopLossMoved,
    StopRequested,
    TickReceived,
    Timer,
    TimerFired,
)
from actors.domain.strategy.machine import step
from actors.domain.strategy.snapshot import runtime_view
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail, StrategyState
from tests.kit.builders import BUY_AT, NOW, SELL_AT, a_report, a_tick
from tests.kit.decisions import alerts, logged, of
from tests.kit.events import ENTRY, entry_report, exit_id, exit_report, failed
from tests.kit.phases import (
    ABOVE,
    AT_STOP,
    BELOW,
    BOUGHT_AT,
    LATER,
    STOP,
    arming,
    ended,
    entering,
    exiting,
    guarding,
    paused,
    play,
    scheduled,
)

# --- rows F1, F3: the stop-loss ---------------------------------------------------------------------------------------


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


def test_low_from_before_the_fill_does_not_exit() -> None:
    tick = replace(a_tick(ABOVE, LATER, low=BELOW), extremes_from=BUY_AT - timedelta(microseconds=1))
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


def test_trade_of_before_the_fill_shows_the_price_but_decides_nothing() -> None:
    old = a_tick(BELOW, LATER, age=LATER - BUY_AT + timedelta(microseconds=1))
    state, decisions = step(guarding(), TickReceived(old), LATER)
    assert (state.phase, state.last_price) == (Phase.GUARDING, BELOW)
    assert decisions == ()


@pytest.mark.parametrize("age_s", [0, 5.5, 8, 60, -4, -600])
def test_trade_since_the_fill_exits_however_late_it_is_heard_and_however_wrong_our_clock_is(age_s: float) -> None:
    tick = a_tick(BELOW, LATER, age=timedelta(seconds=age_s))
    assert play(guarding(), TickReceived(tick)).phase is Phase.EXITING


def test_fill_is_dated_by_the_exchange_and_not_by_our_clock() -> None:
    filled = replace(entry_report().report, exchange_time=BOUGHT_AT)
    ahead = BOUGHT_AT + timedelta(minutes=7)
    bought = play(entering(), OrderReported(ENTRY, filled), IntentArmed(exit_id()), at=ahead)
    assert bought.watched_since == BUY_AT
    before, same_second = (Tick.single(1, BELOW, at, ahead) for at in (BUY_AT - timedelta(seconds=1), BUY_AT))
    assert play(bought, TickReceived(before), at=ahead).phase is Phase.GUARDING
    assert play(bought, TickReceived(same_second), at=ahead).phase is Phase.EXITING


def test_first_fill_is_the_one_that_counts() -> None:
    reports = [(n, entry_report(OrderStage.OPEN, n).report) for n in (4, 9)]
    parts = [replace(report, exchange_time=BUY_AT + timedelta(seconds=n)) for n, report in reports]
    bought = play(entering(), *(OrderReported(ENTRY, part) for part in parts), at=BUY_AT + timedelta(seconds=30))
    assert bought.watched_since == BUY_AT + timedelta(seconds=4)


def test_moved_stop_is_watched_at_once_behind_a_lagging_feed_or_a_clock_that_is_ahead() -> None:
    lag = timedelta(seconds=8)
    moved = play(guarding(), StopLossMoved(STOP + 2000, lag))
    assert play(moved, TickReceived(a_tick(STOP + 1000, LATER, age=lag))).phase is Phase.EXITING
    before = a_tick(STOP + 1000, LATER, age=lag + timedelta(seconds=1))
    assert play(moved, TickReceived(before)).phase is Phase.GUARDING


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


# --- row J2: the feed -------------------------------------------------------------------------------------------------


def test_lost_feed_is_alerted_once_while_a_position_depends_on_it() -> None:
    lost, decisions = step(guarding(), FeedLost(), LATER)
    assert alerts(decisions) == ["feed_lost"]
    assert runtime_view(lost).status_detail == StatusDetail.FEED_DOWN
    assert step(lost, FeedLost(), LATER)[1] == ()


def test_lost_feed_without_a_position_is_no_alarm() -> None:
    assert step(scheduled(), FeedLost(), NOW)[1] == ()


def test_touch_while_the_feed_was_away_exits_when_it_is_heard() -> None:
    back = play(guarding(), FeedLost(), FeedRestored())
    state = play(back, TickReceived(a_tick(BELOW, LATER, age=timedelta(minutes=1))))
    assert state.phase is Phase.EXITING


def test_tick_does_not_prove_that_the_feed_is_as_it_should_be() -> None:
    late = play(guarding(), FeedLost("8.0 s behind our clock", late=True))
    assert runtime_view(play(late, TickReceived(a_tick(ABOVE, LATER)))).status_detail == StatusDetail.FEED_DOWN


def test_late_feed_is_said_once_decides_all_the_same_and_worse_is_said_too() -> None:
    late, decisions = step(guarding(), FeedLost("8.0 s behind our clock", late=True), LATER)
    assert (alerts(decisions), logged(decisions)) == (["ticks_stale"], ["TICKS_STALE"])
    assert step(late, FeedLost("8.1 s behind our clock", late=True), LATER)[1] == ()
    assert play(late, TickReceived(a_tick(BELOW, LATER))).phase is Phase.EXITING
    assert alerts(step(late, FeedLost(), LATER)[1]) == ["feed_lost"]
    over, decisions = step(late, FeedRestored(), LATER)
    assert logged(decisions) == ["FEED_RESTORED"]
    assert runtime_view(over).status_detail == StatusDetail.NONE


def test_feed_that_was_lost_before_the_buy_is_said_once_a_position_depends_on_it() -> None:
    bought = play(play(entering(), FeedLost(), at=BUY_AT), entry_report(), IntentArmed(exit_id()))
    assert alerts(step(bought, FeedLost(), LATER)[1]) == ["feed_lost"]


def test_nothing_is_bought_that_the_broker_does_not_list_today() -> None:
    gone, decisions = step(scheduled(), FeedLost("the broker does not list INFY today", unlisted=True), NOW)
    assert alerts(decisions) == ["symbol_not_listed"]
    assert step(gone, FeedLost("the broker does not list INFY today", unlisted=True), NOW)[1] == ()
    over, decisions = step(gone, TimerFired(Timer.BUY, BUY_AT), BUY_AT)
    assert of(decisions, SendOrder) == []
    assert (over.phase, over.detail) == (Phase.ENDED, StatusDetail.NOT_LISTED)
    back, decisions = step(gone, FeedRestored(), NOW)
    assert logged(decisions) == ["FEED_RESTORED"], "its notice is over"
    assert of(step(back, TimerFired(Timer.BUY, BUY_AT), BUY_AT)[1], SendOrder) != []


def test_first_fresh_tick_after_the_feed_is_back_exits_through_a_gap() -> None:
    back = play(guarding(), FeedLost(), FeedRestored())
    assert runtime_view(back).status_detail == StatusDetail.NONE
    assert play(back, TickReceived(a_tick(BELOW, LATER))).phase is Phase.EXITING


# --- row G1: duplicates and conflicts ---------------------------------------------------------------------------------


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
def test_nothing_sends_a_second_exit_while_one_is_working(event: Event) -> None:
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
