"""Hard cases of the shells: races, silences and odd answers that cost money if taken lightly."""

import asyncio
import ssl
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
import urllib3.exceptions as transport
from kiteconnect import exceptions as kite

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.orders.order import OrderEvent, OrderStage
from actors.domain.orders.partly_read import OrderBook
from actors.domain.orders.placement_policy import AttemptOutcome
from actors.domain.strategy.events import Event, OrderReported, PositionClosedOutside, StopLossMoved
from actors.domain.strategy.state import Phase
from actors.execution.account.budget import BudgetLimits, OrderBudget
from actors.ports.common import PeerUnavailable, StaleEpoch
from actors.ports.execution import BrokerUnavailable, ClaimVerdict
from actors.ports.prices import FeedStatus
from broker.kite.answers.attempt_outcomes import outcome_of
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from tests.kit.builders import NOW, a_report
from tests.kit.execution import BUY, ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_gateway import PARKED, Placing
from tests.kit.fakes.price_watch import FakePriceWatch
from tests.kit.fakes.strategy_events import FakeStrategies
from tests.kit.strategies import StrategyBench, reported
from tests.kit.virtual_time import FakeClock, in_virtual_time, passing, until

DOWN = PeerUnavailable("restarting")


class ScriptedKite(KiteGateway):
    """The real gateway; what the client's thread does is given by a test."""

    def __init__(self, answer: Callable[[KiteCredentials, str], Any], *tokens: str) -> None:
        left = list(tokens) or ["token"]

        async def credentials() -> KiteCredentials:
            return KiteCredentials("key", left.pop(0) if len(left) > 1 else left[0])

        super().__init__(KiteEndpoint("http://127.0.0.1:9"), credentials)
        self._scripted = answer

    def _begin_order(self, order: dict[str, Any]) -> None:
        """No session is warm."""

    def _call_in_thread(self, credentials: KiteCredentials, method: str, arguments: dict[str, Any]) -> Any:
        return self._scripted(credentials, method)


# --- 1. an order that may live at the broker is taken for one that was never sent -------------------------------------


def test_a_tls_failure_after_the_handshake_is_ambiguous() -> None:
    broken = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:2580)")
    pool: Any = None
    error = requests.exceptions.SSLError(transport.MaxRetryError(pool, "/orders/regular", transport.SSLError(broken)))
    assert outcome_of(error) is AttemptOutcome.AMBIGUOUS


@pytest.mark.parametrize(
    "error", [kite.DataException("bad OMS response", code=400), kite.NetworkException("", code=400)]
)
def test_a_failure_between_the_api_and_the_oms_is_ambiguous_whatever_its_code(error: Exception) -> None:
    assert outcome_of(error) is AttemptOutcome.AMBIGUOUS


# --- 2. fills that lag behind COMPLETE are never seen -----------------------------------------------------------------


@in_virtual_time
async def test_an_order_that_is_complete_but_for_its_fills_is_followed_on() -> None:
    bench = ExecutionBench()
    bench.broker.script = [Placing(stage=OrderStage.COMPLETE, filled=4)]
    working = bench.start(a_command())
    await passing(1)
    bench.broker.fill("1", 10)
    event = await working
    assert isinstance(event, OrderReported)
    assert event.report.filled_quantity == 10


# --- 3. an order of ours is not followed because a later one holds the lock -------------------------------------------


@in_virtual_time
async def test_a_known_order_is_followed_though_the_claim_is_refused() -> None:
    bench = ExecutionBench()
    bench.claims.verdict = ClaimVerdict.REFUSED  # the exit of the same strategy holds the lock
    bench.broker.list(a_report("55", filled=10, tag=BUY.tag))
    event = await bench.actor.execute(a_command(order_id="55", look_up_first=True))
    assert isinstance(event, OrderReported)


@in_virtual_time
async def test_an_order_that_may_exist_is_looked_up_though_the_claim_is_refused() -> None:
    bench = ExecutionBench()
    bench.claims.verdict = ClaimVerdict.REFUSED
    bench.broker.list(a_report("55", filled=10, tag=BUY.tag))
    event = await bench.actor.execute(a_command(look_up_first=True))
    assert isinstance(event, OrderReported)
    assert bench.posted == []


# --- 4. an unforeseen error ends the care for an open position, silently ----------------------------------------------


@pytest.mark.parametrize("row", [{}, {"order_id": "1", "status": "OPEN", "quantity": None}])
async def test_a_row_that_makes_no_sense_is_unread_and_its_order_not_absent(row: dict[str, Any]) -> None:
    book = await ScriptedKite(lambda _credentials, _method: [row]).orders()
    assert isinstance(book, OrderBook)
    assert book.anonymous or book.unread_ids


@pytest.mark.parametrize("answer", [{}, None, {"net": None}])
async def test_positions_that_make_no_sense_are_a_failed_read(answer: Any) -> None:
    with pytest.raises(BrokerUnavailable):
        await ScriptedKite(lambda _credentials, _method: answer).positions()


@in_virtual_time
async def test_a_watch_that_fails_in_an_unforeseen_way_is_renewed_and_the_feed_said_to_be_lost() -> None:
    bench = await StrategyBench().guarding()
    bench.prices.answer = ValueError("the name router:NSE:INFY is already taken")
    await passing(3)
    bench.prices.answer = FeedStatus(live=True)
    renewals = len(bench.prices.seen)
    await passing(3)
    assert "feed_lost" in [code for code, _ in bench.journal.alerts]
    assert len(bench.prices.seen) > renewals


class SilentWatch(FakePriceWatch):
    """A router that does not answer any more: its node is cut off."""

    silent = False

    async def watch(
        self, strategy_id: int, instrument: Instrument, stop_loss: Paise | None, *, yields: bool = False
    ) -> FeedStatus:
        if self.silent:
            await asyncio.Event().wait()
        return await super().watch(strategy_id, instrument, stop_loss, yields=yields)


@in_virtual_time
async def test_a_router_that_does_not_answer_is_a_lost_feed() -> None:
    bench = StrategyBench()
    watch = SilentWatch(bench.clock)
    bench.actor._watch._prices = watch
    await bench.guarding()
    watch.silent = True
    await passing(30)
    assert "feed_lost" in [code for code, _ in bench.journal.alerts]


# --- 5. a fresh session at the broker is not used ---------------------------------------------------------------------


async def test_an_order_refused_for_an_old_session_goes_out_under_the_new_one() -> None:
    def answer(credentials: KiteCredentials, method: str) -> Any:
        if method == "orders":
            return []
        if credentials.access_token == "of yesterday":
            raise kite.TokenException("Token is invalid or has expired.", code=403)
        return "1900000000000000001"

    gateway = ScriptedKite(answer, "of yesterday", "of today")
    await gateway.orders()  # the connection was warmed up before the user logged in again
    assert (await gateway.place(a_command(a_sell()))).outcome is AttemptOutcome.ACCEPTED


# --- 6. an exit that stops working unnoticed --------------------------------------------------------------------------


@in_virtual_time
async def test_an_exit_whose_modifications_are_used_up_is_not_left_parked() -> None:
    bench = ExecutionBench()
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    working = bench.start(a_command(a_sell()))
    await until(lambda: len(bench.broker.widened) == 25, within_s=7000)
    bench.attempts.alerts.clear()
    await passing(400)
    # cancelled, the strategy sends the rest as its next exit; at the very least it says that it is stuck
    assert working.done() or bench.broker.cancels or bench.attempts.alerts


@in_virtual_time
async def test_an_exit_that_cannot_learn_its_position_says_so() -> None:
    bench = ExecutionBench()
    bench.broker.down = True
    bench.start(a_command(a_sell(), check_position=True))
    await passing(60)
    assert bench.strategies.events or bench.attempts.alerts


class BusyStrategies(FakeStrategies):
    """A strategy that takes no events: it waits for its own journal, or its node is cut off."""

    async def report(self, strategy_id: int, event: Event) -> None:
        await asyncio.Event().wait()


@in_virtual_time
async def test_an_exit_is_chased_though_the_strategy_does_not_take_the_report() -> None:
    bench = ExecutionBench()
    bench.actor._strategies = BusyStrategies()
    bench.broker.script = [PARKED]
    bench.start(a_command(a_sell()))
    await until(lambda: bench.broker.widened, within_s=30)


async def test_a_stop_loss_is_not_held_up_by_entries_that_hang() -> None:
    hang, left = threading.Event(), list[str]()

    def answer(_credentials: KiteCredentials, method: str) -> str:
        left.append(method)
        if len(left) <= 8:  # fewer than the ten a second that an account may send
            hang.wait(3)
        return "1900000000000000001"

    gateway = ScriptedKite(answer)
    entries = [asyncio.create_task(gateway.place(a_command())) for _ in range(8)]
    await asyncio.sleep(0.05)
    stop_loss = asyncio.create_task(gateway.place(a_command(a_sell())))
    done, _ = await asyncio.wait([stop_loss], timeout=0.3)
    hang.set()
    await asyncio.gather(*entries, stop_loss)
    assert done


# --- 7. what is asked for at the end of a run is thrown away with it --------------------------------------------------


@in_virtual_time
async def test_the_rest_of_a_buy_is_cancelled_though_the_run_ends_and_the_first_try_fails() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    bench.actor.post(reported(buy.intent, stage=OrderStage.OPEN, filled=4))
    await bench.reaches(Phase.GUARDING)
    bench.execution.cancel_failures = [DOWN]
    bench.actor.post(PositionClosedOutside("squared off by hand"))
    await bench.finished()
    await passing(10)
    assert bench.execution.cancelled == ["order-7-ENTRY-1"]


@in_virtual_time
async def test_a_cancel_that_fails_is_not_said_to_be_done() -> None:
    bench = ExecutionBench()
    bench.broker.list(a_report("55", OrderStage.OPEN, filled=0, tag=BUY.tag))
    bench.broker.down = True
    cancelling = asyncio.create_task(bench.actor.cancel(2, BUY.id, "55"))  # the follower has not been asked again yet
    await passing(3)
    bench.broker.down = False
    await passing(3)
    raised = cancelling.done() and isinstance(cancelling.exception(), BrokerUnavailable)
    assert raised or bench.broker.cancels == ["55"]


# --- 8. moving a stop can run wild, or never return -------------------------------------------------------------------


@in_virtual_time
async def test_two_moves_of_the_stop_at_once_both_return_and_do_not_flood_the_journal() -> None:
    bench = await StrategyBench().guarding()
    before = len(bench.journal.tried)
    moving = [asyncio.create_task(bench.actor.move_stop(level)) for level in (140000, 141000)]
    await passing(5)
    assert len(bench.journal.tried) - before < 10
    assert all(move.done() for move in moving)


@in_virtual_time
async def test_a_move_that_is_refused_returns_and_does_not_flood_the_journal() -> None:
    bench = await StrategyBench().guarding()
    before = len(bench.journal.tried)
    moving = asyncio.create_task(bench.actor.move_stop(0))
    await passing(5)
    assert len(bench.journal.tried) - before < 10
    assert moving.done()


@in_virtual_time
async def test_a_move_given_to_a_superseded_actor_returns() -> None:
    bench = await StrategyBench().guarding()
    bench.journal.failures = [StaleEpoch("epoch 2 is at work")]
    bench.actor.post(StopLossMoved(141000))
    await bench.finished()
    moving = asyncio.create_task(bench.actor.move_stop(140000))
    await passing(60)
    assert moving.done()


# --- 9. the trader is notified late, or wrongly -----------------------------------------------------------------------


@in_virtual_time
async def test_a_recovery_that_waits_for_the_broker_says_that_the_position_is_not_guarded() -> None:
    bench = StrategyBench(epoch=2)
    bench.execution.book_failures = [DOWN] * 200
    bench.start()
    await passing(60)
    assert bench.journal.alerts


@in_virtual_time
async def test_a_strategy_that_has_recovered_and_lasts_says_that_it_guards_again() -> None:
    bench = StrategyBench(epoch=2)
    bench.execution.book_failures = [DOWN] * 10
    bench.start()
    await passing(100)
    assert bench.journal.over == []
    await passing(60)
    assert bench.journal.over == [("recovery_waits", "run:7"), ("strategy_crashing", "run:7")]
    await passing(600)
    assert len(bench.journal.over) == 2


@in_virtual_time
async def test_a_first_incarnation_has_nothing_to_take_back() -> None:
    bench = StrategyBench()
    bench.start()
    await passing(600)
    assert bench.journal.over == []


# --- 10. smaller things -----------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_new_second_is_used_only_some_way_into_it_by_those_who_need_not_wait_too() -> None:
    clock = FakeClock(NOW + timedelta(milliseconds=999))
    budget = OrderBudget(BudgetLimits(reserve=0), clock)
    for _ in range(10):
        await budget.acquire(OrderEvent.BUY)
    await passing(0.002)
    await budget.acquire(OrderEvent.BUY)
    assert clock.now() - NOW >= timedelta(seconds=1, milliseconds=10)
