"""An order that is handed to execution ahead of its instant: everything ready by then, and nothing sent before."""

import asyncio
from datetime import timedelta
from typing import Any

from actors.domain.orders.order import FailureKind
from actors.execution.account.budget import BudgetLimits
from actors.execution.account.position_evidence import LASTS, look_ahead_at
from actors.ports.execution import ClaimsUnavailable, ClaimVerdict
from actors.ports.strategy import OrderCommand
from tests.kit.builders import NOW, a_run
from tests.kit.execution import BUY, ExecutionBench, a_command
from tests.kit.virtual_time import in_virtual_time, passing

INSTANT = NOW + timedelta(seconds=1)
MS = timedelta(milliseconds=1)


def handed_over(**changes: Any) -> OrderCommand:
    return a_command(not_before=INSTANT, **changes)


@in_virtual_time
async def test_it_leaves_at_its_instant_with_the_claim_taken_and_a_session_ready() -> None:
    bench = ExecutionBench()
    working = bench.start(handed_over())
    await passing(0.5)
    assert bench.claims.held == [BUY.id]
    assert bench.broker.warmed != []
    assert bench.posted == []
    await working
    assert len(bench.posted) == 1
    assert timedelta(0) <= bench.posted_at[0] - (INSTANT - NOW) < MS


@in_virtual_time
async def test_fifty_of_one_instant_leave_together() -> None:
    bench = ExecutionBench(budget=BudgetLimits(per_second=100))
    work = [bench.start(handed_over(strategy_id=n, run_id=n, intent=a_run(run_id=n).entry_intent())) for n in range(50)]
    await asyncio.gather(*work)
    assert len(bench.posted_at) == 50
    assert {at - (INSTANT - NOW) < MS for at in bench.posted_at} == {True}


@in_virtual_time
async def test_called_back_before_its_instant_it_never_leaves_and_that_is_known_at_once() -> None:
    bench = ExecutionBench()
    working = bench.start(handed_over())
    await passing(0.4)
    bench.actor.withdraw(BUY.id)
    event = await working
    assert getattr(event, "kind", None) is FailureKind.EXHAUSTED
    assert bench.clock.now() - NOW < timedelta(seconds=0.5)
    assert bench.posted == []
    assert bench.claims.held == []


@in_virtual_time
async def test_a_claim_that_cannot_be_made_is_tried_until_the_instant() -> None:
    bench = ExecutionBench()
    bench.claims.verdict = ClaimsUnavailable("Redis is down")
    working = bench.start(handed_over())
    await passing(0.7)
    bench.claims.verdict = ClaimVerdict.GRANTED
    await working
    assert timedelta(0) <= bench.posted_at[0] - (INSTANT - NOW) < MS
    assert len(bench.claims.ids) > 1
    assert len(set(bench.claims.ids)) == 1, "the same claim, so that one whose answer was lost is not taken for another"
    await bench.filled(a_command(strategy_id=4))
    assert len(set(bench.claims.ids)) == 2


@in_virtual_time
async def test_without_a_claim_at_its_instant_it_is_halted() -> None:
    bench = ExecutionBench()
    bench.claims.verdict = ClaimsUnavailable("Redis is down")
    failed = await bench.failed(handed_over())
    assert failed.kind is FailureKind.HALTED
    assert timedelta(seconds=0.8) < bench.clock.now() - NOW < timedelta(seconds=1)
    assert bench.posted == []


@in_virtual_time
async def test_a_repeat_joins_the_one_that_waits() -> None:
    bench = ExecutionBench()
    first = bench.start(handed_over())
    await passing(0.2)
    second = bench.start(handed_over(look_up_first=True, epoch=2))  # the strategy died and came back
    assert await first == await second
    assert timedelta(0) <= bench.posted_at[0] - (INSTANT - NOW) < MS
    assert len(bench.posted) == 1


@in_virtual_time
async def test_one_whose_instant_has_passed_leaves_at_once() -> None:
    bench = ExecutionBench()
    await bench.filled(a_command(not_before=NOW - timedelta(seconds=2)))
    assert bench.posted_at[0] < MS


def test_looks_at_the_account_before_one_instant_are_spread_and_still_stand_at_it() -> None:
    looks = [look_ahead_at(INSTANT - timedelta(seconds=ahead), INSTANT) for ahead in (1, 2.4, 2.5, 3, 4, 600)]
    assert [(INSTANT - look).total_seconds() for look in looks] == [1, 2.4, 2.5, 2, 1, 1]
    assert all(INSTANT - look < LASTS for look in looks)
