"""The order protocol: one claim and one order for one intent, and a failure that is certain is final."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from actors.domain.identifiers import IntentId, Leg
from actors.domain.orders.order import FailureKind, OrderEvent, OrderStage
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.strategy.events import OrderReported
from actors.execution.account.budget import BudgetLimits
from actors.ports.common import PeerUnavailable
from actors.ports.execution import BrokerUnavailable, ClaimsUnavailable, ClaimVerdict
from tests.kit.builders import INFY, NOW, a_report
from tests.kit.execution import BUY, ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_gateway import EXPIRED, LOST_REQUEST, NOT_SENT, PARKED, REFUSED, THROTTLED, Placing
from tests.kit.virtual_time import in_virtual_time, passing, until

# --- sending ----------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_is_sent_at_once_and_followed_to_its_fill() -> None:
    bench = ExecutionBench()
    report = await bench.filled(a_command())
    assert (report.tag, report.stage, report.filled_quantity) == (BUY.tag, OrderStage.COMPLETE, 10)
    assert bench.posted_at == [timedelta(0)]


@in_virtual_time
async def test_repeats_join_the_first_and_send_nothing() -> None:
    bench = ExecutionBench()
    events = await asyncio.gather(*(bench.actor.execute(a_command()) for _ in range(5)))
    assert len(bench.posted) == 1
    assert all(event == events[0] for event in events)
    assert len(bench.claims.claims) == 1


@in_virtual_time
async def test_a_caller_that_dies_does_not_take_the_order_with_it() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    caller = bench.start(a_command())
    await until(lambda: bench.posted)
    caller.cancel()
    await passing(5)
    assert bench.claims.renewals > 0
    asked_again = bench.start(a_command(look_up_first=True))
    await passing(1)
    bench.broker.fill("1", 10)
    assert isinstance(await asked_again, OrderReported)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_every_attempt_carries_the_same_tag_and_is_logged_with_its_number() -> None:
    bench = ExecutionBench()
    bench.broker.script = [NOT_SENT, LOST_REQUEST]
    await bench.filled(a_command())
    assert {intent.tag for intent in bench.posted} == {BUY.tag}
    logged = [(attempt.number, attempt.result.outcome) for attempt in bench.attempts.attempts]
    assert logged == [(1, AttemptOutcome.NOT_SENT), (2, AttemptOutcome.AMBIGUOUS), (3, AttemptOutcome.ACCEPTED)]


@in_virtual_time
async def test_accounts_whose_credentials_cannot_be_read_are_unreachable() -> None:
    bench = ExecutionBench()
    bench.gateways.down = True
    failed = await bench.failed(a_command())
    assert failed.kind is FailureKind.UNREACHABLE
    with pytest.raises(PeerUnavailable):  # of an earlier attempt, nothing is proven
        await bench.actor.execute(a_command(look_up_first=True))
    assert bench.claims.claims == []


# --- the claim --------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_refused_claim_sends_nothing() -> None:
    bench = ExecutionBench()
    bench.claims.verdict = ClaimVerdict.REFUSED
    assert (await bench.failed(a_command())).kind is FailureKind.HALTED
    assert bench.posted == []
    assert bench.claims.releases == []  # it is another's


@in_virtual_time
async def test_a_claim_that_an_earlier_attempt_holds_is_looked_up_before_anything_is_sent() -> None:
    bench = ExecutionBench()
    bench.claims.verdict = ClaimVerdict.HELD_BY_ME
    bench.broker.list(a_report("77", tag=BUY.tag))
    assert (await bench.filled(a_command())).order_id == "77"
    assert bench.posted == []


@in_virtual_time
async def test_without_claims_no_entry_is_taken_on() -> None:
    bench = ExecutionBench()
    bench.claims.verdict = ClaimsUnavailable("Redis is down")
    assert (await bench.failed(a_command())).kind is FailureKind.HALTED
    with pytest.raises(PeerUnavailable):
        await bench.actor.execute(a_command(look_up_first=True))
    assert bench.posted == []


@in_virtual_time
async def test_without_claims_an_exit_goes_out_after_a_look_at_the_book() -> None:
    bench = ExecutionBench()
    bench.claims.verdict = ClaimsUnavailable("Redis and PostgreSQL are down")
    await bench.filled(a_command(a_sell()))
    assert len(bench.posted) == 1
    assert len([at for at in bench.broker.reads if at <= bench.broker.posts[0][0]]) >= 3


@in_virtual_time
async def test_the_claim_is_renewed_while_the_order_is_live_and_released_at_its_end() -> None:
    bench = ExecutionBench()
    bench.broker.script = [PARKED]
    working = bench.start(a_command())
    await passing(26)
    assert bench.claims.renewals == 5
    assert bench.claims.held == [BUY.id]
    bench.broker.fill("1", 10)
    await working
    assert bench.claims.held == []
    await passing(60)
    assert bench.claims.renewals == 5


@pytest.mark.parametrize("placing", [REFUSED, EXPIRED])
def test_the_claim_is_released_after_a_failure_too(placing: Placing) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = ExecutionBench()
        bench.broker.script = [placing]
        await bench.failed(a_command())
        assert bench.claims.releases == [BUY.id]

    scenario()


# --- definite failures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("placing", "kind"), [(REFUSED, FailureKind.REFUSED), (EXPIRED, FailureKind.SESSION_EXPIRED)])
def test_a_refusal_is_final(placing: Placing, kind: FailureKind) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = ExecutionBench()
        bench.broker.script = [placing]
        failed = await bench.failed(a_command())
        assert (failed.kind, failed.reason) == (kind, placing.reason)
        assert len(bench.posted) == 1

    scenario()


@in_virtual_time
async def test_a_throttled_order_waits_for_the_next_second_and_costs_no_attempt() -> None:
    bench = ExecutionBench(NOW + timedelta(milliseconds=400))
    bench.broker.script = [THROTTLED] * 6
    await bench.filled(a_command())
    seconds = [at // timedelta(seconds=1) for at in bench.posted_at]
    assert seconds == [0, 1, 2, 3, 4, 5, 6]
    assert all(timedelta(0) < at % timedelta(seconds=1) < timedelta(milliseconds=100) for at in bench.posted_at[1:])


@in_virtual_time
async def test_a_broker_that_cannot_be_reached_is_tried_four_times_and_said_to_be_unreachable() -> None:
    bench = ExecutionBench()
    bench.broker.script = [NOT_SENT] * 10
    failed = await bench.failed(a_command())
    assert (failed.kind, len(bench.posted)) == (FailureKind.UNREACHABLE, 4)
    assert bench.posted_at[-1] < timedelta(seconds=1)


@in_virtual_time
async def test_a_late_rejection_ends_the_following() -> None:
    bench = ExecutionBench()
    bench.broker.script = [Placing(stage=OrderStage.REJECTED, filled=0, reason="RMS:Margin Exceeds")]
    report = await bench.filled(a_command())
    assert (report.stage, report.reason, report.filled_quantity) == (OrderStage.REJECTED, "RMS:Margin Exceeds", 0)


# --- cancelling, looking and probing ----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_cancel_is_repeated_until_the_follower_sees_the_order_final() -> None:
    bench = ExecutionBench()
    bench.broker.script = [replace(PARKED, filled=4)]
    working = bench.start(a_command())
    await passing(1)
    bench.broker.down = True
    cancelling = asyncio.create_task(bench.actor.cancel(2, BUY.id, "1"))
    await passing(5)
    assert not cancelling.done()
    bench.broker.down = False
    event = await working
    await cancelling
    assert isinstance(event, OrderReported)
    assert (event.report.stage, event.report.filled_quantity) == (OrderStage.CANCELLED, 4)


@in_virtual_time
async def test_cancelling_counts_against_the_budget() -> None:
    bench = ExecutionBench(budget=BudgetLimits(per_second=1, reserve=0))
    bench.broker.script = [PARKED]
    bench.start(a_command())
    await until(lambda: bench.posted)
    await bench.actor.cancel(2, BUY.id, "1")
    assert bench.clock.now() - NOW >= timedelta(seconds=1)


@in_virtual_time
async def test_orders_are_found_by_tag_or_the_broker_is_said_not_to_answer() -> None:
    bench = ExecutionBench()
    bench.broker.list(a_report("1", tag=BUY.tag))
    found = await bench.actor.orders_by_tag(2, [BUY.tag, a_sell().tag])
    assert {tag: report.order_id for tag, report in found.items()} == {BUY.tag: "1"}
    bench.broker.down = True
    with pytest.raises(BrokerUnavailable):
        await bench.actor.orders_by_tag(2, [BUY.tag])


@in_virtual_time
async def test_a_probe_tells_whether_the_broker_answers() -> None:
    bench = ExecutionBench()
    assert await bench.actor.probe(2)
    bench.broker.down = True
    assert not await bench.actor.probe(2)
    bench.gateways.down = True
    assert not await bench.actor.probe(99)


@in_virtual_time
async def test_exits_of_an_account_leave_before_entries_that_came_earlier() -> None:
    bench = ExecutionBench(budget=BudgetLimits(per_second=2, reserve=0))
    bench.broker.net[INFY, a_command().product] = 100
    entries = [replace(BUY, id=IntentId(n, Leg.ENTRY, 1), tag=f"TAG{n}") for n in range(5)]
    for entry in entries:
        bench.start(a_command(entry))
    await until(lambda: len(bench.posted) == 2)
    bench.start(a_command(a_sell(event=OrderEvent.SELL)))
    await until(lambda: len(bench.posted) == 6)
    assert bench.posted[2].event is OrderEvent.SELL
