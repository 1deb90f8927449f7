"""A strategy leaves its process for another node's in a moment in which nothing can go wrong, or says why not (J1)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from actors.domain.orders.order import OrderEvent, OrderStage
from actors.domain.strategy.events import StopRequested
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.spec import Restored
from actors.domain.strategy.state import Phase, StrategyState
from actors.ports.common import PeerUnavailable
from actors.strategy.moving import AT_WORK, NEAR_TIMER, hindrance, is_well
from tests.kit import phases
from tests.kit.builders import BUY_AT, NOW
from tests.kit.strategies import SELL_AT, STOP, StrategyBench, listed, reported
from tests.kit.virtual_time import in_virtual_time, passing, until

HOURS = timedelta(hours=1)
RECORD_S = 4.0


def hindered(state: StrategyState, now: datetime, *, shared: bool = True, at_rest: bool = True) -> str | None:
    return hindrance(state, now, shared=shared, at_rest=at_rest)


# --- what hinders it --------------------------------------------------------------------------------------------------


def test_one_that_waits_for_its_buy_and_one_that_is_guarded_twice_may_leave() -> None:
    assert hindered(phases.scheduled(buy_at=NOW + HOURS), NOW, shared=False) is None
    assert hindered(phases.guarding(), phases.LATER) is None


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (phases.paused, "its BUY waits for the broker"),
        (phases.entering, "its BUY is on its way"),
        (phases.arming, "its BUY has just filled"),
        (phases.exiting, "its exit is on its way"),
        (phases.exit_failed, "its exit fails and is tried again"),
        (phases.ended, "its run is ending"),
    ],
)
def test_one_with_an_order_in_hand_stays(state: Callable[[], StrategyState], said: str) -> None:
    assert hindered(state(), phases.LATER) == said


def test_one_whose_entry_still_fills_stays_though_it_guards_a_part() -> None:
    guards = phases.guarding()
    partly = replace(guards, entry=replace(guards.entry, stage=OrderStage.OPEN, filled_quantity=4))
    assert hindered(partly, phases.LATER) == "an order of it is on its way"


def test_one_that_has_not_seen_its_account_stays() -> None:
    guards = phases.guarding()
    restored = Restored(NOW, NOW.date())
    for state in (replace(guards, unproven=True), replace(guards, restored=restored)):
        assert hindered(state, phases.LATER) == "it has not seen its account yet"


@pytest.mark.parametrize("early", [timedelta(0), NEAR_TIMER - timedelta(seconds=1), -timedelta(seconds=2)])
def test_one_whose_time_is_near_or_over_stays(early: timedelta) -> None:
    assert hindered(phases.scheduled(), BUY_AT - early) == f"its BUY is at {BUY_AT:%H:%M:%S}"
    sell_at = phases.guarding().run.sell_at
    assert hindered(phases.guarding(), sell_at - early) == f"its SELL is at {sell_at:%H:%M:%S}"


def test_one_with_a_position_stays_until_the_second_guard_has_its_stop() -> None:
    assert hindered(phases.guarding(), phases.LATER, shared=False) == (
        "the second guard has not confirmed its stop-loss"
    )


def test_one_that_is_at_work_stays() -> None:
    assert hindered(phases.guarding(), phases.LATER, at_rest=False) == AT_WORK
    assert hindered(phases.scheduled(buy_at=NOW + HOURS), NOW, at_rest=False) == AT_WORK


def test_a_position_is_well_when_both_guards_hear_its_prices() -> None:
    heard = replace(phases.guarding(), last_tick_at=phases.LATER)
    assert is_well(heard, shared=True)
    assert not is_well(heard, shared=False)
    assert not is_well(replace(heard, feed_live=False), shared=True)
    assert not is_well(replace(heard, last_tick_at=None), shared=True), "a new incarnation that has heard nothing yet"
    assert not is_well(phases.exit_failed(), shared=True)
    assert is_well(phases.scheduled(), shared=False)
    assert is_well(phases.exiting(), shared=False)


# --- how it leaves ----------------------------------------------------------------------------------------------------


async def settled() -> StrategyBench:
    """A strategy that guards its position, with nothing left to do."""
    bench = await StrategyBench().guarding()
    await until(lambda: bench.actor.leaving.hindered is None, within_s=10)
    return bench


@in_virtual_time
async def test_it_leaves_with_its_state_recorded_and_its_stop_armed_and_takes_nothing_in_any_more() -> None:
    bench = await settled()
    renewed, recorded = len(bench.execution.guarded), len(bench.journal.records)
    assert await bench.actor.leaving.leave(RECORD_S) is None
    assert bench.actor.leaving.left
    bench.tick(STOP)
    bench.actor.post(StopRequested())
    assert bench.task is not None
    assert await asyncio.wait_for(bench.task, 1)
    await passing(700)
    assert bench.sent == [OrderEvent.BUY]
    assert len(bench.journal.records) == recorded + 1
    assert bench.journal.records[-1].state.phase is Phase.GUARDING
    told = [holding for _, holding in bench.execution.guarded[renewed:]]
    assert told, "the second guard was renewed at the last moment"
    assert all(holding.quantity == 10 and holding.stop is not None for holding in told), "nothing was taken back"
    assert bench.prices.unwatched == [], "the next incarnation watches under the same id"


@in_virtual_time
async def test_what_it_leaves_is_guarded_by_the_next_incarnation() -> None:
    bench = await settled()
    assert await bench.actor.leaving.leave(RECORD_S) is None
    after = StrategyBench(epoch=2, snapshot=dump_state(bench.journal.records[-1].state))
    after.execution.book = [listed(after.run.entry_intent())]
    after.start()
    await until(lambda: after.execution.guarded != [])
    assert after.execution.guarded[0][1].stop is not None
    assert not after.actor.leaving.well, "it has had no tick of its own yet"
    after.tick(STOP + 100)
    await until(lambda: after.actor.leaving.well)
    after.tick(STOP)
    assert (await after.ordered()).intent.event is OrderEvent.STOPLOSS


@in_virtual_time
async def test_a_stop_that_meets_one_that_has_left_claims_nothing() -> None:
    bench = await settled()
    assert await bench.actor.leaving.leave(RECORD_S) is None
    assert await bench.actor.stop(1.0) is False
    assert bench.sent == [OrderEvent.BUY]


@in_virtual_time
async def test_a_touch_while_it_is_about_to_leave_is_sold_here() -> None:
    bench = await settled()
    bench.journal.open.clear()
    leaving = asyncio.create_task(bench.actor.leaving.leave(RECORD_S))
    await passing(1)
    bench.tick(STOP)
    await until(lambda: len(bench.sent) == 2, within_s=0.1)
    bench.journal.open.set()
    assert await leaving == "its exit is on its way"
    assert not bench.actor.leaving.left
    exit_ = await bench.ordered(2)
    bench.execution.answer(reported(exit_.intent))
    await bench.reaches(Phase.ENDED)


@in_virtual_time
async def test_without_the_ledger_it_stays_and_guards_on() -> None:
    bench = await settled()
    bench.journal.open.clear()
    assert await bench.actor.leaving.leave(RECORD_S) == "its state could not be recorded in time"
    bench.tick(STOP)
    await until(lambda: len(bench.sent) == 2, within_s=0.1)


@in_virtual_time
async def test_with_execution_that_does_not_confirm_at_the_last_moment_it_stays() -> None:
    bench = await settled()
    bench.execution.guard_failures = [PeerUnavailable("restarting")]
    assert await bench.actor.leaving.leave(RECORD_S) == "the second guard has not confirmed its stop-loss"
    assert not bench.actor.leaving.left
    bench.tick(STOP)
    await until(lambda: len(bench.sent) == 2, within_s=0.1)


@in_virtual_time
async def test_one_that_waits_for_its_buy_leaves_and_buys_nothing() -> None:
    bench = StrategyBench(buy_at=NOW + timedelta(minutes=5), sell_at=SELL_AT).start()
    await passing(10)
    assert await bench.actor.leaving.leave(RECORD_S) is None
    await passing(600)
    assert bench.sent == []
    assert bench.execution.guarded == []


@in_virtual_time
async def test_one_that_came_back_from_a_crash_need_not_wait_until_its_troubles_are_called_over() -> None:
    first = await settled()
    after = StrategyBench(epoch=2, snapshot=dump_state(first.actor.state))
    after.execution.book = [listed(after.run.entry_intent())]
    after.start()
    await until(lambda: after.execution.guarded != [])
    after.tick(STOP + 100)
    await until(lambda: after.actor.leaving.hindered is None, within_s=10)
    assert await after.actor.leaving.leave(RECORD_S) is None
    assert after.task is not None
    assert await asyncio.wait_for(after.task, 1)


@in_virtual_time
async def test_it_stays_while_somebody_waits_for_its_answer() -> None:
    bench = await settled()
    assert await bench.actor.leaving.leave(RECORD_S, lambda: True) == AT_WORK
    assert not bench.actor.leaving.left
    bench.tick(STOP)
    await until(lambda: len(bench.sent) == 2, within_s=0.1)


@in_virtual_time
async def test_one_that_has_left_answers_a_second_command_in_the_same_way() -> None:
    bench = await settled()
    assert await bench.actor.leaving.leave(RECORD_S) is None
    assert await bench.actor.leaving.leave(RECORD_S) is None
    assert bench.sent == [OrderEvent.BUY]
