"""Limits of an order: how late an entry may leave, and how much there is to sell."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from actors.domain.identifiers import Side
from actors.domain.orders.order import FailureKind, OrderEvent
from actors.domain.strategy.events import OrderReported
from actors.execution.account.budget import BudgetLimits
from tests.kit.builders import INFY, NOW
from tests.kit.execution import BUY, ExecutionBench, a_command, a_sell, guarded
from tests.kit.fakes.order_gateway import LOST_ANSWER, LOST_REQUEST, NOT_SENT
from tests.kit.virtual_time import in_virtual_time, passing, until

# --- limits in time ---------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_entry_is_not_sent_after_its_time() -> None:
    bench = ExecutionBench()
    await bench.failed(a_command(not_after=NOW))
    assert bench.posted == []


@in_virtual_time
async def test_an_entry_that_waited_for_the_budget_past_its_time_is_not_sent() -> None:
    bench = ExecutionBench(budget=BudgetLimits(per_second=1, reserve=0))
    bench.start(a_command(a_sell()))
    await until(lambda: bench.posted)
    failed = await bench.failed(a_command(not_after=NOW + timedelta(milliseconds=500)))
    assert failed.kind is FailureKind.MISSED
    assert [intent.event for intent in bench.posted] == [OrderEvent.STOPLOSS]


@in_virtual_time
async def test_an_entry_in_doubt_past_its_time_is_looked_up_and_not_sent_again() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    failed = await bench.failed(a_command(not_after=NOW + timedelta(seconds=5)))
    assert failed.kind is FailureKind.EXHAUSTED
    assert len(bench.posted) == 1
    assert bench.clock.now() - NOW >= timedelta(seconds=10)


@in_virtual_time
async def test_a_withdrawn_intent_sends_nothing_more_but_its_order_is_still_found() -> None:
    bench = ExecutionBench()
    bench.broker.script = [replace(LOST_ANSWER, listed_after_s=5)]
    working = bench.start(a_command())
    await until(lambda: bench.posted)
    bench.actor.withdraw(BUY.id)
    event = await working
    assert isinstance(event, OrderReported)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_withdrawn_intent_that_stays_absent_fails_without_another_request() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    working = bench.start(a_command())
    await until(lambda: bench.posted)
    bench.actor.withdraw(BUY.id)
    await working
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_withdrawal_is_forgotten_with_its_intent() -> None:
    bench = ExecutionBench()
    bench.actor.withdraw(BUY.id)  # not in work
    await bench.filled(a_command())
    assert len(bench.posted) == 1


# --- what there is to sell --------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_first_request_of_a_stop_loss_waits_for_no_question() -> None:
    bench = await guarded(ExecutionBench())
    reads = bench.broker.position_reads
    await bench.filled(a_command(a_sell(10)))
    assert ([intent.quantity for intent in bench.posted], bench.broker.position_reads) == ([10], reads)


@in_virtual_time
async def test_an_exit_that_is_sent_again_sells_no_more_than_the_account_holds() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.script = [LOST_REQUEST]
    exiting = asyncio.create_task(bench.filled(a_command(a_sell(10))))
    await until(lambda: bench.posted)
    bench.broker.trade_by_hand(Side.SELL, 6)
    report = await exiting
    assert [intent.quantity for intent in bench.posted] == [10, 4]
    assert report.filled_quantity == 4


@pytest.mark.parametrize("held", [0, -3])
def test_an_exit_with_nothing_to_sell_is_not_sent(held: int) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = ExecutionBench()
        bench.broker.net[INFY, a_command().product] = held
        failed = await bench.failed(a_command(a_sell(), check_position=True))
        assert failed.kind is FailureKind.NOTHING_TO_SELL
        assert bench.posted == []

    scenario()


@in_virtual_time
async def test_an_exit_waits_until_the_position_is_known() -> None:
    bench = ExecutionBench()
    bench.broker.down = True
    working = bench.start(a_command(a_sell(), check_position=True))
    await passing(10)
    assert bench.posted == []
    bench.broker.down = False
    await working
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_repeated_entry_asks_for_no_position() -> None:
    bench = ExecutionBench()
    bench.broker.script = [NOT_SENT]
    bench.broker.net.clear()
    assert (await bench.filled(a_command())).filled_quantity == 10
