"""What execution or the operator did not take is given again, and nothing leaves twice."""

import asyncio
from datetime import timedelta

from actors.domain.orders.order import FailureKind, OrderEvent, OrderStage
from actors.domain.strategy.events import PlacementFailed
from actors.domain.strategy.state import Phase, RunStatus
from actors.ports.common import PeerUnavailable
from actors.ports.prices import FeedStatus
from actors.strategy.execution_calls import PEER_RETRY_S
from tests.kit.builders import BUY_AT
from tests.kit.strategies import STOP, StrategyBench, reported
from tests.kit.virtual_time import in_virtual_time, passing, until

DOWN = PeerUnavailable("restarting")


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
