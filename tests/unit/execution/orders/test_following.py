"""An order is followed until it is final, and an exit without a counterpart is given wider protection."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from actors.domain.identifiers import IntentId, Leg
from actors.domain.orders.order import OrderStage
from actors.domain.strategy.events import OrderReported
from actors.ports.common import PeerUnavailable
from tests.kit.builders import NOW, a_report
from tests.kit.execution import BUY, ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_gateway import PARKED
from tests.kit.virtual_time import in_virtual_time, passing, until

# --- following --------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_partial_fills_are_reported_and_the_last_one_is_the_reply() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    working = bench.start(a_command())
    for filled in (3, 7):
        await passing(0.5)
        bench.broker.fill("1", filled, OrderStage.OPEN)
    await passing(0.5)
    bench.broker.fill("1", 10)
    event = await working
    seen = [(e.report.stage, e.report.filled_quantity) for e in bench.strategies.events if isinstance(e, OrderReported)]
    assert seen == [(OrderStage.PENDING, 0), (OrderStage.OPEN, 0), (OrderStage.OPEN, 3), (OrderStage.OPEN, 7)]
    assert isinstance(event, OrderReported)
    assert (event.report.stage, event.report.filled_quantity) == (OrderStage.COMPLETE, 10)


@in_virtual_time
async def test_an_order_that_is_known_is_only_followed() -> None:
    bench = ExecutionBench()
    bench.broker.list(a_report("55", OrderStage.OPEN, filled=2, tag=BUY.tag))
    working = bench.start(a_command(order_id="55", look_up_first=True))
    await passing(1)
    bench.broker.list(a_report("55", filled=10, tag=BUY.tag))
    event = await working
    assert isinstance(event, OrderReported)
    assert (event.report.order_id, bench.posted) == ("55", [])


@in_virtual_time
async def test_a_strategy_that_restarts_does_not_stop_the_following() -> None:
    bench = ExecutionBench()
    bench.strategies.failure = PeerUnavailable("strategy:3 is restarting")
    assert (await bench.filled(a_command())).filled_quantity == 10


@in_virtual_time
async def test_an_order_is_followed_through_an_outage() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    working = bench.start(a_command())
    await passing(1)
    bench.broker.down = True
    bench.broker.fill("1", 10)
    await passing(300)
    assert not working.done()
    bench.broker.down = False
    assert isinstance(await working, OrderReported)


@in_virtual_time
async def test_an_order_that_complete_books_have_not_listed_for_long_is_gone_with_what_it_had_filled() -> None:
    bench = ExecutionBench()
    bench.broker.script = [replace(PARKED, filled=4)]
    working = bench.start(a_command())
    await passing(5)
    bench.broker.unlist("1")
    await passing(115)
    assert not working.done()
    event = await working
    assert isinstance(event, OrderReported)
    assert (event.report.stage, event.report.filled_quantity) == (OrderStage.CANCELLED, 4)


@in_virtual_time
async def test_followers_of_an_account_share_its_reads() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED] * 8
    intents = [replace(BUY, id=IntentId(n, Leg.ENTRY, 1), tag=f"TAG{n}") for n in range(8)]
    for intent in intents:
        bench.start(a_command(intent))
    await passing(10)
    assert len(bench.broker.reads) < 80


# --- chasing ----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_exit_that_parks_is_chased_with_ever_wider_protection() -> None:
    bench = ExecutionBench()
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    working = bench.start(a_command(a_sell()))
    await until(lambda: len(bench.broker.widened) == 5)
    bench.broker.fill("1", 10)
    await working
    times, percents = zip(*bench.broker.widened, strict=True)
    assert percents == tuple(map(Decimal, (3, 5, 10, 20, 20)))
    assert timedelta(seconds=1) <= times[0] - NOW < timedelta(seconds=2)
    assert all(later - earlier >= timedelta(seconds=1) for earlier, later in pairwise(times))
    assert len(bench.posted) == 1
    assert set(bench.attempts.alerts) == {"exit_chased"}


@in_virtual_time
async def test_a_partly_filled_exit_is_chased_too() -> None:
    bench = ExecutionBench()
    bench.broker.script = [replace(PARKED, filled=6)]
    report = await bench.filled(a_command(a_sell()))
    assert (report.filled_quantity, len(bench.broker.widened)) == (10, 1)


@in_virtual_time
async def test_an_entry_that_parks_is_not_chased() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    bench.start(a_command())
    await passing(30)
    assert bench.broker.widened == []
