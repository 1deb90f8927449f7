"""Requests are counted: chases, repeats and cancels have bounds, and leave room for other exits."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, time, timedelta
from decimal import Decimal

import pytest

from actors.domain.market_hours import MarketHours
from actors.domain.orders.order import FailureKind, OrderReport, OrderStage
from actors.domain.orders.placement_policy import LookUpAt, Placement, RetryPolicy, after_look_up
from actors.domain.session import SessionHours
from actors.domain.strategy.events import OrderReported
from actors.domain.strategy.state import Phase, StatusDetail
from actors.execution.account.budget import BudgetLimits, ChasesUsedUp, DayUsedUp, OrderBudget
from actors.execution.account.request_counts import MOST_REQUESTS
from actors.strategy.execution_calls import PEER_RETRY_S, peer_pause
from tests.kit.builders import NOW
from tests.kit.execution import BUY, ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_gateway import NOT_SENT, PARKED, REFUSED
from tests.kit.virtual_time import FakeClock, in_virtual_time, over_days, passing, until
from tests.kit.whole import WholeBench

LOWER = 135000
MINUTE, HOUR = 60, 3600
SECONDS = timedelta(seconds=1)


# --- budgets of their own ---------------------------------------------------------------------------------------------


@over_days
async def test_chases_never_use_more_than_their_share_of_minute_and_day() -> None:
    clock = FakeClock(NOW)
    budget = OrderBudget(BudgetLimits(), clock)
    sent, in_first_minute = 0, 0
    for _ in range(30 * MINUTE):
        try:
            await budget.acquire_chase()
            sent += 1
            in_first_minute += clock.now() - NOW < timedelta(minutes=1)
        except ChasesUsedUp:
            await passing(1)
    assert in_first_minute == 40
    assert sent == 500


@in_virtual_time
async def test_a_chase_waits_behind_exits_and_goes_before_entries() -> None:
    clock = FakeClock(NOW)
    budget, left = OrderBudget(BudgetLimits(per_second=1, reserve=0), clock), list[str]()

    async def leave(name: str, place: object) -> None:
        await place  # type: ignore[misc] # an awaitable
        left.append(name)

    await budget.acquire(a_sell().event)
    await asyncio.gather(
        leave("buy", budget.acquire(BUY.event)),
        leave("chase", budget.acquire_chase()),
        leave("again", budget.acquire(a_sell().event, again=True)),
        leave("stop-loss", budget.acquire(a_sell().event)),
    )
    assert left == ["stop-loss", "again", "chase", "buy"]


@over_days
async def test_repeats_of_exits_leave_a_part_of_the_day_to_first_ones() -> None:
    clock = FakeClock(NOW)
    budget = OrderBudget(BudgetLimits(per_second=100, per_minute=10_000), clock)
    for _ in range(4500):
        await budget.acquire(a_sell().event, again=True)
    with pytest.raises(DayUsedUp):
        await budget.acquire(a_sell().event, again=True)
    for _ in range(500):
        await budget.acquire(a_sell().event)
    with pytest.raises(DayUsedUp):
        await budget.acquire(a_sell().event)


# --- bounds -----------------------------------------------------------------------------------------------------------


@over_days
async def test_an_exit_that_is_refused_all_day_costs_few_requests_and_its_trader_is_told_once() -> None:
    bench = WholeBench()
    bench.strategy()
    await bench.reaches(1, Phase.GUARDING)
    await passing(5)
    bench.broker.script = [REFUSED] * 5000
    bench.tick(1, LOWER)
    await passing(4.5 * HOUR)
    assert 20 < len(bench.posted) < 60
    assert bench.actors[1].state.phase is Phase.EXIT_FAILED
    assert bench.alerts(1).count("exit_failed") == 1
    assert bench.alerts(1).count("exit_fails_often") == 1
    assert "try it now" in dict(bench.journals[1].alerts)["exit_fails_often"]


@in_virtual_time
async def test_no_run_costs_more_than_so_many_requests_a_day() -> None:
    bench = ExecutionBench()
    bench.broker.script = [REFUSED] * 500
    events = [await bench.failed(a_command(a_sell())) for _ in range(MOST_REQUESTS + 5)]
    assert len(bench.posted) == MOST_REQUESTS
    assert {event.kind for event in events[-5:]} == {FailureKind.BUDGET_USED_UP}
    bench.broker.script.clear()
    of_another_run = replace(a_sell(), id=replace(a_sell().id, run_id=8))
    await bench.filled(a_command(of_another_run, run_id=8))


@over_days
async def test_a_cancel_that_is_refused_backs_off_and_ends_with_the_order() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    bench.start(a_command())
    await passing(1)
    bench.broker.refuses_cancels = True
    cancelling = [asyncio.create_task(bench.actor.cancel(2, BUY.id, "1")) for _ in range(3)]
    await passing(2 * HOUR)
    assert len(bench.broker.cancels) <= 20
    bench.broker.fill("1", 10)
    await asyncio.wait_for(asyncio.gather(*cancelling), 120)


@in_virtual_time
async def test_a_cancel_of_an_order_that_is_final_ends_at_once_though_its_follower_does_not() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    bench.start(a_command())
    await passing(1)
    bench.broker.list(replace(next(iter(await bench.broker.orders())), stage=OrderStage.COMPLETE, filled_quantity=5))
    await asyncio.wait_for(bench.actor.cancel(2, BUY.id, "1"), 3)
    assert len(bench.broker.cancels) == 1


@over_days
async def test_an_exit_that_never_reaches_a_broker_that_answers_is_tried_ever_more_rarely() -> None:
    bench = WholeBench()
    bench.strategy()
    await bench.reaches(1, Phase.GUARDING)
    await passing(5)
    bench.broker.script = [NOT_SENT] * 5000
    bench.tick(1, LOWER)
    await passing(HOUR / 6)
    first = len(bench.posted)
    await passing(HOUR / 6)
    assert 0 < len(bench.posted) - first <= 4 * 2 * 10
    assert bench.actors[1].state.phase is Phase.EXIT_FAILED


@in_virtual_time
async def test_an_entry_that_the_trader_changes_by_hand_is_cancelled_by_one_loop_only() -> None:
    bench = WholeBench()
    bench.broker.script = [PARKED]
    bench.strategy()
    await until(lambda: bench.posted)
    await passing(11)  # its patience is over
    bench.broker.refuses_cancels = False
    await bench.reaches(1, Phase.ENDED)
    assert len(bench.broker.cancels) == 1
    assert bench.actors[1].state.detail is StatusDetail.UNFILLED


@in_virtual_time
async def test_reports_of_an_entry_that_cannot_be_cancelled_start_no_loop_of_their_own() -> None:
    bench = WholeBench()
    bench.broker.script = [PARKED]
    actor = bench.strategy()
    await until(lambda: actor.state.entry.order_id)
    bench.broker.refuses_cancels = True
    stopping = asyncio.create_task(actor.stop(0.1))
    for price in range(20):  # the trader moves its price in the app
        changed = OrderReport("1", actor.state.entry.intent.tag, OrderStage.OPEN, 10, 0, Decimal(0), f"moved {price}")
        actor.post(OrderReported(actor.state.entry.intent.id, changed))
        await passing(0.5)
    await stopping
    assert len(bench.broker.cancels) <= 5
    bench.broker.refuses_cancels = False
    await bench.reaches(1, Phase.ENDED)


@in_virtual_time
async def test_nothing_is_cancelled_while_the_market_is_closed() -> None:
    def one_minute(day: date) -> list[SessionHours]:
        return [SessionHours(time(4, 0), time(4, 1))]

    bench = ExecutionBench(market=MarketHours(one_minute, UTC))
    bench.broker.script = [PARKED]
    bench.start(a_command())
    await passing(90)
    cancelling = asyncio.create_task(bench.actor.cancel(2, BUY.id, "1"))
    await passing(60)
    assert bench.broker.cancels == []
    bench.broker.expire("1")
    await asyncio.wait_for(cancelling, 60)


def test_a_peer_that_is_away_for_long_is_asked_more_rarely() -> None:
    assert peer_pause(0) < peer_pause(30) < PEER_RETRY_S
    assert peer_pause(100) == 10 * PEER_RETRY_S


def test_an_outcome_that_the_book_does_not_tell_is_looked_up_more_rarely() -> None:
    policy, doubted = RetryPolicy(), Placement(doubt_since=NOW)
    for later, pause in ((1, policy.look_interval), (61, policy.slow_look_interval)):
        now = NOW + later * SECONDS
        assert after_look_up(doubted, None, now, policy) == (doubted, LookUpAt(now + pause))
