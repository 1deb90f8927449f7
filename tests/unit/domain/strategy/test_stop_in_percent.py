"""Row N5, its first part: the stop-loss of a run is reckoned from its own fill, and goes with the average."""

from dataclasses import replace
from datetime import timedelta

from actors.domain.orders.order import OrderEvent, OrderStage
from actors.domain.strategy.decisions import SendOrder, WatchPrice
from actors.domain.strategy.events import IntentArmed, OrderReported, RunRecovered, StopLossMoved, TickReceived
from actors.domain.strategy.machine import step
from actors.domain.strategy.snapshot import dump_state, load_state, runtime_view
from actors.domain.strategy.state import Phase, StrategyState
from tests.kit.builders import a_report, a_tick
from tests.kit.events import ENTRY, exit_id
from tests.kit.phases import BOUGHT_AT, LATER, entering, guarding, play, scheduled

SHARE = {"stop_loss": 0, "stop_share": 200, "tick": 5}


def filled(quantity: int, price: str, stage: OrderStage = OrderStage.OPEN) -> OrderReported:
    return OrderReported(ENTRY, a_report(stage=stage, filled=quantity, price=price))


def test_nothing_is_below_a_stop_that_is_not_reckoned_yet() -> None:
    state = play(scheduled(**SHARE), TickReceived(a_tick(1, LATER)))
    assert (state.phase, state.stop_loss) == (Phase.SCHEDULED, 0)
    assert entering(**SHARE).phase is Phase.ENTERING


def test_the_fill_sets_the_level_that_is_watched() -> None:
    state, decisions = step(entering(**SHARE), filled(10, "1503.10", OrderStage.COMPLETE), BOUGHT_AT)
    assert WatchPrice(147_305) in decisions  # 1473.038: up
    assert runtime_view(state).stop_loss == 147_305
    assert (runtime_view(state).stop_share, state.run.stop_loss) == (200, 0)


def test_a_touch_of_the_level_sells_and_a_paisa_above_does_not() -> None:
    state = guarding(**SHARE)  # at 1500.00
    assert play(state, TickReceived(a_tick(147_001, LATER))).phase is Phase.GUARDING
    after, decisions = step(state, TickReceived(a_tick(147_000, LATER)), LATER)
    assert (after.phase, after.exit_event) == (Phase.EXITING, OrderEvent.STOPLOSS)
    assert any(isinstance(decision, SendOrder) for decision in decisions)


def test_the_level_goes_with_the_average_while_the_entry_grows() -> None:
    arming = play(entering(**SHARE), filled(4, "1500.00"), at=BOUGHT_AT)
    assert arming.stop_loss == 147_000
    watched = play(arming, IntentArmed(exit_id()), at=BOUGHT_AT)
    state, decisions = step(watched, filled(10, "1510.00", OrderStage.COMPLETE), LATER)
    assert WatchPrice(147_980) in decisions
    assert (state.stop_loss, state.open_quantity, state.level_set_at) == (147_980, 10, LATER)
    second = timedelta(seconds=1)
    low_of_before = replace(a_tick(151_000, LATER + second, low=147_500), extremes_since=LATER - second)
    assert play(state, TickReceived(low_of_before)).phase is Phase.GUARDING


def test_a_level_in_rupees_stays_when_the_entry_grows() -> None:
    moved = play(play(entering(**SHARE), filled(4, "1500.00"), at=BOUGHT_AT), StopLossMoved(140_000), at=BOUGHT_AT)
    grown, decisions = step(moved, filled(10, "1510.00", OrderStage.COMPLETE), LATER)
    assert (grown.stop_loss, grown.stop_share) == (140_000, None)
    assert not any(isinstance(decision, WatchPrice) for decision in decisions)


def test_a_share_may_take_the_place_of_rupees_before_and_after_the_fill() -> None:
    before = play(scheduled(), StopLossMoved(0, stop_share=300))
    assert (before.stop_loss, before.stop_share) == (0, 300)
    after, decisions = step(guarding(tick=5), StopLossMoved(0, stop_share=300), LATER)
    assert (after.stop_loss, WatchPrice(145_500) in decisions) == (145_500, True)


def test_a_new_incarnation_has_the_level_of_what_was_filled_meanwhile() -> None:
    before = play(play(entering(**SHARE), filled(4, "1500.00"), at=BOUGHT_AT), IntentArmed(exit_id()), at=BOUGHT_AT)
    again = load_state(before.run, dump_state(before))
    assert (again.stop_loss, again.stop_share) == (147_000, 200)
    report = a_report(filled=10, price="1510.00", tag=before.entry.intent.tag)
    state, decisions = step(again, RunRecovered({before.entry.intent.tag: report}), LATER)
    assert (state.phase, state.stop_loss) == (Phase.GUARDING, 147_980)
    assert WatchPrice(147_980) in decisions


def test_a_snapshot_of_an_earlier_release_has_rupees() -> None:
    data = dump_state(guarding())
    del data["stop_share"]
    state: StrategyState = load_state(guarding().run, data)
    assert (state.stop_share, state.stop_loss) == (None, guarding().stop_loss)
