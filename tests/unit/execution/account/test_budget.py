"""The order budget of an account: never more than its share of a calendar second, exits before entries."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from datetime import datetime, timedelta

import pytest

from actors.domain.orders.order import OrderEvent
from actors.execution.account.budget import BudgetLeft, BudgetLimits, DayUsedUp, OrderBudget, Place
from tests.kit.builders import NOW
from tests.kit.virtual_time import FakeClock, in_virtual_time, passing

STOPLOSS, SELL, BUY = OrderEvent.STOPLOSS, OrderEvent.SELL, OrderEvent.BUY


def a_budget(per_second: int, clock: FakeClock, **limits: int) -> OrderBudget:
    return OrderBudget(BudgetLimits(per_second=per_second, **({"reserve": 0} | limits)), clock)


async def answered(place: Awaitable[Place]) -> None:
    """A request whose answer comes at once."""
    with await place:
        pass


async def leave(
    budget: OrderBudget, clock: FakeClock, event: OrderEvent, left: list[tuple[datetime, OrderEvent]]
) -> None:
    await answered(budget.acquire(event))
    left.append((clock.now(), event))


@in_virtual_time
async def test_requests_within_the_budget_leave_at_once() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(10, clock)
    for _ in range(10):
        await answered(budget.acquire(BUY))
    assert clock.now() == NOW


@pytest.mark.parametrize("start_ms", [0, 1, 500, 999])
def test_never_more_than_its_share_leaves_in_a_calendar_second(start_ms: int) -> None:
    @in_virtual_time
    async def scenario() -> None:
        clock = FakeClock(NOW + timedelta(milliseconds=start_ms))
        budget, left = a_budget(10, clock), list[tuple[datetime, OrderEvent]]()
        await asyncio.gather(*(leave(budget, clock, BUY, left) for _ in range(37)))
        seconds = Counter(at.replace(microsecond=0) for at, _ in left)
        assert len(left) == 37
        assert list(seconds.values()) == [10, 10, 10, 7]

    scenario()


@in_virtual_time
async def test_requests_that_trickle_in_share_the_second() -> None:
    clock = FakeClock(NOW)
    budget, left = a_budget(3, clock), list[tuple[datetime, OrderEvent]]()
    tasks = []
    for _ in range(20):
        tasks.append(asyncio.create_task(leave(budget, clock, BUY, left)))
        await passing(0.13)
    await asyncio.gather(*tasks)
    assert max(Counter(at.replace(microsecond=0) for at, _ in left).values()) == 3


@in_virtual_time
async def test_a_new_second_is_used_only_some_way_into_it() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(1, clock)
    await answered(budget.acquire(BUY))
    await answered(budget.acquire(BUY))
    assert timedelta(seconds=1, milliseconds=10) <= clock.now() - NOW <= timedelta(seconds=1, milliseconds=50)


@in_virtual_time
async def test_a_late_request_without_an_answer_counts_in_the_next_second_too() -> None:
    clock = FakeClock(NOW + timedelta(milliseconds=800))
    budget, left = a_budget(3, clock), list[tuple[datetime, OrderEvent]]()
    with await budget.acquire(STOPLOSS):
        with await budget.acquire(STOPLOSS):
            await passing(0.1)
        await asyncio.gather(*(leave(budget, clock, STOPLOSS, left) for _ in range(6)))
    seconds = Counter((at - NOW) // timedelta(seconds=1) for at, _ in left)
    assert seconds == {0: 1, 1: 2, 2: 3}


@in_virtual_time
async def test_a_late_request_that_is_answered_before_the_next_second_is_used_counts_there_too() -> None:
    for answered_at in (1.01, 1.1):
        clock = FakeClock(NOW + timedelta(milliseconds=950))
        budget, left = a_budget(3, clock), list[tuple[datetime, OrderEvent]]()
        with await budget.acquire(STOPLOSS):
            await passing(answered_at - 0.95)
        await passing(1.2 - answered_at)
        await asyncio.gather(*(leave(budget, clock, STOPLOSS, left) for _ in range(3)))
        assert [(at - NOW) // timedelta(seconds=1) for at, _ in left] == [1, 1, 2]


@in_virtual_time
async def test_a_request_that_leaves_later_than_in_the_second_of_its_place_counts_when_it_leaves() -> None:
    clock = FakeClock(NOW)
    budget, left = a_budget(2, clock), list[tuple[datetime, OrderEvent]]()
    place = await budget.acquire(STOPLOSS)
    await passing(1.1)
    with place:
        pass
    await asyncio.gather(*(leave(budget, clock, STOPLOSS, left) for _ in range(2)))
    assert [(at - NOW) // timedelta(seconds=1) for at, _ in left] == [1, 2]


@in_virtual_time
async def test_a_broker_that_answers_slowly_holds_up_no_exit() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(1, clock)
    with await budget.acquire(BUY), await budget.acquire(STOPLOSS):
        assert timedelta(seconds=1) <= clock.now() - NOW < timedelta(seconds=1.1)


@in_virtual_time
async def test_stop_losses_go_before_sells_before_buys() -> None:
    clock = FakeClock(NOW)
    budget, left = a_budget(2, clock), list[tuple[datetime, OrderEvent]]()
    waiting = [asyncio.create_task(leave(budget, clock, p, left)) for p in (BUY, BUY, BUY, SELL, STOPLOSS)]
    await asyncio.gather(*waiting)
    assert [event for _, event in left] == [BUY, BUY, STOPLOSS, SELL, BUY]


@in_virtual_time
async def test_equals_leave_in_the_order_they_came() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(1, clock)
    order: list[int] = []

    async def numbered(number: int) -> None:
        await answered(budget.acquire(SELL))
        order.append(number)

    await asyncio.gather(*(numbered(n) for n in range(5)))
    assert order == [0, 1, 2, 3, 4]


@in_virtual_time
async def test_a_waiter_that_was_cancelled_takes_no_place() -> None:
    clock = FakeClock(NOW)
    budget, left = a_budget(1, clock), list[tuple[datetime, OrderEvent]]()
    await answered(budget.acquire(BUY))
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
    budget, left = a_budget(1, clock), list[tuple[datetime, OrderEvent]]()
    await answered(budget.acquire(BUY))
    first = asyncio.create_task(leave(budget, clock, BUY, left))
    await passing(1.01)  # the new second has begun, its margin is not over
    await asyncio.gather(first, leave(budget, clock, BUY, left))
    assert [(at - NOW) // timedelta(seconds=1) for at, _ in left] == [1, 2]


@in_virtual_time
async def test_waiters_are_served_though_the_clock_was_set_back() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(1, clock)
    await answered(budget.acquire(BUY))
    second = asyncio.create_task(budget.acquire(BUY))
    await passing(0.1)
    clock.step(timedelta(hours=-1))
    await asyncio.wait_for(second, 3)


@in_virtual_time
async def test_a_wave_of_entries_leaves_room_for_an_exit_in_the_same_second() -> None:
    clock = FakeClock(NOW)
    budget, left = a_budget(10, clock, reserve=2), list[tuple[datetime, OrderEvent]]()
    entries = [asyncio.create_task(leave(budget, clock, BUY, left)) for _ in range(30)]
    await passing(0.1)
    assert len(left) == 8
    await leave(budget, clock, STOPLOSS, left)
    await leave(budget, clock, SELL, left)
    assert clock.now() - NOW < timedelta(seconds=0.2)
    await asyncio.gather(*entries)
    assert max(Counter(at.replace(microsecond=0) for at, _ in left).values()) == 10


@in_virtual_time
async def test_sixty_stop_losses_at_once_leave_ten_a_second_and_each_is_told_when() -> None:
    clock = FakeClock(NOW)
    budget, left, expected = a_budget(10, clock, reserve=2), list[datetime](), list[datetime]()

    async def stop_loss() -> None:
        await answered(budget.acquire(STOPLOSS, expected.append))
        left.append(clock.now())

    await asyncio.gather(*(stop_loss() for _ in range(60)))
    assert list(Counter(at.replace(microsecond=0) for at in left).values()) == [10] * 6
    assert len(expected) == 50
    assert expected == left[10:]


@in_virtual_time
async def test_a_minute_takes_no_more_than_its_share_and_keeps_some_of_it_for_exits() -> None:
    clock = FakeClock(NOW)
    budget, left = a_budget(10, clock, reserve=5, per_minute=20), list[tuple[datetime, OrderEvent]]()
    entries = [asyncio.create_task(leave(budget, clock, BUY, left)) for _ in range(15)]
    await passing(10)
    assert len(left) == 10
    await leave(budget, clock, SELL, left)
    assert clock.now() - NOW < timedelta(seconds=11)
    await asyncio.gather(*entries)
    assert {at.replace(second=0, microsecond=0) - NOW for at, _ in left} == {timedelta(0), timedelta(minutes=1)}


@in_virtual_time
async def test_a_day_that_is_used_up_refuses_entries_first_and_exits_at_the_very_end() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(10, clock, reserve=5, per_day=4)
    for _ in range(2):
        await answered(budget.acquire(BUY))
    with pytest.raises(DayUsedUp):
        await answered(budget.acquire(BUY))
    for _ in range(2):
        await answered(budget.acquire(STOPLOSS))
    with pytest.raises(DayUsedUp):
        await answered(budget.acquire(STOPLOSS))


@in_virtual_time
async def test_those_who_wait_when_the_day_is_used_up_are_told() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(1, clock, per_day=2)
    answers = await asyncio.gather(*(budget.acquire(SELL) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Place, Place, DayUsedUp]


@in_virtual_time
async def test_after_a_429_nothing_more_leaves_in_that_second() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(10, clock)
    await answered(budget.acquire(STOPLOSS))
    budget.refused_by_broker()
    await answered(budget.acquire(STOPLOSS))
    assert clock.now() - NOW >= timedelta(seconds=1)


class CreepingClock(FakeClock):
    """A clock on which time passes between two looks, as it does on every machine."""

    looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return super().now() + timedelta(microseconds=30 * self.looks)


@pytest.mark.parametrize("into_second_ms", [19.9, 19.95, 19.98, 20.0])
def test_who_comes_when_the_second_is_about_to_open_does_not_wait_for_the_next(into_second_ms: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        clock = CreepingClock(NOW - timedelta(milliseconds=500))
        budget = a_budget(10, clock)
        await budget.acquire(BUY)  # of the second before
        await passing(0.5 + into_second_ms / 1000)
        await answered(budget.acquire(STOPLOSS))
        assert clock.now() - NOW < timedelta(milliseconds=25)

    scenario()


@in_virtual_time
async def test_at_the_edge_of_two_seconds_a_request_counts_in_both_and_waits_only_if_the_first_is_full() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(3, clock)
    await answered(budget.acquire(BUY))
    await passing(1.005)
    await answered(budget.acquire(STOPLOSS))
    assert clock.now() == NOW + timedelta(seconds=1.005)
    await answered(budget.acquire(STOPLOSS))
    await budget.acquire(STOPLOSS)  # the second before is full: this one is of the new second for certain
    assert clock.now() == NOW + timedelta(seconds=1.02)
    await budget.acquire(STOPLOSS)  # two at the edge and one behind it: the new second is full as well
    assert clock.now() == NOW + timedelta(seconds=2.02)


@in_virtual_time
async def test_what_is_left_is_told_without_opening_a_window() -> None:
    clock = FakeClock(NOW)
    budget = a_budget(2, clock, per_minute=4, per_day=10)
    assert budget.left() == BudgetLeft(1.0, 1.0, 0)
    await answered(budget.acquire(BUY))
    await answered(budget.acquire(BUY))
    waiting = asyncio.create_task(budget.acquire(BUY))
    await passing(0)
    assert budget.left() == BudgetLeft(0.5, 0.8, 1)
    await waiting
    await passing(60)
    assert budget.left() == BudgetLeft(1.0, 0.7, 0)
