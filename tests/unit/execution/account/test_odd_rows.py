"""A row of the broker's that makes no sense: nothing is sent a second time for it, and no position is taken as gone."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest

from actors.domain.orders.cover import AccountPosition, PositionKey
from actors.domain.orders.order import OrderReport, OrderStage
from actors.domain.orders.partly_read import OrderBook
from actors.domain.strategy.events import OrderReported, PlacementUnresolved
from actors.execution.account.trading_account import newest_by_tag
from actors.ports.execution import BrokerUnavailable
from actors.ports.strategy import OrderCommand
from broker.kite.answers.holdings import positions_of, together
from tests.kit.builders import a_report
from tests.kit.execution import ExecutionBench, a_command, a_sell, guarded
from tests.kit.fakes.order_gateway import LOST_ANSWER, LOST_REQUEST, NOT_SENT, PARKED
from tests.kit.virtual_time import in_virtual_time, passing, until


def hide(bench: ExecutionBench, hides: Callable[[OrderReport], bool], *, anonymous: bool = False) -> None:
    """From here on these orders' rows make no sense. `anonymous`: not even their tags and ids can be read."""
    orders = bench.broker.orders

    async def odd_orders() -> Sequence[OrderReport]:
        book = await orders()
        odd = [report for report in book if hides(report)]
        ids = frozenset() if anonymous else frozenset(report.order_id for report in odd)
        tags = frozenset() if anonymous else frozenset(report.tag for report in odd if report.tag)
        return OrderBook([r for r in book if r not in odd], ids, tags, anonymous=anonymous and bool(odd))

    bench.broker.orders = odd_orders  # type: ignore[method-assign]


def show(bench: ExecutionBench) -> None:
    """The rows make sense again."""
    del bench.broker.orders


@pytest.mark.parametrize("anonymous", [False, True])
@pytest.mark.parametrize("command", [a_command(), a_command(a_sell())])
def test_an_order_whose_row_cannot_be_read_is_not_sent_again(command: OrderCommand, anonymous: bool) -> None:
    in_virtual_time(lambda: never_sent_again(command, anonymous))()


async def never_sent_again(command: OrderCommand, anonymous: bool) -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_ANSWER]
    hide(bench, lambda _: True, anonymous=anonymous)
    work = bench.start(command)
    await passing(120)
    assert len(bench.posted) == 1
    assert any(isinstance(event, PlacementUnresolved) for event in bench.strategies.events)
    show(bench)
    await asyncio.wait_for(work, 10)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_tag_in_an_unreadable_row_is_believed_before_our_own_proof_that_nothing_was_sent() -> None:
    bench = ExecutionBench()
    bench.broker.script = [NOT_SENT]
    command = a_command()
    bench.broker.list(a_report("77", tag=command.intent.tag))
    hide(bench, lambda _: True)
    bench.start(command)
    await passing(30)
    assert len(bench.posted) == 1
    show(bench)
    await passing(10)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_somebody_elses_unreadable_row_holds_up_nothing_that_is_proven() -> None:
    bench = ExecutionBench()
    bench.broker.list(a_report("77", tag=None))
    hide(bench, lambda report: report.order_id == "77", anonymous=True)
    bench.broker.script = [NOT_SENT]
    await bench.filled(a_command())
    assert len(bench.posted) == 2


@in_virtual_time
async def test_an_unreadable_row_of_another_order_does_not_make_a_lost_request_doubtful_for_ever() -> None:
    bench = ExecutionBench()
    bench.broker.list(a_report("77", tag="TA" + "0" * 18))
    hide(bench, lambda report: report.order_id == "77")
    bench.broker.script = [LOST_REQUEST]
    await bench.filled(a_command())
    assert len(bench.posted) == 2


@in_virtual_time
async def test_a_followed_order_whose_row_becomes_unreadable_has_not_vanished() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    bench.broker.widening_fills = False
    work = bench.start(a_command())
    await until(lambda: bench.posted)
    hide(bench, lambda _: True)
    await passing(300)
    assert not work.done()
    show(bench)
    bench.broker.fill("1", 10)
    event = await asyncio.wait_for(work, 30)
    assert isinstance(event, OrderReported)
    assert event.report.stage is OrderStage.COMPLETE


def test_a_recovery_waits_for_an_order_of_its_own_that_cannot_be_read_and_for_no_other() -> None:
    book = OrderBook([a_report("1", tag="A")], frozenset({"2"}), frozenset({"B"}), anonymous=True)
    assert list(newest_by_tag(book, ["A", "C"])) == ["A"]
    with pytest.raises(BrokerUnavailable):
        newest_by_tag(book, ["A", "B"])


@pytest.mark.parametrize("row", [{}, {"tradingsymbol": "INFY"}])
def test_a_sale_is_not_judged_on_a_position_that_makes_no_sense(row: dict[str, str]) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = await guarded(ExecutionBench())

        async def odd_positions(*, demat: bool) -> Mapping[PositionKey, AccountPosition]:
            return together(positions_of({"net": [row]}), {})

        bench.broker.positions = odd_positions  # type: ignore[method-assign]
        await passing(5)
        work = bench.start(a_command(a_sell()))
        await passing(20)
        assert bench.posted == []
        waits = PlacementUnresolved(a_sell().id, "the broker's row of INFY (MIS) makes no sense", unreachable=True)
        assert waits in bench.strategies.events
        del bench.broker.positions
        await asyncio.wait_for(work, 10)
        assert len(bench.posted) == 1

    scenario()
