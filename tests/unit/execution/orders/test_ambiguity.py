"""An order whose fate is in doubt is looked up, and is sent again only when it is proven absent."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from actors.domain.orders.order import FailureKind, OrderStage
from actors.domain.strategy.events import OrderReported, PlacementUnresolved
from tests.kit.builders import NOW, a_report
from tests.kit.execution import BUY, ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_gateway import LOST_ANSWER, LOST_REQUEST
from tests.kit.virtual_time import in_virtual_time, passing, until


@in_virtual_time
async def test_an_order_whose_answer_was_lost_is_found_and_adopted() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_ANSWER]
    report = await bench.filled(a_command())
    assert (report.order_id, len(bench.posted)) == ("1", 1)
    assert len(await bench.broker.orders()) == 1


@in_virtual_time
async def test_an_order_that_is_listed_late_is_still_adopted() -> None:
    bench = ExecutionBench()
    bench.broker.script = [replace(LOST_ANSWER, listed_after_s=9)]
    assert (await bench.filled(a_command())).order_id == "1"
    assert len(bench.posted) == 1


@in_virtual_time
async def test_an_order_that_stays_absent_is_sent_again_under_its_tag_after_the_quarantine() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    report = await bench.filled(a_command())
    assert report.tag == BUY.tag
    first, second = bench.posted_at
    assert timedelta(seconds=10) <= second - first < timedelta(seconds=12)


@in_virtual_time
async def test_the_doubt_about_an_exit_is_shorter_but_still_three_reads_long() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    await bench.filled(a_command(a_sell()))
    first, second = bench.posted_at
    assert timedelta(seconds=2) <= second - first < timedelta(seconds=4)
    assert len([at for at in bench.broker.reads if at - NOW <= second]) >= 3


@in_virtual_time
async def test_reads_that_fail_prove_nothing() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    working = bench.start(a_command(a_sell()))
    await until(lambda: bench.posted)
    bench.broker.down = True
    await passing(60)
    assert len(bench.posted) == 1
    bench.broker.down = False
    assert isinstance(await working, OrderReported)
    assert len(bench.posted) == 2


@in_virtual_time
async def test_at_most_one_attempt_and_three_retries_leave() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST] * 10
    failed = await bench.failed(a_command())
    assert failed.kind is FailureKind.EXHAUSTED
    assert len(bench.posted) == 4
    assert all(later - earlier >= timedelta(seconds=10) for earlier, later in pairwise(bench.posted_at))


@in_virtual_time
async def test_a_long_doubt_is_told_once() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST, LOST_REQUEST]
    await bench.filled(a_command())
    told = [event for event in bench.strategies.events if isinstance(event, PlacementUnresolved)]
    assert told == [PlacementUnresolved(BUY.id, LOST_REQUEST.reason, unreachable=False)]


@in_virtual_time
async def test_a_doubt_while_the_broker_is_down_is_told_as_unreachable() -> None:
    bench = ExecutionBench()
    bench.broker.script, bench.broker.down = [LOST_REQUEST], True
    bench.start(a_command())
    await until(lambda: bench.strategies.events, within_s=5)
    assert bench.strategies.events == [PlacementUnresolved(BUY.id, LOST_REQUEST.reason, unreachable=True)]


@in_virtual_time
async def test_an_exit_in_doubt_whose_session_expires_says_so_and_goes_on_after_the_login() -> None:
    bench = ExecutionBench()
    bench.broker.down = True
    working = bench.start(a_command(a_sell(), look_up_first=True))
    await until(lambda: bench.strategies.events, within_s=10)
    bench.broker.down, bench.broker.expired = False, True
    await until(lambda: len(bench.strategies.events) == 2, within_s=10)
    told = [
        (event.unreachable, event.login_expired)
        for event in bench.strategies.events
        if isinstance(event, PlacementUnresolved)
    ]
    assert told == [(True, False), (False, True)]
    bench.broker.expired = False
    assert isinstance(await working, OrderReported)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_an_exit_of_a_lost_execution_leaves_after_two_looks_at_the_book() -> None:
    """One for the order, one for the shares, which is later and shows the order too; a third would cost 0.15 s."""
    bench = ExecutionBench()
    await bench.filled(a_command(a_sell(), look_once=True))
    (sent_at,) = bench.posted_at
    assert len([at for at in bench.broker.reads if at - NOW <= sent_at]) == 3  # the watcher of the account begins, too
    assert sent_at <= timedelta(milliseconds=300)


@in_virtual_time
async def test_two_orders_under_a_tag_raise_an_alert_and_the_live_one_is_followed() -> None:
    bench = ExecutionBench()
    for order_id in ("1", "2"):
        bench.broker.list(a_report(order_id, tag=BUY.tag))
    report = await bench.filled(a_command(look_up_first=True))
    assert report.order_id == "1"
    assert bench.attempts.alerts == ["duplicate_order"]


@in_virtual_time
async def test_a_dead_order_under_the_tag_is_no_duplicate() -> None:
    bench = ExecutionBench()
    bench.broker.list(a_report("1", OrderStage.REJECTED, filled=0, tag=BUY.tag))
    bench.broker.list(a_report("2", tag=BUY.tag))
    assert (await bench.filled(a_command(look_up_first=True))).order_id == "2"
    assert bench.attempts.alerts == []


@in_virtual_time
async def test_the_orders_of_others_are_not_adopted() -> None:
    bench = ExecutionBench()
    bench.broker.list(a_report("1", tag="SOMEBODYELSES12345AB"))
    bench.broker.list(a_report("2", tag=None))
    await bench.filled(a_command(look_up_first=True))
    assert len(bench.posted) == 1
