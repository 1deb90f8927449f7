"""Orders go before records, no record is lost, and a stop-loss is armed once its exit is recorded."""

from datetime import timedelta

from actors.domain.orders.order import OrderEvent, OrderStage
from actors.domain.strategy.state import Phase
from actors.ports.common import PeerUnavailable
from actors.strategy.shell import ARMING_PATIENCE_S
from tests.kit.builders import BUY_AT
from tests.kit.strategies import STOP, StrategyBench, reported
from tests.kit.virtual_time import in_virtual_time, passing, until

DOWN = PeerUnavailable("restarting")
MS = timedelta(milliseconds=1)


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
