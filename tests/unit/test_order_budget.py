"""The order budget of an account: never more than its share of a calendar second, exits before entries."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from actors.order_budget import OrderBudget
from tests.kit.builders import NOW
from tests.kit.virtual_time import FakeClock, in_virtual_time, passing

STOPLOSS, SELL, BUY = 0, 1, 2


async def leave(budget: OrderBudget, clock: FakeClock, priority: int, left: list[tuple[datetime, int]]) -> None:
    await budget.acquire(priority)
    left.append((clock.now(), priority))


@in_virtual_time
async def test_requests_within_the_budget_leave_at_once() -> None:
    clock = FakeClock(NOW)
    budget = OrderBudget(10, clock)
    for _ in range(10):
        await budget.acquire(BUY)
    assert clock.now() == NOW


@pytest.mark.parametrize("start_ms", [0, 1, 500, 999])
def test_never_more_than_its_share_leaves_in_a_calendar_second(start_ms: int) -> None:
    @in_virtual_time
    async def scenario() -> None:
        clock = FakeClock(NOW + timedelta(milliseconds=start_ms))
        budget, left = OrderBudget(10, clock), list[tuple[datetime, int]]()
        await asyncio.gather(*(leave(budget, clock, BUY, left) for _ in range(37)))
        seconds = Counter(at.replace(microsecond=0) for at, _ in left)
        assert len(left) == 37
        assert list(seconds.values()) == [10, 10, 10, 7]

    scenario()


@in_virtual_time
async def test_requests_that_trickle_in_share_the_second() -> None:
    clock = FakeClock(NOW)
    budget, left = OrderBudget(3, clock), list[tuple[datetime, int]]()
    tasks = []
    for _ in range(20):
        tasks.append(asyncio.create_task(leave(budget, clock, BUY, left)))
        await passing(0.13)
    await asyncio.gather(*tasks)
    assert max(Counter(at.replace(microsecond=0) for at, _ in left).values()) == 3


@in_virtual_time
async def test_a_new_second_is_used_only_some_way_into_it() -> None:
    clock = FakeClock(NOW)
    budget = OrderBudget(1, clock)
    await budget.acquire(BUY)
    await budget.acquire(BUY)
    assert timedelta(seconds=1, milliseconds=10) <= clock.now() - NOW <= timedelta(seconds=1, milliseconds=50)


@in_virtual_time
async def test_stop_losses_go_before_sells_before_buys() -> None:
    clock = FakeClock(NOW)
    budget, left = OrderBudget(2, clock), list[tuple[datetime, int]]()
    waiting = [asyncio.create_task(leave(budget, clock, p, left)) for p in (BUY, BUY, BUY, SELL, STOPLOSS)]
    await asyncio.gather(*waiting)
    assert [priority for _, priority in left] == [BUY, BUY, STOPLOSS, SELL, BUY]


@in_virtual_time
async def test_equals_leave_in_the_order_they_came() -> None:
    clock = FakeClock(NOW)
    budget = OrderBudget(1, clock)
    order: list[int] = []

    async def numbered(number: int) -> None:
        await budget.acquire(SELL)
        order.append(number)

    await asyncio.gather(*(numbered(n) for n in range(5)))
    assert order == [0, 1, 2, 3, 4]


@in_virtual_time
async def test_a_waiter_that_was_cancelled_takes_no_place() -> None:
    clock = FakeClock(NOW)
    budget, left = OrderBudget(1, clock), list[tuple[datetime, int]]()
    await budget.acquire(BUY)
    gone = [asyncio.create_task(leave(budget, clock, STOPLOSS, left)) for _ in range(3)]
    stays = asyncio.create_task(leave(budget, clock, BUY, left))
    await passing(0.1)
    for task in gone:
        task.cancel()
    await stays
    assert left == [(left[0][0], BUY)]
    assert clock.now() - NOW < timedelta(seconds=1.1)


@in_virtual_time
async def test_a_late_request_does_not_overtake_those_that_wait() -> None:
    clock = FakeClock(NOW)
    budget, left = OrderBudget(1, clock), list[tuple[datetime, int]]()
    await budget.acquire(BUY)
    first = asyncio.create_task(leave(budget, clock, BUY, left))
    await passing(1.01)  # the new second has begun, its margin is not over
    await asyncio.gather(first, leave(budget, clock, BUY, left))
    assert [(at - NOW) // timedelta(seconds=1) for at, _ in left] == [1, 2]


@in_virtual_time
async def test_waiters_are_served_though_the_clock_was_set_back() -> None:
    clock = FakeClock(NOW)
    budget = OrderBudget(1, clock)
    await budget.acquire(BUY)
    second = asyncio.create_task(budget.acquire(BUY))
    await passing(0.1)
    clock.step(timedelta(hours=-1))
    await asyncio.wait_for(second, 3)
