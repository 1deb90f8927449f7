"""Execution is lost in the instant of the breach: claims that were not answered, and the rehearsal of the way."""

import asyncio
from datetime import timedelta

from actors.ports.execution import ClaimVerdict
from tests.kit.armed_stop import a_holding, a_stop, fall, watched
from tests.kit.builders import a_report
from tests.kit.execution import HOLDING, ExecutionBench, a_command, a_sell
from tests.kit.virtual_time import in_virtual_time, passing


async def given_again(bench: ExecutionBench, verdict: ClaimVerdict, *, given: timedelta = timedelta(0)) -> float:
    """Seconds until an exit leaves that is given again since the link to execution broke."""
    bench.claims.verdict = verdict
    begun = bench.clock.now()
    command = a_command(a_sell(), stake=HOLDING.stake, look_up_first=True, given_at=begun - given)
    await bench.filled(command)
    return (bench.broker.posts[-1][0] - begun).total_seconds()


@in_virtual_time
async def test_an_exit_whose_claim_is_free_has_never_left_and_waits_for_no_quarantine() -> None:
    assert await given_again(await watched(), ClaimVerdict.GRANTED) < 0.5


@in_virtual_time
async def test_an_exit_whose_claim_is_held_or_unknown_or_may_have_lapsed_waits_for_it() -> None:
    assert await given_again(await watched(), ClaimVerdict.HELD_BY_ME) >= 2
    assert await given_again(await watched(), ClaimVerdict.OWNED) >= 2
    assert await given_again(await watched(), ClaimVerdict.GRANTED, given=timedelta(seconds=16)) >= 2


@in_virtual_time
async def test_an_exit_that_the_book_shows_is_adopted_though_its_claim_is_free() -> None:
    bench = await watched()
    bench.broker.list(a_report("9", filled=10, tag=a_sell().tag))
    command = a_command(a_sell(), stake=HOLDING.stake, look_up_first=True, given_at=bench.clock.now())
    assert (await bench.filled(command)).order_id == "9"
    assert bench.posted == []


@in_virtual_time
async def test_a_lease_that_is_not_held_has_the_claim_answered_before_the_exit_leaves() -> None:
    bench = await watched()
    bench.claims.leased, bench.claims.verdict = False, ClaimVerdict.REFUSED
    assert (await bench.actor.guard(a_holding(a_stop()))).armed
    fall(bench)
    await passing(1)
    assert bench.posted == []


@in_virtual_time
async def test_a_claim_that_is_not_granted_after_all_is_an_alert() -> None:
    bench = await watched()
    bench.claims.verdict = ClaimVerdict.HELD_BY_ME
    await bench.actor.guard(a_holding(a_stop()))
    fall(bench)
    await passing(1)
    assert len(bench.posted) == 1
    assert "claim_not_granted" in bench.attempts.alerts


async def sold_after(bench: ExecutionBench, seconds: float) -> int:
    """Orders that have left by `seconds` after the touch."""
    bench.claims.verdict = ClaimVerdict.GRANTED
    fall(bench)
    await passing(seconds)
    return len(bench.posted)


@in_virtual_time
async def test_a_claim_that_nobody_could_foresee_has_the_exit_look_first() -> None:
    bench = await watched()
    bench.claims.foreseen = ClaimVerdict.OWNED
    await bench.actor.guard(a_holding(a_stop()))
    assert await sold_after(bench, 1) == 0
    await passing(3)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_doubt_of_the_first_arming_ends_with_the_next_renewal_that_redis_answers() -> None:
    bench = await watched()
    bench.claims.foreseen = ClaimVerdict.OWNED
    await bench.actor.guard(a_holding(a_stop()))
    bench.claims.foreseen = ClaimVerdict.GRANTED
    assert (await bench.actor.guard(a_holding(a_stop()))).armed
    assert await sold_after(bench, 1) == 1


@in_virtual_time
async def test_the_way_is_rehearsed_while_a_stop_is_armed_and_nothing_is_sent() -> None:
    bench = await watched()
    rehearsing = asyncio.create_task(bench.actor.rehearsal.run())
    await passing(2)
    assert bench.broker.rehearsed == 0
    await bench.actor.guard(a_holding(a_stop()))
    await passing(2)
    assert bench.broker.rehearsed > 50
    assert bench.posted == []
    rehearsing.cancel()
