"""A newer incarnation carries on what it finds in the order book, and the older one stops."""

from datetime import timedelta
from typing import Any

from actors.domain.orders.order import OrderEvent
from actors.domain.strategy.events import StopLossMoved, Timer, TimerFired
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.state import Phase, StatusDetail
from actors.ports.common import PeerUnavailable, StaleEpoch
from tests.kit.builders import BUY_AT, NOW
from tests.kit.strategies import SELL_AT, STOP, StrategyBench, listed
from tests.kit.virtual_time import in_virtual_time, passing, until

DOWN = PeerUnavailable("restarting")


async def snapshot_of(phase: Phase) -> dict[str, Any]:
    """What the journal holds of a run that came so far."""
    bench = await StrategyBench().guarding()
    if phase is Phase.EXITING:
        bench.tick(STOP)
        await bench.reaches(Phase.EXITING)
    assert bench.task is not None
    bench.task.cancel()
    return dump_state(bench.actor.state)


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
