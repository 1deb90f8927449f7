"""The order protocol: never two orders for one intent, and nothing given up that may still be there."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from actors.domain.identifiers import IntentId, Leg, Side
from actors.domain.orders.order import FailureKind, OrderEvent, OrderStage
from actors.domain.orders.retry_policy import AttemptOutcome
from actors.domain.strategy.events import OrderReported, PlacementUnresolved
from actors.execution.account.budget import BudgetLimits
from actors.ports.common import PeerUnavailable
from actors.ports.execution import BrokerUnavailable, ClaimsUnavailable, ClaimVerdict
from tests.kit.builders import INFY, NOW, a_report
from tests.kit.execution import BUY, ExecutionBench, a_command, a_sell, guarded
from tests.kit.fakes import EXPIRED, LOST_ANSWER, LOST_REQUEST, NOT_SENT, PARKED, REFUSED, THROTTLED, Placing
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
async def test_the_claim_is_renewed_while_the_order_lives_and_released_at_its_end() -> None:
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


# --- ambiguity --------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_order_whose_answer_was_lost_is_found_and_adopted() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_ANSWER]
    report = await bench.filled(a_command())
    assert (report.order_id, len(bench.posted)) == ("1", 1)
    assert len(await bench.broker.orders()) == 1


@in_virtual_time
async def test_an_order_that_is_listed_late_is_still_adopted() -> None:
    bench = ExecutionBench()
    bench.broker.script = [replace(LOST_ANSWER, listed_after_s=9)]
    assert (await bench.filled(a_command())).order_id == "1"
    assert len(bench.posted) == 1


@in_virtual_time
async def test_an_order_that_stays_absent_is_sent_again_under_its_tag_after_the_quarantine() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    report = await bench.filled(a_command())
    assert report.tag == BUY.tag
    first, second = bench.posted_at
    assert timedelta(seconds=10) <= second - first < timedelta(seconds=12)


@in_virtual_time
async def test_the_doubt_about_an_exit_is_shorter_but_still_three_reads_long() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    await bench.filled(a_command(a_sell()))
    first, second = bench.posted_at
    assert timedelta(seconds=2) <= second - first < timedelta(seconds=4)
    assert len([at for at in bench.broker.reads if at - NOW <= second]) >= 3


@in_virtual_time
async def test_reads_that_fail_prove_nothing() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    working = bench.start(a_command(a_sell()))
    await until(lambda: bench.posted)
    bench.broker.down = True
    await passing(60)
    assert len(bench.posted) == 1
    bench.broker.down = False
    assert isinstance(await working, OrderReported)
    assert len(bench.posted) == 2


@in_virtual_time
async def test_at_most_one_attempt_and_three_retries_leave() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST] * 10
    failed = await bench.failed(a_command())
    assert failed.kind is FailureKind.EXHAUSTED
    assert len(bench.posted) == 4
    assert all(later - earlier >= timedelta(seconds=10) for earlier, later in pairwise(bench.posted_at))


@in_virtual_time
async def test_a_long_doubt_is_told_once() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST, LOST_REQUEST]
    await bench.filled(a_command())
    told = [event for event in bench.strategies.events if isinstance(event, PlacementUnresolved)]
    assert told == [PlacementUnresolved(BUY.id, LOST_REQUEST.reason, unreachable=False)]


@in_virtual_time
async def test_a_doubt_while_the_broker_is_down_is_told_as_unreachable() -> None:
    bench = ExecutionBench()
    bench.broker.script, bench.broker.down = [LOST_REQUEST], True
    bench.start(a_command())
    await until(lambda: bench.strategies.events, within_s=5)
    assert bench.strategies.events == [PlacementUnresolved(BUY.id, LOST_REQUEST.reason, unreachable=True)]


@in_virtual_time
async def test_an_exit_in_doubt_whose_session_expires_says_so_and_goes_on_after_the_login() -> None:
    bench = ExecutionBench()
    bench.broker.down = True
    working = bench.start(a_command(a_sell(), look_up_first=True))
    await until(lambda: bench.strategies.events, within_s=10)
    bench.broker.down, bench.broker.expired = False, True
    await until(lambda: len(bench.strategies.events) == 2, within_s=10)
    told = [
        (event.unreachable, event.session_expired)
        for event in bench.strategies.events
        if isinstance(event, PlacementUnresolved)
    ]
    assert told == [(True, False), (False, True)]
    bench.broker.expired = False
    assert isinstance(await working, OrderReported)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_two_orders_under_a_tag_raise_an_alert_and_the_live_one_is_followed() -> None:
    bench = ExecutionBench()
    for order_id in ("1", "2"):
        bench.broker.list(a_report(order_id, tag=BUY.tag))
    report = await bench.filled(a_command(look_up_first=True))
    assert report.order_id == "1"
    assert bench.attempts.alerts == ["duplicate_order"]


@in_virtual_time
async def test_a_dead_order_under_the_tag_is_no_duplicate() -> None:
    bench = ExecutionBench()
    bench.broker.list(a_report("1", OrderStage.REJECTED, filled=0, tag=BUY.tag))
    bench.broker.list(a_report("2", tag=BUY.tag))
    assert (await bench.filled(a_command(look_up_first=True))).order_id == "2"
    assert bench.attempts.alerts == []


@in_virtual_time
async def test_the_orders_of_others_are_not_adopted() -> None:
    bench = ExecutionBench()
    bench.broker.list(a_report("1", tag="SOMEBODYELSES12345AB"))
    bench.broker.list(a_report("2", tag=None))
    await bench.filled(a_command(look_up_first=True))
    assert len(bench.posted) == 1


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


# --- limits in time ---------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_entry_is_not_sent_after_its_time() -> None:
    bench = ExecutionBench()
    await bench.failed(a_command(not_after=NOW))
    assert bench.posted == []


@in_virtual_time
async def test_an_entry_that_waited_for_the_budget_past_its_time_is_not_sent() -> None:
    bench = ExecutionBench(budget=BudgetLimits(per_second=1, reserve=0))
    bench.start(a_command(a_sell()))
    await until(lambda: bench.posted)
    failed = await bench.failed(a_command(not_after=NOW + timedelta(milliseconds=500)))
    assert failed.kind is FailureKind.MISSED
    assert [intent.event for intent in bench.posted] == [OrderEvent.STOPLOSS]


@in_virtual_time
async def test_an_entry_in_doubt_past_its_time_is_looked_up_and_not_sent_again() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    failed = await bench.failed(a_command(not_after=NOW + timedelta(seconds=5)))
    assert failed.kind is FailureKind.EXHAUSTED
    assert len(bench.posted) == 1
    assert bench.clock.now() - NOW >= timedelta(seconds=10)


@in_virtual_time
async def test_a_withdrawn_intent_sends_nothing_more_but_its_order_is_still_found() -> None:
    bench = ExecutionBench()
    bench.broker.script = [replace(LOST_ANSWER, listed_after_s=5)]
    working = bench.start(a_command())
    await until(lambda: bench.posted)
    bench.actor.withdraw(BUY.id)
    event = await working
    assert isinstance(event, OrderReported)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_withdrawn_intent_that_stays_absent_fails_without_another_request() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    working = bench.start(a_command())
    await until(lambda: bench.posted)
    bench.actor.withdraw(BUY.id)
    await working
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_withdrawal_is_forgotten_with_its_intent() -> None:
    bench = ExecutionBench()
    bench.actor.withdraw(BUY.id)  # not in work
    await bench.filled(a_command())
    assert len(bench.posted) == 1


# --- what there is to sell --------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_first_request_of_a_stop_loss_waits_for_no_question() -> None:
    bench = await guarded(ExecutionBench())
    reads = bench.broker.position_reads
    await bench.filled(a_command(a_sell(10)))
    assert ([intent.quantity for intent in bench.posted], bench.broker.position_reads) == ([10], reads)


@in_virtual_time
async def test_an_exit_that_is_sent_again_sells_no_more_than_the_account_holds() -> None:
    bench = await guarded(ExecutionBench())
    bench.broker.script = [LOST_REQUEST]
    exiting = asyncio.create_task(bench.filled(a_command(a_sell(10))))
    await until(lambda: bench.posted)
    bench.broker.trade_by_hand(Side.SELL, 6)
    report = await exiting
    assert [intent.quantity for intent in bench.posted] == [10, 4]
    assert report.filled_quantity == 4


@pytest.mark.parametrize("held", [0, -3])
def test_an_exit_with_nothing_to_sell_is_not_sent(held: int) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = ExecutionBench()
        bench.broker.net[INFY, a_command().product] = held
        failed = await bench.failed(a_command(a_sell(), check_position=True))
        assert failed.kind is FailureKind.NOTHING_TO_SELL
        assert bench.posted == []

    scenario()


@in_virtual_time
async def test_an_exit_waits_until_the_position_is_known() -> None:
    bench = ExecutionBench()
    bench.broker.down = True
    working = bench.start(a_command(a_sell(), check_position=True))
    await passing(10)
    assert bench.posted == []
    bench.broker.down = False
    await working
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_repeated_entry_asks_for_no_position() -> None:
    bench = ExecutionBench()
    bench.broker.script = [NOT_SENT]
    bench.broker.net.clear()
    assert (await bench.filled(a_command())).filled_quantity == 10


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
