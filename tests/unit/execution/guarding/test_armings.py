"""The second guard (row M4), arming by arming: what arms it, what disarms it, and what it hears."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from actors.domain.identifiers import Product
from actors.domain.orders.order import OrderStage
from actors.domain.strategy.events import OrderReported, StopLossTriggered
from actors.execution.guarding.stop_guard import RENEWED_WITHIN_S
from actors.ports.execution import ClaimsUnavailable, ClaimVerdict
from tests.kit.armed_stop import a_holding, a_stop, fall, watched
from tests.kit.builders import INFY, a_report
from tests.kit.execution import HOLDING, ExecutionBench, a_command, a_sell, guarded
from tests.kit.fakes.order_gateway import REFUSED
from tests.kit.virtual_time import in_virtual_time, passing

MIDNIGHT = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
"""In India."""


@in_virtual_time
async def test_an_older_epoch_or_number_neither_arms_nor_disarms() -> None:
    bench = await watched()
    assert (await bench.actor.guard(a_holding(a_stop(140000, epoch=2), epoch=2, number=5))).armed
    assert not (await bench.actor.guard(a_holding(a_stop(149000), number=9))).armed
    assert not (await bench.actor.guard(a_holding(a_stop(149000, epoch=2), epoch=2, number=4))).armed
    await bench.actor.guard(a_holding(None, epoch=2, number=4))
    fall(bench, 145000)
    await passing(1)
    assert bench.posted == []
    fall(bench, 139000)
    await passing(1)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_what_is_disarmed_sells_nothing() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    await bench.actor.guard(a_holding(None, number=2))
    fall(bench)
    await passing(1)
    assert bench.posted == []
    assert bench.updates.tokens[2] == frozenset()


@in_virtual_time
async def test_an_exit_that_is_working_is_not_armed_again_by_a_late_renewal() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    work = bench.start(a_command(a_sell(), stake=HOLDING.stake))
    await passing(0.01)
    assert not (await bench.actor.guard(a_holding(a_stop(), number=2))).armed
    await work
    assert not (await bench.actor.guard(a_holding(a_stop(), number=3))).armed
    fall(bench)
    await passing(5)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_strategy_that_guards_on_after_its_exit_hears_of_it_with_its_next_renewal() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    fall(bench)
    await passing(3)
    bench.strategies.events.clear()  # as if none of it had arrived
    assert not (await bench.actor.guard(a_holding(a_stop(), number=2))).armed
    assert [event.report.filled_quantity for event in bench.strategies.events] == [10]  # type: ignore[union-attr]


@in_virtual_time
async def test_an_exit_that_the_broker_never_had_may_be_armed_again() -> None:
    bench = await watched()
    bench.broker.script = [REFUSED]
    await bench.actor.guard(a_holding(a_stop()))
    fall(bench)
    await passing(2)
    assert len(bench.posted) == 1
    assert (await bench.actor.guard(a_holding(a_stop(), number=2))).armed
    fall(bench)
    await passing(2)
    assert len(bench.posted) == 2


@in_virtual_time
async def test_an_exit_that_the_broker_refuses_is_tried_again_with_pauses_while_its_strategy_is_dead() -> None:
    bench = await watched()
    bench.broker.script = [REFUSED, REFUSED]
    await bench.actor.guard(a_holding(a_stop()))
    fall(bench)
    await passing(120)
    at = [at.timestamp() for at, _ in bench.broker.posts]
    assert [after - before for before, after in pairwise(at)] == [pytest.approx(16, abs=2)] * 2
    assert [intent.id for intent in bench.posted] == [a_sell().id] * 3


@in_virtual_time
async def test_a_refused_exit_is_not_tried_again_if_the_shares_were_sold_or_the_strategy_goes_on() -> None:
    for happens in ("sold by hand", "disarmed", "armed again", "a later exit", "commanded"):
        bench = await watched()
        bench.broker.script = [REFUSED]
        await bench.actor.guard(a_holding(a_stop()))
        fall(bench)
        await passing(1)
        match happens:
            case "sold by hand":
                bench.broker.net[INFY, Product.MIS] = 0
                await passing(20)
                bench.broker.net[INFY, Product.MIS] = 10  # and bought again, by the trader
            case "disarmed":
                await bench.actor.guard(a_holding(None, number=2))
            case "armed again":
                fall(bench, 146000)
                assert (await bench.actor.guard(a_holding(a_stop(), number=2))).armed
            case "a later exit":  # which another incarnation has claimed
                bench.claims.foreseen = ClaimVerdict.REFUSED
                assert not (await bench.actor.guard(a_holding(a_stop(seq=2), number=2))).armed
            case "commanded":  # it has its answer, and begins another exit, when it is time
                await bench.failed(a_command(a_sell(), stake=HOLDING.stake))
        await passing(300)
        assert len(bench.posted) == 1, happens


@in_virtual_time
async def test_a_strategy_that_was_frozen_over_two_tries_hears_of_both_and_of_the_sale() -> None:
    bench = await watched()
    bench.strategies.frozen = woken = asyncio.Event()
    bench.broker.script = [REFUSED]
    await bench.actor.guard(a_holding(a_stop()))
    fall(bench)
    await passing(40)
    assert len(bench.posted) == 2
    woken.set()
    await passing(2)
    heard = bench.strategies.events
    assert heard.count(StopLossTriggered(a_sell().id, None)) == 1
    assert [one.intent_id for one in heard if isinstance(one, StopLossTriggered)] == [a_sell().id] * 2
    assert [one.report.filled_quantity for one in heard if isinstance(one, OrderReported)][-1:] == [10]


@in_virtual_time
async def test_a_refused_exit_is_tried_again_on_the_day_of_its_touch_only() -> None:
    for touched_s_before_midnight, login_ends in ((10, False), (25, True)):
        bench = await guarded(ExecutionBench(MIDNIGHT - timedelta(seconds=touched_s_before_midnight + 5)))
        bench.updates.reconnect(2)
        bench.broker.script = [REFUSED]
        await bench.actor.guard(a_holding(a_stop()))
        fall(bench)
        await passing(1)
        bench.broker.expired = login_ends  # the next try waits for the book, past midnight
        await passing(600)
        bench.broker.expired = False
        await passing(600)
        assert len(bench.posted) == 1, "by then the trader may have bought shares of his own"


@in_virtual_time
async def test_an_exit_that_an_actor_before_has_sent_is_told_and_not_armed() -> None:
    bench = await watched()
    bench.broker.list(a_report("9", OrderStage.OPEN, filled=0, tag=a_sell().tag))
    assert not (await bench.actor.guard(a_holding(a_stop()))).armed
    assert [event.report.order_id for event in bench.strategies.events] == ["9"]  # type: ignore[union-attr]


@in_virtual_time
async def test_a_claim_of_the_exit_by_an_actor_before_is_carried_on_after_a_look() -> None:
    bench = await watched()
    bench.claims.foreseen = bench.claims.verdict = ClaimVerdict.HELD_BY_ME
    assert not (await bench.actor.guard(a_holding(a_stop()))).armed
    await passing(0.5)
    assert StopLossTriggered(a_sell().id, None) in bench.strategies.events
    assert bench.posted == []  # it may have left: the book is read over the quarantine first
    await passing(5)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_newer_claim_arms_nothing_and_an_unknown_one_looks_before_it_sends() -> None:
    bench = await watched()
    bench.claims.foreseen = ClaimVerdict.REFUSED
    assert not (await bench.actor.guard(a_holding(a_stop()))).armed
    bench.claims.foreseen = ClaimsUnavailable("neither Redis nor PostgreSQL answers")
    assert (await bench.actor.guard(a_holding(a_stop(), number=2))).armed
    fall(bench)
    await passing(0.5)
    assert bench.posted == []
    await passing(5)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_the_stop_of_a_run_that_the_journal_calls_ended_sells_nothing() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    bench.records.intents = [replace(intent, ended=True) for intent in bench.records.intents]
    await passing(15)
    fall(bench)
    await passing(5)
    assert bench.posted == []


@in_virtual_time
async def test_the_stop_of_a_silent_strategy_whose_run_the_journal_no_longer_has_sells_nothing() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    bench.records.intents = []  # it ended more than a day ago, and its farewell was lost
    await passing(RENEWED_WITHIN_S + 15)
    fall(bench)
    await passing(60)
    assert bench.posted == []


@in_virtual_time
async def test_the_stop_of_a_strategy_that_is_there_sells_though_the_journal_does_not_have_its_run() -> None:
    bench = await watched()
    bench.records.intents = []  # it was restored from before the run
    for number in range(1, 6):
        await bench.actor.guard(a_holding(a_stop(), number=number))
        await passing(5)
    fall(bench)
    await passing(5)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_the_stop_of_a_run_that_goes_on_after_all_is_armed_again() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    bench.records.intents = [replace(intent, ended=True) for intent in bench.records.intents]
    await passing(15)
    fall(bench)
    bench.records.intents = [replace(intent, ended=False) for intent in bench.records.intents]
    await passing(15)
    assert bench.posted == []
    await bench.actor.guard(a_holding(a_stop(), number=2))
    fall(bench)
    await passing(5)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_breach_that_still_holds_is_seen_when_the_stop_is_armed() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop(140000)))
    fall(bench, 143000)
    await bench.actor.guard(a_holding(a_stop(144000), number=2))
    await passing(1)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_without_a_token_execution_hears_nothing_and_guesses_none() -> None:
    bench = await watched()
    answer = await bench.actor.guard(a_holding(a_stop(token=None)))
    assert (answer.armed, answer.hears) == (True, False)
    assert bench.updates.tokens.get(2, frozenset()) == frozenset()


@in_virtual_time
async def test_a_new_incarnation_without_a_tick_yet_does_not_make_execution_deaf() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    assert (await bench.actor.guard(a_holding(a_stop(epoch=2, token=None), epoch=2))).armed
    fall(bench)
    await passing(1)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_new_incarnation_without_a_tick_is_heard_although_the_stop_was_disarmed_before() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop()))
    await bench.actor.guard(a_holding(None, epoch=2))
    await bench.actor.guard(a_holding(a_stop(epoch=2, token=None), epoch=2, number=2))
    fall(bench)
    await passing(1)
    assert len(bench.posted) == 1


@in_virtual_time
async def test_a_stop_without_a_token_is_not_called_heard_for_anothers_prices_and_is_watched_from_its_renewal() -> None:
    bench = await watched()
    await bench.actor.guard(a_holding(a_stop(token=None)))
    others = a_stop(140000)
    of_another: dict[str, Any] = {"strategy_id": 4, "run_id": 8}
    others = replace(others, command=replace(others.command, **of_another))
    await bench.actor.guard(replace(a_holding(others), **of_another))
    fall(bench, 146000)
    assert {guards.strategy_id: guards.by for guards in bench.actor.stops.shown()} == {
        HOLDING.strategy_id: ("strategy",),
        4: ("strategy", "execution"),
    }
    assert (await bench.actor.guard(a_holding(a_stop(token=None), number=2))).hears
    fall(bench)
    await passing(1)
    assert [intent.id.run_id for intent in bench.posted] == [HOLDING.run_id]
