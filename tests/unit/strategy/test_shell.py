"""The shell of a strategy: one inbox, one consumer; orders at their instants; what the trader presses."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from actors.domain.orders.order import OrderEvent
from actors.domain.orders.position import PositionStatus
from actors.domain.strategy.entries import hand_over_at
from actors.domain.strategy.events import IntentArmed, TickReceived, Timer, TimerFired
from actors.domain.strategy.state import Phase, StrategyState
from actors.ports.common import PeerUnavailable
from tests.kit.builders import BUY_AT, a_tick
from tests.kit.strategies import SELL_AT, STOP, StrategyBench, reported
from tests.kit.virtual_time import in_virtual_time, passing, until

DOWN = PeerUnavailable("restarting")
MS = timedelta(milliseconds=1)


# --- a whole life -----------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_it_buys_and_sells_at_its_instants_and_ends() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    assert timedelta(0) <= bench.execution.arrived[0] - (hand_over_at(StrategyState.scheduled(bench.run))) < 2 * MS
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
    await bench.ordered()  # and the strategy runs on


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
