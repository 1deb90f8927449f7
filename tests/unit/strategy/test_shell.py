"""The shell of a strategy: one inbox, one consumer; orders before records; nothing lost, nothing done twice."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from actors.domain.orders.order import FailureKind, OrderEvent, OrderStage
from actors.domain.orders.position import PositionStatus
from actors.domain.strategy.entries import HAND_OVER
from actors.domain.strategy.events import IntentArmed, PlacementFailed, StopLossMoved, TickReceived, Timer, TimerFired
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail
from actors.ports.common import PeerUnavailable, StaleEpoch
from actors.ports.prices import FeedStatus
from actors.strategy.execution_calls import PEER_RETRY_S
from actors.strategy.price_subscription import WATCH_RENEWAL_S
from actors.strategy.shell import ARMING_PATIENCE_S
from tests.kit.builders import BUY_AT, NOW, a_tick
from tests.kit.strategies import SELL_AT, STOP, StrategyBench, listed, reported
from tests.kit.virtual_time import in_virtual_time, passing, until

DOWN = PeerUnavailable("restarting")
MS = timedelta(milliseconds=1)


async def snapshot_of(phase: Phase) -> dict[str, Any]:
    """What the journal holds of a run that came so far."""
    bench = await StrategyBench().guarding()
    if phase is Phase.EXITING:
        bench.tick(STOP)
        await bench.reaches(Phase.EXITING)
    assert bench.task is not None
    bench.task.cancel()
    return dump_state(bench.actor.state)


# --- a whole life -----------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_it_buys_and_sells_at_its_instants_and_ends() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    assert timedelta(0) <= bench.execution.arrived[0] - (BUY_AT - HAND_OVER) < 2 * MS
    assert (buy.intent.event, buy.triggered_at, buy.look_up_first) == (OrderEvent.BUY, BUY_AT, False)
    assert buy.not_before == BUY_AT
    bench.execution.answer(reported(buy.intent))
    sell = await bench.ordered(2)
    assert timedelta(0) <= bench.execution.arrived[1] - SELL_AT < 2 * MS
    assert (sell.intent.event, sell.triggered_at, sell.intent.quantity) == (OrderEvent.SELL, SELL_AT, 10)
    bench.execution.answer(reported(sell.intent))
    await bench.finished()
    last = bench.journal.records[-1]
    assert (last.ended, last.manual, last.state.position_status) == (True, False, PositionStatus.SOLD)
    assert bench.prices.unwatched == [bench.run.strategy_id]


@in_virtual_time
async def test_a_touch_of_the_stop_sells_at_once_and_the_timed_sell_never_comes() -> None:
    bench = await StrategyBench().guarding()
    bench.tick(STOP)
    await bench.ordered(2)
    assert bench.sent == [OrderEvent.BUY, OrderEvent.STOPLOSS]
    command = bench.execution.commands[-1]
    assert bench.execution.arrived[-1] - command.triggered_at < 5 * MS
    bench.execution.answer(reported(command.intent))
    await bench.finished()
    await passing(700)
    assert bench.sent == [OrderEvent.BUY, OrderEvent.STOPLOSS]
    assert bench.actor.state.position_status is PositionStatus.EXITED_BY_SL


@in_virtual_time
async def test_the_session_at_the_broker_is_opened_before_it_is_needed() -> None:
    bench = StrategyBench().start()
    await passing(1)
    assert (bench.execution.probes, bench.execution.commands) == (1, [])


# --- one inbox, one consumer ------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_hundred_breaches_and_a_stop_in_one_instant_sell_once() -> None:
    bench = await StrategyBench().guarding()
    stops = [asyncio.create_task(bench.actor.stop(0.1)) for _ in range(3)]
    for _ in range(100):
        bench.tick(STOP - 100)
    bench.actor.post(TimerFired(Timer.SELL, SELL_AT))
    await asyncio.gather(*stops)
    await passing(5)
    assert len(bench.sent) == 2


@in_virtual_time
async def test_a_sell_timer_yields_to_a_tick_that_is_already_in_the_inbox() -> None:
    bench = await StrategyBench().guarding()
    bench.clock.step(SELL_AT - bench.clock.now())
    bench.actor.post(TimerFired(Timer.SELL, SELL_AT))
    bench.tick(STOP)
    await bench.ordered(2)
    assert bench.sent[-1] is OrderEvent.STOPLOSS


@in_virtual_time
async def test_events_of_one_rank_are_taken_in_as_they_came() -> None:
    bench = StrategyBench().start()
    await passing(1)
    for price in (150000, 149000, 151000):
        bench.tick(price)
    await passing(0.01)
    assert bench.actor.state.last_price == 151000


@in_virtual_time
async def test_an_event_that_cannot_be_is_refused_with_an_alert_and_changes_nothing() -> None:
    bench = StrategyBench().start()
    await passing(1)
    before = bench.actor.state
    bench.actor.post(IntentArmed(bench.run.exit_intent(1, 1).id))
    await passing(1)
    assert bench.actor.state == before
    assert [code for code, _ in bench.journal.alerts] == ["event_refused"]
    await bench.ordered()  # and it lives on


# --- orders before records --------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_goes_to_execution_before_the_journal_is_written() -> None:
    bench = await StrategyBench().guarding()
    await passing(0.5)
    bench.trace.clear()
    bench.tick(STOP)
    await until(lambda: "record exiting" in bench.trace)
    assert bench.trace.index("execute STOPLOSS") < bench.trace.index("record exiting")


@in_virtual_time
async def test_a_stop_loss_goes_out_though_the_journal_does_not_answer() -> None:
    bench = await StrategyBench().guarding()
    bench.journal.open.clear()
    bench.tick(STOP)
    await until(lambda: len(bench.sent) == 2, within_s=0.01)


@in_virtual_time
async def test_records_are_retried_until_the_journal_has_them_and_none_is_lost() -> None:
    bench = StrategyBench()
    bench.journal.failures = [DOWN] * 200  # 100 seconds: over the whole entry
    bench.start()
    buy = await bench.ordered()
    bench.actor.post(reported(buy.intent, stage=OrderStage.OPEN, filled=0))
    await passing(0.01)
    bench.actor.post(reported(buy.intent, stage=OrderStage.OPEN, filled=4))
    await passing(0.01)
    bench.execution.answer(reported(buy.intent))
    await until(lambda: not bench.journal.failures, within_s=200)
    await until(lambda: "ORDER_COMPLETE" in bench.journal.logged)
    assert bench.journal.logged == ["BUY_TRIGGERED", "ORDER_OPEN", "ORDER_PARTIALLY_FILLED", "ORDER_COMPLETE"]


@in_virtual_time
async def test_records_come_one_at_a_time_in_order() -> None:
    bench = StrategyBench()
    bench.journal.open.clear()
    bench.start()
    buy = await bench.ordered()
    bench.execution.answer(reported(buy.intent))
    await bench.reaches(Phase.GUARDING)
    assert len(bench.journal.tried) == 1
    bench.journal.open.set()
    await passing(1)
    assert [entry.state.phase for entry in bench.journal.records] == [Phase.SCHEDULED, Phase.GUARDING]


@in_virtual_time
async def test_ticks_that_decide_nothing_are_not_journalled() -> None:
    bench = StrategyBench().start()
    await passing(1)
    before = len(bench.journal.records)
    for price in range(150000, 150100):
        bench.tick(price)
    await passing(1)
    assert len(bench.journal.records) == before


@in_virtual_time
async def test_log_lines_carry_the_time_of_the_event_and_not_of_the_record() -> None:
    bench = StrategyBench()
    bench.journal.open.clear()
    bench.start()
    await bench.ordered()
    await passing(60)
    bench.journal.open.set()
    await until(lambda: "BUY_TRIGGERED" in bench.journal.logged)
    (line,) = [line for e in bench.journal.records for line in e.logs if line.event.event == "BUY_TRIGGERED"]
    assert line.at - BUY_AT < 2 * MS


# --- arming -----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_stop_is_armed_once_the_journal_has_the_exit() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    bench.execution.answer(reported(buy.intent))
    await bench.reaches(Phase.GUARDING)
    assert bench.journal.records[-1].state.exits != ()


@in_virtual_time
async def test_arming_waits_for_a_record_that_began_after_the_fill() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    bench.journal.open.clear()
    bench.actor.post(reported(buy.intent, stage=OrderStage.OPEN, filled=0))
    await until(lambda: bench.journal.tried[-1].state.entry.order_id is not None)  # a record without the exit
    bench.actor.post(reported(buy.intent))
    await passing(0.05)
    bench.journal.open.set()
    await bench.reaches(Phase.GUARDING)
    assert bench.journal.records[-1].state.exits != ()


@in_virtual_time
async def test_arming_waits_no_longer_than_its_patience_and_then_guards_anyway() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    bench.journal.open.clear()
    bench.execution.answer(reported(buy.intent))
    bought = bench.clock.now()
    await bench.reaches(Phase.GUARDING)
    assert bench.clock.now() - bought <= timedelta(seconds=ARMING_PATIENCE_S) + 80 * MS
    bench.tick(STOP)
    await until(lambda: bench.sent[-1] is OrderEvent.STOPLOSS, within_s=0.01)


@in_virtual_time
async def test_a_touch_during_arming_is_not_forgotten() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    bench.journal.open.clear()
    bench.execution.answer(reported(buy.intent))
    await bench.reaches(Phase.ARMING)
    bench.tick(STOP)
    bench.tick(150000)
    await passing(ARMING_PATIENCE_S + 0.1)
    assert bench.sent[-1] is OrderEvent.STOPLOSS


# --- execution that dies ---------------------------------------------------------------------------------------------


@in_virtual_time
async def test_execution_that_dies_with_an_order_is_asked_again_and_looks_first() -> None:
    bench = StrategyBench()
    bench.execution.failures = [DOWN, DOWN]
    bench.start()
    await bench.ordered(3)
    assert [command.look_up_first for command in bench.execution.commands] == [False, True, True]
    assert {command.intent for command in bench.execution.commands} == {bench.run.entry_intent()}
    assert {command.not_after for command in bench.execution.commands} == {BUY_AT + timedelta(seconds=60)}


@in_virtual_time
async def test_execution_that_dies_with_an_order_called_back_only_looks_it_up() -> None:
    bench = StrategyBench()
    bench.start()
    buy = await bench.ordered()
    stopping = asyncio.create_task(bench.actor.stop(0.2))
    await until(lambda: bench.execution.withdrawn == [buy.intent.id])
    bench.execution.die(DOWN)
    again = await bench.ordered(2)
    assert again.look_up_first
    assert again.not_after is not None
    assert again.not_after <= bench.clock.now()
    await stopping


@in_virtual_time
async def test_a_cancel_is_repeated_until_execution_takes_it() -> None:
    bench = StrategyBench()
    bench.execution.cancel_failures = [DOWN, DOWN]
    bench.start()
    buy = await bench.ordered()
    bench.actor.post(reported(buy.intent, stage=OrderStage.OPEN, filled=0))
    await bench.actor.stop(0.01)
    await until(lambda: bench.execution.cancelled, within_s=3 * PEER_RETRY_S)


@in_virtual_time
async def test_an_unreachable_broker_pauses_the_entry_until_a_probe_finds_it() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    bench.execution.alive = False
    bench.execution.answer(PlacementFailed(buy.intent.id, FailureKind.UNREACHABLE, "the broker cannot be reached"))
    await bench.reaches(Phase.PAUSED)
    await passing(2.5)
    assert len(bench.sent) == 1
    bench.execution.alive = True
    assert not (await bench.ordered(2)).look_up_first  # the failure has proven that nothing has left


@in_virtual_time
async def test_execution_that_fails_in_an_unforeseen_way_is_asked_again() -> None:
    bench = await StrategyBench().guarding()
    bench.execution.failures = [KeyError("quantity")]
    bench.tick(STOP)
    again = await bench.ordered(3)
    assert (again.intent.event, again.look_up_first) == (OrderEvent.STOPLOSS, True)


# --- a newer incarnation ----------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_stale_epoch_ends_the_actor_without_further_orders() -> None:
    bench = await StrategyBench().guarding()
    bench.journal.failures = [StaleEpoch("epoch 2 is at work")]
    bench.actor.post(StopLossMoved(140000))
    await bench.finished()
    bench.tick(100)
    bench.actor.post(TimerFired(Timer.SELL, SELL_AT))
    await passing(700)
    assert bench.sent == [OrderEvent.BUY]
    assert bench.prices.unwatched == []  # the newer incarnation watches under the same id


@in_virtual_time
async def test_a_stop_given_to_a_superseded_actor_does_not_claim_success() -> None:
    bench = StrategyBench()
    bench.journal.failures = [StaleEpoch("epoch 2 is at work")]
    bench.start()
    await bench.finished()
    assert await bench.actor.stop(1.0) is False


# --- recovery ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_first_incarnation_reads_no_book() -> None:
    bench = StrategyBench().start()
    await passing(1)
    assert bench.execution.asked_for == []


@in_virtual_time
async def test_recovery_reads_the_book_before_timers_and_ticks() -> None:
    bench = StrategyBench(epoch=2, snapshot=await snapshot_of(Phase.GUARDING))
    bench.execution.book_failures = [DOWN] * 10
    bench.execution.book = [listed(bench.run.entry_intent())]
    bench.tick(STOP)
    bench.start()
    await passing(4)
    assert bench.sent == []
    assert "watch" not in bench.trace
    await bench.reaches(Phase.GUARDING)
    await until(lambda: "watch" in bench.trace)
    assert bench.trace.index("watch") > bench.trace.index("read book")
    assert bench.run.entry_intent().tag in bench.execution.asked_for[0]


@in_virtual_time
async def test_a_recovered_position_is_guarded_and_sold_in_time() -> None:
    bench = StrategyBench(epoch=2, snapshot=await snapshot_of(Phase.GUARDING))
    bench.execution.book = [listed(bench.run.entry_intent())]
    bench.start()
    await until(lambda: bench.prices.seen and bench.prices.seen[-1][1] == STOP)
    assert {level for _, level in bench.prices.seen} == {STOP}, "its router never hears that it watches no stop-loss"
    bench.tick(STOP)
    assert (await bench.ordered()).intent.event is OrderEvent.STOPLOSS


@in_virtual_time
async def test_an_exit_that_an_earlier_incarnation_sent_is_adopted_and_not_repeated() -> None:
    bench = StrategyBench(epoch=2, snapshot=await snapshot_of(Phase.GUARDING))
    exit_intent = bench.run.exit_intent(1, 10)
    bench.execution.book = [listed(bench.run.entry_intent()), listed(exit_intent)]
    bench.start()
    await bench.finished()
    assert bench.sent == []
    assert bench.journal.records[-1].ended


@in_virtual_time
async def test_a_working_exit_is_asked_for_again_with_a_look_first() -> None:
    bench = StrategyBench(epoch=2, snapshot=await snapshot_of(Phase.EXITING))
    bench.execution.book = [listed(bench.run.entry_intent())]
    bench.start()
    command = await bench.ordered()
    assert (command.intent.event, command.look_up_first, command.epoch) == (OrderEvent.STOPLOSS, True, 2)


@in_virtual_time
async def test_a_buy_of_a_second_incarnation_looks_before_it_sends() -> None:
    bench = StrategyBench(epoch=2)
    bench.clock.step(BUY_AT - NOW + timedelta(seconds=1))
    bench.start()
    command = await bench.ordered()
    assert (command.intent.event, command.look_up_first) == (OrderEvent.BUY, True)


@in_virtual_time
async def test_a_buy_that_was_missed_while_the_actor_was_down_is_not_made_up_for() -> None:
    bench = StrategyBench(epoch=2)
    bench.clock.step(BUY_AT - NOW + timedelta(seconds=6))
    bench.start()
    await bench.finished()
    assert bench.sent == []
    assert bench.actor.state.detail is StatusDetail.MISSED_EXECUTION
    assert "MISSED_EXECUTION" in bench.journal.logged


# --- the trader -------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_stop_returns_when_the_position_is_sold_and_recorded() -> None:
    bench = await StrategyBench().guarding()
    bench.journal.failures = [DOWN] * 4
    stopping = asyncio.create_task(bench.actor.stop(60))
    sell = await bench.ordered(2)
    bench.execution.answer(reported(sell.intent))
    await bench.reaches(Phase.ENDED)
    assert not stopping.done()
    assert await stopping is True
    assert (bench.journal.records[-1].ended, bench.journal.records[-1].manual) == (True, True)
    assert await bench.actor.stop(1) is True  # again


@in_virtual_time
async def test_stop_before_the_buy_ends_the_run_without_an_order() -> None:
    bench = StrategyBench().start()
    await passing(1)
    assert await bench.actor.stop(5) is True
    await passing(700)
    assert bench.sent == []


@in_virtual_time
async def test_stop_says_so_when_the_exit_is_still_working() -> None:
    bench = await StrategyBench().guarding()
    began = bench.clock.now()
    assert await bench.actor.stop(2.0) is False
    assert bench.clock.now() - began < timedelta(seconds=2.1)
    assert bench.sent[-1] is OrderEvent.SELL


@in_virtual_time
async def test_a_moved_stop_holds_between_two_ticks_and_is_recorded_when_it_returns() -> None:
    bench = await StrategyBench().guarding()
    bench.tick(149000)
    moving = asyncio.create_task(bench.actor.move_stop(148000))
    await passing(0)
    bench.tick(148500)
    await moving
    assert bench.sent == [OrderEvent.BUY]
    assert bench.journal.records[-1].state.stop_loss == 148000
    await until(lambda: bench.prices.seen[-1][1] == 148000, within_s=0.1)
    bench.tick(148000)
    await bench.ordered(2)
    assert bench.sent[-1] is OrderEvent.STOPLOSS


@in_virtual_time
async def test_a_lowered_stop_forgets_the_lows_of_before() -> None:
    bench = await StrategyBench().guarding()
    await bench.actor.move_stop(140000)
    low = a_tick(144000, bench.clock.now(), low=139000)
    earlier = bench.clock.now() - timedelta(seconds=1)
    bench.actor.post(TickReceived(replace(low, extremes_since=earlier)))
    await passing(1)
    assert bench.sent == [OrderEvent.BUY]


# --- prices -----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_watch_is_renewed_with_the_stop_level_for_as_long_as_it_lives() -> None:
    bench = await StrategyBench().guarding()
    await passing(5)
    recent = [(at, level) for at, level in bench.prices.seen if level == STOP]
    assert len(recent) >= 5
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(recent)]
    assert max(gaps) <= timedelta(seconds=WATCH_RENEWAL_S) + 10 * MS


@in_virtual_time
async def test_the_stop_level_is_with_the_router_at_once_after_the_fill() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    await passing(0.3)
    bench.execution.answer(reported(buy.intent))
    filled = bench.clock.now()
    await until(lambda: bench.prices.seen[-1][1] == STOP, within_s=0.1)
    assert bench.prices.seen[-1][0] - filled < 5 * MS


@in_virtual_time
async def test_a_link_that_breaks_again_and_again_is_asked_for_five_times_a_second() -> None:
    bench = await StrategyBench().guarding()
    await passing(2)
    before = len(bench.prices.seen)
    for _ in range(1000):
        bench.prices.changed()
        await passing(0.001)
    assert 3 <= len(bench.prices.seen) - before <= 6


@in_virtual_time
async def test_a_stop_level_that_moves_is_told_at_once_even_while_a_link_breaks() -> None:
    bench = await StrategyBench().guarding()
    await passing(2)
    bench.prices.changed()
    await passing(0.05)  # asked again, and resting now
    moved = bench.clock.now()
    await bench.actor.move_stop(140000)
    await until(lambda: bench.prices.seen[-1][1] == 140000, within_s=0.1)
    assert bench.prices.seen[-1][0] - moved < 5 * MS


@pytest.mark.parametrize("lost", [FeedStatus(live=False), DOWN])
def test_a_lost_feed_is_said_once_and_its_return_too(lost: FeedStatus | Exception) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = await StrategyBench().guarding()
        bench.prices.answer = lost
        await passing(5)
        assert not bench.actor.state.feed_live
        assert [code for code, _ in bench.journal.alerts] == ["feed_lost"]
        bench.prices.answer = FeedStatus(live=True)
        await passing(5)
        await until(lambda: bench.actor.state.feed_live)
        assert [name for name in bench.journal.logged if name.startswith("FEED")] == ["FEED_LOST", "FEED_RESTORED"]

    scenario()


@in_virtual_time
async def test_a_stale_tick_after_a_reconnect_sells_nothing() -> None:
    bench = await StrategyBench().guarding()
    bench.tick(STOP - 5000, age_s=6)
    await passing(1)
    assert bench.sent == [OrderEvent.BUY]


# --- alerts -----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_alert_is_repeated_until_it_is_taken() -> None:
    bench = await StrategyBench().guarding()
    bench.journal.alert_failures = [DOWN] * 3
    bench.prices.answer = FeedStatus(live=False)
    await until(lambda: bench.journal.alerts, within_s=10)
    assert bench.journal.alerts[0][0] == "feed_lost"


@in_virtual_time
async def test_a_failed_entry_says_so_and_ends() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    bench.execution.answer(PlacementFailed(buy.intent.id, FailureKind.EXHAUSTED, "no answer"))
    await bench.finished()
    assert bench.journal.records[-1].state.status is RunStatus.FAILED
    assert ("order_failed", "Order Failed – Strategy Stopped (no answer)") in bench.journal.alerts


@in_virtual_time
async def test_a_failed_exit_is_tried_again_until_it_is_sold() -> None:
    bench = await StrategyBench().guarding()
    bench.tick(STOP)
    for count in (2, 3, 4):
        command = await bench.ordered(count)
        bench.execution.answer(PlacementFailed(command.intent.id, FailureKind.EXHAUSTED, "no answer"))
    last = await bench.ordered(5)
    assert (last.intent.event, last.look_up_first, last.check_position) == (OrderEvent.STOPLOSS, True, True)
    bench.execution.answer(reported(last.intent))
    await bench.finished()
    assert [code for code, _ in bench.journal.alerts] == ["exit_failed"]


@in_virtual_time
async def test_an_alert_about_the_end_is_delivered_though_the_first_try_fails() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    bench.journal.alert_failures = [DOWN]
    bench.execution.answer(PlacementFailed(buy.intent.id, FailureKind.EXHAUSTED, "no answer"))
    await bench.finished()
    await passing(10)
    assert [code for code, _ in bench.journal.alerts] == ["order_failed"]
