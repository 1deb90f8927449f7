"""The watcher of an account, in virtual time: what it tells, to whom, and after how many looks."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from actors.domain.identifiers import Product, Side
from actors.domain.orders.order import OrderStage
from actors.domain.strategy.events import PlacementUnresolved, PositionClosedOutside
from actors.ports.common import PeerUnavailable
from tests.kit.builders import INFY, a_report
from tests.kit.execution import BUY, HOLDING, NOTHING_HELD, ExecutionBench, a_command, a_sell, guarded
from tests.kit.fakes.order_gateway import LOST_REQUEST, PARKED
from tests.kit.virtual_time import in_virtual_time, passing, until


async def renewing(bench: ExecutionBench, seconds: int) -> None:
    """Let time pass while the strategy renews its holding."""
    for _ in range(seconds // 5):
        await passing(5)
        await bench.actor.guard(HOLDING)


def closed(bench: ExecutionBench) -> list[PositionClosedOutside]:
    return [event for event in bench.strategies.events if isinstance(event, PositionClosedOutside)]


@in_virtual_time
async def test_a_position_sold_by_hand_is_told_to_its_strategy_after_several_looks() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.net.clear()
    await until(lambda: closed(bench), within_s=8)
    assert bench.attempts.alerts == ["position_gone"]


@in_virtual_time
async def test_positions_that_lag_behind_the_fill_end_no_run() -> None:
    bench = ExecutionBench()
    bench.broker.net.clear()
    await bench.actor.guard(HOLDING)
    await passing(6)
    bench.broker.net[INFY, Product.MIS] = 10
    await renewing(bench, 30)
    assert (closed(bench), bench.attempts.alerts) == ([], [])


@in_virtual_time
async def test_an_exit_asks_already_while_an_empty_position_is_only_suspected() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.net.clear()
    bench.updates.hear(2, a_report("99", filled=10))
    await passing(0.8)
    assert closed(bench) == []
    assert (await bench.failed(a_command(a_sell()))).kind == "nothing_to_sell"
    assert bench.posted == []


@in_virtual_time
async def test_an_update_about_somebody_elses_order_is_looked_into_at_once() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.net.clear()
    bench.updates.hear(2, a_report("99", filled=10))
    await until(lambda: closed(bench), within_s=4)


@in_virtual_time
async def test_a_lack_that_is_gone_at_the_next_look_was_none() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.net.clear()
    reads = bench.broker.position_reads
    await until(lambda: bench.broker.position_reads > reads, within_s=5)
    bench.broker.net[INFY, Product.MIS] = 10
    await renewing(bench, 30)
    assert (closed(bench), bench.attempts.alerts) == ([], [])


@in_virtual_time
async def test_an_exit_asks_first_when_shares_are_missing() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.net[INFY, Product.MIS] = 4
    await until(lambda: bench.attempts.alerts, within_s=10)
    assert bench.attempts.alerts == ["shares_missing"]
    report = await bench.filled(a_command(a_sell(10)))
    assert (report.quantity, bench.broker.net[INFY, Product.MIS]) == (4, 0)


@in_virtual_time
async def test_an_alert_is_raised_once_for_as_long_as_it_lasts_and_again_when_it_comes_back() -> None:
    bench = await guarded(ExecutionBench())
    for _ in range(2):
        bench.broker.net[INFY, Product.MIS] = 4
        await renewing(bench, 20)
        bench.broker.net[INFY, Product.MIS] = 10
        await renewing(bench, 20)
    assert bench.attempts.alerts == ["shares_missing", "shares_missing"]


@in_virtual_time
async def test_a_position_is_not_judged_while_our_exit_sells_it() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    working = bench.start(a_command(a_sell()))
    await renewing(bench, 10)
    bench.broker.fill("1", 10)
    await working
    await bench.actor.guard(NOTHING_HELD)
    await passing(30)
    assert closed(bench) == []
    assert "position_gone" not in bench.attempts.alerts


@in_virtual_time
async def test_a_strategy_that_no_longer_says_that_it_guards_leaves_an_unguarded_position() -> None:
    bench = await guarded(ExecutionBench())
    await passing(60)
    assert bench.attempts.alerts == ["unguarded_position"]


@pytest.mark.parametrize("by", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_wall_clock_that_is_set_neither_hides_an_unguarded_position_nor_makes_one(by: timedelta) -> None:
    @in_virtual_time
    async def run() -> None:
        bench = await guarded(ExecutionBench())
        await renewing(bench, 10)
        bench.clock.step(by)
        await renewing(bench, 60)
        assert bench.attempts.alerts == []
        await passing(60)
        assert bench.attempts.alerts == ["unguarded_position"]

    run()


@in_virtual_time
async def test_a_strategy_that_restarts_is_unguarded_for_a_moment_only() -> None:
    bench = await guarded(ExecutionBench())
    await passing(20)
    await bench.actor.guard(HOLDING)
    await renewing(bench, 60)
    assert bench.attempts.alerts == []


@in_virtual_time
async def test_two_orders_under_one_tag_are_an_alert() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.list(a_report("2", OrderStage.OPEN, filled=3, tag=BUY.tag))
    await renewing(bench, 10)
    assert bench.attempts.alerts == ["duplicate_order"]


@in_virtual_time
async def test_an_account_that_cannot_be_read_is_an_alert_once() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.down = True
    await renewing(bench, 60)
    assert bench.attempts.alerts == ["account_unreadable"]
    bench.broker.down = False
    await renewing(bench, 10)
    assert bench.attempts.alerts == ["account_unreadable"]


@in_virtual_time
async def test_with_the_journal_down_what_it_said_before_still_counts() -> None:
    bench = await guarded(ExecutionBench())
    bench.records.failure = PeerUnavailable("the database does not answer")
    await renewing(bench, 60)
    bench.broker.list(a_report("2", OrderStage.OPEN, filled=3, tag=BUY.tag))
    await renewing(bench, 10)
    assert bench.attempts.alerts == ["duplicate_order"]


@in_virtual_time
async def test_connections_are_kept_warm_while_something_is_held() -> None:
    bench = await guarded(ExecutionBench())
    await renewing(bench, 60)
    assert len(bench.broker.warmed) == 2
    await bench.actor.guard(NOTHING_HELD)
    await passing(120)
    assert len(bench.broker.warmed) == 2


@in_virtual_time
async def test_an_older_incarnation_cannot_take_a_holding_back() -> None:
    bench = await guarded(ExecutionBench())
    await bench.actor.guard(replace(HOLDING, epoch=2))
    await bench.actor.guard(NOTHING_HELD)
    bench.broker.net.clear()
    await until(lambda: closed(bench), within_s=8)


@in_virtual_time
async def test_an_account_that_nobody_uses_is_let_go_and_taken_up_again() -> None:
    bench = ExecutionBench()
    await bench.filled(a_command())
    assert 2 in bench.updates.followed
    await until(lambda: 2 not in bench.updates.followed, within_s=1000)
    reads = len(bench.broker.reads)
    await passing(300)
    assert len(bench.broker.reads) == reads
    await bench.actor.guard(HOLDING)
    assert 2 in bench.updates.followed


@in_virtual_time
async def test_two_exits_of_one_position_never_count_on_the_same_shares() -> None:
    bench = ExecutionBench()
    bench.broker.net[INFY, Product.MIS] = 15
    bench.broker.script, bench.broker.widening_fills = [PARKED, PARKED], False
    bench.start(a_command(a_sell(10)))
    await until(lambda: bench.broker.posts)
    second = replace(a_sell(10), id=replace(a_sell().id, run_id=8), tag="ANOTHERTAG")
    bench.start(a_command(second, strategy_id=4, run_id=8, check_position=True))
    await until(lambda: len(bench.broker.posts) == 2)
    assert [intent.quantity for intent in bench.posted] == [10, 5]


@in_virtual_time
async def test_an_exit_that_waits_for_shares_of_another_exit_says_so_and_goes_out_when_they_are_free() -> None:
    bench = ExecutionBench()
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    bench.start(a_command(a_sell(10)))
    await until(lambda: bench.broker.posts)
    second = replace(a_sell(10), id=replace(a_sell().id, run_id=8), tag="ANOTHERTAG")
    waiting = bench.start(a_command(second, strategy_id=4, run_id=8, check_position=True))
    await passing(5)
    assert len(bench.posted) == 1
    assert any(isinstance(event, PlacementUnresolved) for event in bench.strategies.events)
    bench.broker.net[INFY, Product.MIS] = 20
    await waiting
    assert [intent.quantity for intent in bench.posted] == [10, 10]


@in_virtual_time
async def test_a_lost_exit_is_not_sent_again_for_shares_that_were_sold_meanwhile() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.script = [LOST_REQUEST]
    exiting = asyncio.create_task(bench.failed(a_command(a_sell())))
    await until(lambda: bench.posted)
    bench.broker.trade_by_hand(Side.SELL, 10)
    assert (await exiting).kind == "nothing_to_sell"
    assert len(bench.posted) == 1


@in_virtual_time
async def test_an_exit_that_cannot_ask_for_an_expired_session_says_so_and_sends_nothing() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.expired = True
    await passing(5)
    assert (await bench.failed(a_command(a_sell()))).kind == "session_expired"
    assert bench.posted == []
    bench.broker.expired = False
    await bench.filled(a_command(a_sell()))
    assert [intent.quantity for intent in bench.posted] == [10]
