"""Hanging requests, the budget's queue and order updates: what execution does before, while and after it waits."""

from dataclasses import replace
from datetime import timedelta

from actors.domain.identifiers import Product
from actors.domain.orders.order import FailureKind, Intent, OrderEvent, OrderStage
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.strategy.events import OrderQueued, OrderReported
from actors.execution.account.budget import BudgetLimits
from tests.kit.builders import INFY, NOW, a_report
from tests.kit.execution import BUY, ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_gateway import LOST_REQUEST, NOT_SENT, PARKED, THROTTLED, Placing
from tests.kit.virtual_time import in_virtual_time, passing, until

# --- while a request hangs --------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_that_the_book_shows_while_its_request_hangs_is_adopted_before_the_answer() -> None:
    bench = ExecutionBench()
    bench.broker.script = [Placing(answers_after_s=5)]
    await bench.filled(a_command())
    assert timedelta(seconds=0.3) <= bench.clock.now() - NOW < timedelta(seconds=0.6)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_the_answer_that_comes_after_the_adoption_is_logged() -> None:
    bench = ExecutionBench()
    bench.broker.script = [Placing(answers_after_s=5)]
    await bench.filled(a_command())
    assert bench.attempts.attempts == []
    await passing(6)
    assert [attempt.result.outcome for attempt in bench.attempts.attempts] == [AttemptOutcome.ACCEPTED]
    assert bench.attempts.alerts == []


@in_virtual_time
async def test_a_look_that_hangs_does_not_hold_up_the_answer() -> None:
    bench = ExecutionBench()
    bench.broker.script = [Placing(answers_after_s=0.5)]
    bench.broker.read_takes_s = 60
    working = bench.start(a_command())
    await until(lambda: bench.attempts.attempts, within_s=2)
    assert bench.clock.now() - NOW - bench.posted_at[0] < timedelta(seconds=1)
    working.cancel()


# --- before a request is repeated -------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_that_turns_up_after_the_quarantine_is_found_by_the_last_look_before_the_next_request() -> None:
    bench = ExecutionBench(budget=BudgetLimits(per_second=1, reserve=0))
    bench.broker.script = [Placing(AttemptOutcome.AMBIGUOUS, listed_after_s=2.3)]
    report = await bench.filled(a_command(a_sell()))
    assert (len(bench.posted), report.filled_quantity) == (1, 10)


@in_virtual_time
async def test_a_refused_connection_is_tried_again_though_the_book_cannot_be_read() -> None:
    bench = ExecutionBench()
    bench.broker.script = [NOT_SENT]
    bench.broker.down = True
    bench.start(a_command())
    await until(lambda: len(bench.posted) == 2, within_s=2)


@in_virtual_time
async def test_after_a_lost_request_nothing_leaves_while_the_book_cannot_be_read() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    bench.start(a_command(a_sell()))
    await until(lambda: bench.posted)
    bench.broker.down = True
    await passing(60)
    assert len(bench.posted) == 1
    bench.broker.down = False
    await until(lambda: len(bench.posted) == 2, within_s=5)


@in_virtual_time
async def test_a_429_closes_the_second_for_the_whole_account() -> None:
    bench = ExecutionBench()
    bench.broker.script = [THROTTLED]
    bench.start(a_command())
    await until(lambda: bench.posted)
    bench.start(a_command(a_sell(), strategy_id=4))
    await until(lambda: len(bench.posted) == 3, within_s=5)
    assert min(bench.posted_at[1:]) >= timedelta(seconds=1)


# --- the budget -------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_that_must_wait_for_the_budget_tells_when_it_is_expected() -> None:
    bench = ExecutionBench(budget=BudgetLimits(per_second=1, reserve=0))
    bench.start(a_command())
    await until(lambda: bench.posted)
    await bench.filled(a_command(a_sell()))
    queued = [event for event in bench.strategies.events if isinstance(event, OrderQueued)]
    assert [event.intent_id for event in queued] == [a_sell().id]
    assert timedelta(0) <= bench.posted_at[1] - (queued[0].expected_at - NOW) < timedelta(seconds=0.1)


@in_virtual_time
async def test_an_entry_beyond_the_days_budget_fails_and_the_exit_still_goes_out() -> None:
    bench = ExecutionBench(budget=BudgetLimits(per_second=10, per_day=2, reserve=5))
    await bench.filled(a_command())
    refused = await bench.failed(a_command(a_run_entry(8), strategy_id=4, run_id=8))
    assert refused.kind is FailureKind.BUDGET_USED_UP
    assert (await bench.filled(a_command(a_sell()))).filled_quantity == 10


def a_run_entry(run_id: int) -> Intent:
    return replace(BUY, id=replace(BUY.id, run_id=run_id), tag=f"TAG{run_id}")


# --- order updates ----------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_update_ends_the_following_before_the_book_does() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    working = bench.start(a_command())
    await until(lambda: len(bench.broker.reads) > 3)
    bench.updates.hear(2, a_report("1", filled=10, tag=BUY.tag))
    heard, event = bench.clock.now(), await working
    assert bench.clock.now() - heard < timedelta(seconds=0.01)
    assert isinstance(event, OrderReported)
    assert event.report.filled_quantity == 10


@in_virtual_time
async def test_an_update_that_comes_before_the_reply_counts() -> None:
    bench = ExecutionBench()
    await bench.actor.probe(2)
    bench.broker.script = [Placing(stage=OrderStage.OPEN, filled=0, answers_after_s=0.2)]
    working = bench.start(a_command())
    await until(lambda: bench.posted)
    bench.updates.hear(2, a_report("1", filled=10, tag=BUY.tag))
    event = await working
    assert isinstance(event, OrderReported)
    took = bench.clock.now() - NOW - bench.posted_at[0]
    assert (event.report.filled_quantity, took < timedelta(seconds=0.3)) == (10, True)


@in_virtual_time
async def test_updates_that_are_late_or_double_take_nothing_back() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    working = bench.start(a_command())
    for filled in (6, 6, 3):
        await passing(0.5)
        bench.updates.hear(2, a_report("1", OrderStage.OPEN, filled=filled, tag=BUY.tag))
    await passing(1)
    bench.broker.fill("1", 10)
    await working
    seen = [e.report.filled_quantity for e in bench.strategies.events if isinstance(e, OrderReported)]
    assert seen == sorted(seen)
    assert 6 in seen


@in_virtual_time
async def test_while_updates_are_heard_the_book_is_read_less_often() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    bench.start(a_command())
    await until(lambda: bench.posted)
    bench.updates.hear(2, a_report("1", OrderStage.OPEN, filled=0, tag=BUY.tag))
    before = len(bench.broker.reads)
    await passing(2)
    assert len(bench.broker.reads) - before <= 8
    bench.updates.reconnect(2)
    looked = len(bench.broker.reads)
    await until(lambda: len(bench.broker.reads) > looked, within_s=0.3)


@in_virtual_time
async def test_what_an_update_says_of_an_unknown_order_is_forgotten_in_the_end() -> None:
    bench = ExecutionBench()
    await bench.actor.probe(2)
    for number in range(5000):
        bench.updates.hear(2, a_report(str(number), OrderStage.OPEN, filled=0))
    assert (await bench.filled(a_command())).filled_quantity == 10


@in_virtual_time
async def test_a_stop_loss_of_an_account_whose_shares_are_all_there_asks_nothing() -> None:
    bench = ExecutionBench()
    bench.broker.net[INFY, Product.MIS] = 10
    await bench.filled(a_command(a_sell(10, OrderEvent.STOPLOSS)))
    assert bench.posted_at == [timedelta(0)]
