"""What every `OrderExecution` promises, on the fake of the unit tests and on an execution actor over a fake broker.

In virtual time; calls are made as between processes. `tests/integration/runtime/plane` has the links that commands
take.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

import pytest

from actors.domain.orders.order import Intent, OrderReport, OrderStage
from actors.domain.strategy.events import OrderReported
from actors.ports.common import PeerUnavailable
from actors.ports.strategy import OrderExecution
from actors.runtime.names import Pools
from actors.runtime.ray_ports import RayOrderExecution
from tests.kit.actors_here import Actors, ExecutionHere, PeersHere
from tests.kit.armed_stop import a_holding, a_stop
from tests.kit.builders import INFY, a_report
from tests.kit.execution import BUY, HOLDING, KEY, a_command, a_sell, guarded
from tests.kit.execution import ExecutionBench as Bench
from tests.kit.fakes.order_execution import FakeExecution
from tests.kit.fakes.order_gateway import PARKED
from tests.kit.strategies import listed, reported
from tests.kit.virtual_time import FakeClock, in_virtual_time, passing, until

ACCOUNT = HOLDING.account_id


class Pool(Protocol):
    """Execution, and what is done to it and to its broker."""

    execution: OrderExecution

    async def fills(self, intent: Intent) -> None:
        """The order of a command that was given is filled."""

    def parks(self) -> None:
        """The next order is not filled."""

    def lists(self, report: OrderReport) -> None:
        """The broker's book has this order."""

    def holds(self, quantity: int) -> None:
        """The account shows this many shares of INFY."""

    def loses_the_broker(self) -> None:
        """The broker does not answer any more."""

    def dies(self) -> None:
        """Execution's process ends."""


class FakePool:
    """The fake."""

    def __init__(self) -> None:
        self._fake = FakeExecution(FakeClock())
        self.execution: OrderExecution = self._fake

    async def fills(self, intent: Intent) -> None:
        await until(lambda: self._fake._waiting)
        self._fake.answer(reported(intent))

    def parks(self) -> None: ...

    def lists(self, report: OrderReport) -> None:
        self._fake.book.append(report)

    def holds(self, quantity: int) -> None:
        self._fake.covered = quantity

    def loses_the_broker(self) -> None:
        error = PeerUnavailable("the broker does not answer")
        self._fake.alive = False
        for failures in ("book_failures", "cancel_failures", "cover_failures", "guard_failures"):
            setattr(self._fake, failures, [error])

    def dies(self) -> None:
        self._fake.die(PeerUnavailable("execution:0 is restarting"))


class RealPool:
    """An execution actor and its broker."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._actors = bench, Actors()
        self._actors.begin("execution:0", ExecutionHere(bench.actor))
        self.execution: OrderExecution = RayOrderExecution(PeersHere(self._actors, "strategy:3"), Pools())

    async def fills(self, intent: Intent) -> None:
        await until(lambda: intent in self._bench.posted)

    def parks(self) -> None:
        self._bench.broker.script = [PARKED]

    def lists(self, report: OrderReport) -> None:
        self._bench.broker.list(report)

    def holds(self, quantity: int) -> None:
        self._bench.broker.net[INFY, HOLDING.product] = quantity

    def loses_the_broker(self) -> None:
        self._bench.broker.down = True

    def dies(self) -> None:
        self._actors.end("execution:0")


async def _fake() -> Pool:
    return FakePool()


async def _real() -> Pool:
    return RealPool(await guarded(Bench()))


def on_both(test: Callable[[Pool], Awaitable[None]]) -> Callable[..., None]:
    """Run the test on each, on a loop in virtual time."""

    @pytest.mark.parametrize("opened", [_fake, _real], ids=["fake", "execution"])
    def run(opened: Callable[[], Awaitable[Pool]]) -> None:
        async def scenario() -> None:
            await test(await opened())

        in_virtual_time(scenario)()

    return run


@on_both
async def test_a_command_is_answered_with_the_end_of_its_order(pool: Pool) -> None:
    sell = a_sell(10)
    work = asyncio.ensure_future(pool.execution.execute(a_command(sell, stake=HOLDING.stake)))
    await pool.fills(sell)
    event = await work
    assert isinstance(event, OrderReported)
    assert (event.intent_id, event.report.stage, event.report.filled_quantity) == (sell.id, OrderStage.COMPLETE, 10)


@on_both
async def test_a_command_whose_execution_dies_is_in_doubt(pool: Pool) -> None:
    pool.parks()
    work = asyncio.ensure_future(pool.execution.execute(a_command(a_sell(10), stake=HOLDING.stake)))
    await passing(1)
    pool.dies()
    with pytest.raises(PeerUnavailable):
        await work


@on_both
async def test_of_two_orders_under_a_tag_the_one_that_traded_is_found_and_none_of_another(pool: Pool) -> None:
    first, other = a_sell(seq=1), a_sell(seq=2)
    for number, (stage, filled) in enumerate(((OrderStage.CANCELLED, 0), (OrderStage.COMPLETE, 10))):
        pool.lists(replace(listed(first, stage=stage, filled=filled), order_id=f"190000000000000000{number}"))
    pool.lists(a_report("1900000000000000009", tag=other.tag))
    found = await pool.execution.orders_by_tag(ACCOUNT, [first.tag, "NOTHING"])
    assert {tag: report.stage for tag, report in found.items()} == {first.tag: OrderStage.COMPLETE}
    pool.loses_the_broker()
    with pytest.raises(PeerUnavailable):
        await pool.execution.orders_by_tag(ACCOUNT, [first.tag])


@on_both
async def test_a_broker_that_does_not_answer_is_told_from_one_that_does(pool: Pool) -> None:
    assert await pool.execution.probe(ACCOUNT)
    pool.loses_the_broker()
    assert not await pool.execution.probe(ACCOUNT)


@on_both
async def test_an_order_that_cannot_be_cancelled_is_not_said_to_be(pool: Pool) -> None:
    sell = a_sell(10)
    pool.lists(listed(sell, stage=OrderStage.OPEN, filled=0))
    order_id = f"order-{sell.id}"
    await pool.execution.cancel(ACCOUNT, sell.id, order_id)
    pool.loses_the_broker()
    with pytest.raises(PeerUnavailable):
        await pool.execution.cancel(ACCOUNT, sell.id, order_id)


@on_both
async def test_what_is_withdrawn_need_not_be_known(pool: Pool) -> None:
    await pool.execution.withdraw(ACCOUNT, BUY.id)


@on_both
async def test_the_cover_of_a_run_is_what_its_account_still_holds_of_its_shares(pool: Pool) -> None:
    for held in (10, 4):
        pool.holds(held)
        cover = await pool.execution.cover(HOLDING)
        assert (cover.key, cover.staked, cover.covered, cover.runs) == (KEY, 10, held, frozenset({HOLDING.run_id}))
    pool.loses_the_broker()
    with pytest.raises(PeerUnavailable):
        await pool.execution.cover(HOLDING)


@on_both
async def test_a_holding_arms_its_stop_and_one_without_a_stop_arms_nothing(pool: Pool) -> None:
    assert not (await pool.execution.guard(a_holding(None, number=1))).armed
    for number in (2, 2):  # renewed
        assert (await pool.execution.guard(a_holding(a_stop(), number=number))).armed
    pool.loses_the_broker()
    with pytest.raises(PeerUnavailable):
        await pool.execution.guard(a_holding(a_stop(seq=2), number=3, epoch=2))
