"""A share without buyers: one place in the queue, few requests, and nothing taken from other exits."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from actors.domain.identifiers import Product
from actors.domain.orders.no_buyers import CancelForRest, ParkedExit, RestAt, Widen, next_move
from actors.domain.orders.order import OrderStage
from actors.domain.orders.price_band import PriceBand
from actors.domain.strategy.events import NoBuyers
from actors.domain.strategy.machine import step
from actors.domain.strategy.snapshot import runtime_view
from actors.domain.strategy.state import Phase, StatusDetail
from tests.kit.builders import INFY, NOW
from tests.kit.decisions import alerts, logged
from tests.kit.events import exit_id, exit_report
from tests.kit.execution import ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_gateway import PARKED
from tests.kit.phases import LATER, exiting
from tests.kit.virtual_time import in_virtual_time, over_days, passing, until
from tests.kit.whole import WholeBench, share

LOWER = 135000
LOCKED = PriceBand(LOWER, 165000, LOWER)
TRADING = PriceBand(LOWER, 165000, 150000)
MINUTE, HOUR = 60, 3600
SECONDS = timedelta(seconds=1)


def locked_bench() -> ExecutionBench:
    bench = ExecutionBench()
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    bench.broker.bands[INFY] = LOCKED
    return bench


def requests(bench: ExecutionBench) -> int:
    broker = bench.broker
    return len(broker.posts) + len(broker.widened) + len(broker.rested) + len(broker.cancels)


# --- the rules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parked", "band", "move"),
    [
        (ParkedExit(), None, Widen(Decimal(3))),
        (ParkedExit(), TRADING, Widen(Decimal(3))),
        (ParkedExit(), LOCKED, RestAt(LOWER)),
        (ParkedExit(1), TRADING, Widen(Decimal(5))),
        (ParkedExit(1, at_circuit=True), TRADING, RestAt(LOWER)),
        (ParkedExit(4), TRADING, RestAt(LOWER)),
        (ParkedExit(4), None, Widen(Decimal(20))),
        (ParkedExit(25), None, CancelForRest()),
        (ParkedExit(25), TRADING, CancelForRest()),
        (ParkedExit(1, rests_at=LOWER), None, None),
        (ParkedExit(1, rests_at=LOWER), LOCKED, None),
        (ParkedExit(25, rests_at=LOWER), LOCKED, None),
        (ParkedExit(1, rests_at=LOWER), TRADING, None),
        (ParkedExit(1, rests_at=LOWER, overlooked=2), TRADING, RestAt(LOWER)),
        (ParkedExit(1, rests_at=LOWER), PriceBand(LOWER - 5000, 165000, LOWER), RestAt(LOWER - 5000)),
    ],
)
def test_the_next_move(parked: ParkedExit, band: PriceBand | None, move: object) -> None:
    assert next_move(parked, band) == move


def test_pauses_grow_and_a_refusal_makes_the_next_one_longer() -> None:
    pauses = [ParkedExit(n).pause for n in range(12)]
    assert pauses[:6] == [n * SECONDS for n in (1, 2, 4, 8, 15, 30)]
    assert pauses == sorted(pauses)
    assert ParkedExit(2, setbacks=1).pause > ParkedExit(2).pause
    assert ParkedExit(1, rests_at=LOWER).pause == 15 * SECONDS


# --- one locked share -------------------------------------------------------------------------------------------------


@over_days
async def test_at_the_lower_circuit_one_limit_order_is_left_in_the_queue() -> None:
    bench = locked_bench()
    working = bench.start(a_command(a_sell()))
    await passing(6 * HOUR)
    assert not working.done()
    assert [(order_id, price) for _, order_id, price in bench.broker.rested] == [("1", LOWER)]
    assert bench.broker.rested[0][0] - NOW < 4 * SECONDS
    assert requests(bench) <= 3
    assert NoBuyers(a_sell().id, LOWER) in bench.strategies.events
    assert "exit_chased" not in bench.attempts.alerts  # the strategy says that there are no buyers


@in_virtual_time
async def test_buyers_that_come_back_end_it_without_another_request() -> None:
    bench = locked_bench()
    working = bench.start(a_command(a_sell()))
    await passing(10 * MINUTE)
    before = requests(bench)
    bench.broker.fill("1", 10)
    await asyncio.wait_for(working, 10)
    assert requests(bench) == before


@in_virtual_time
async def test_a_band_that_moves_down_takes_the_order_along() -> None:
    bench = locked_bench()
    bench.start(a_command(a_sell()))
    await passing(5 * MINUTE)
    bench.broker.bands[INFY] = PriceBand(LOWER - 10000, 165000, LOWER - 10000)
    await passing(MINUTE)
    assert [price for *_, price in bench.broker.rested] == [LOWER, LOWER - 10000]


@in_virtual_time
async def test_a_refusal_that_names_the_circuit_puts_the_order_at_the_circuit() -> None:
    bench = locked_bench()
    bench.broker.bands[INFY] = TRADING
    bench.broker.refused_changes = ["Your order price is outside the circuit limits"]
    bench.start(a_command(a_sell()))
    await until(lambda: bench.broker.rested)
    assert len(bench.broker.widened) == 1
    assert [price for *_, price in bench.broker.rested] == [LOWER]


@in_virtual_time
async def test_without_progress_at_the_widest_protection_it_rests_at_the_circuit() -> None:
    bench = locked_bench()
    bench.broker.bands[INFY] = TRADING
    bench.start(a_command(a_sell()))
    await passing(10 * MINUTE)
    assert [percent for _, percent in bench.broker.widened] == [Decimal(n) for n in (3, 5, 10, 20)]
    assert bench.broker.rested[0][0] - NOW < 40 * SECONDS
    assert requests(bench) < 15


@over_days
async def test_without_a_quote_the_chase_grows_slow_and_uses_few_requests() -> None:
    bench = locked_bench()
    bench.broker.bands.clear()
    bench.start(a_command(a_sell()))
    await passing(HOUR)
    times = [at for at, _ in bench.broker.widened]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[-1] >= 300 * SECONDS
    assert len(times) <= 25


# --- scenario: the whole account --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("locked", "hours"), [(1, 4.5), (5, 2), (20, 1)])
def test_locked_shares_use_little_of_the_day_and_a_healthy_stop_loss_leaves_at_once(locked: int, hours: float) -> None:
    @over_days
    async def scenario() -> None:
        bench = WholeBench()
        bench.broker.widening_fills = False
        for number in range(locked + 1):
            bench.strategy(number, product=Product.MIS)
        for number in range(locked + 1):
            await bench.reaches(number, Phase.GUARDING)
            bench.broker.bands[share(number)] = LOCKED
        await passing(5)
        bench.broker.script = [PARKED] * locked
        for number in range(1, locked + 1):
            bench.tick(number, LOWER)
        await passing(hours * HOUR)
        assert requests(bench) < 5 * (locked + 1)  # of 5000 a day, and no others come: the orders rest
        for number in range(1, locked + 1):
            assert bench.actors[number].state.detail is StatusDetail.NO_BUYERS
            assert bench.alerts(number).count("no_buyers") == 1
        sent = len(bench.posted)
        touched_at = bench.clock.now()
        bench.tick(0, LOWER)
        await bench.reaches(0, Phase.ENDED)
        assert len(bench.posted) == sent + 1
        assert bench.broker.posts[-1][0] - touched_at < timedelta(milliseconds=50)
        assert max(bench.broker.band_reads.count(at) for at in bench.broker.band_reads) == 1

    scenario()


# --- what the trader hears --------------------------------------------------------------------------------------------


def test_a_wait_for_buyers_is_shown_and_told_once_and_its_end_is_logged_once() -> None:
    placed = step(exiting(), exit_report(OrderStage.OPEN, 0), LATER)[0]
    waiting, told = step(placed, NoBuyers(exit_id(), LOWER), LATER)
    assert (logged(told), alerts(told)) == (["NO_BUYERS"], ["no_buyers"])
    assert waiting.message == ("No buyers – 10 INFY are offered at ₹1350.00, the lower circuit, and wait in the queue")
    assert runtime_view(waiting).status_detail == StatusDetail.NO_BUYERS
    again, silent = step(waiting, NoBuyers(exit_id(), LOWER - 100), LATER)
    assert silent == ()
    partly, decisions = step(again, exit_report(OrderStage.OPEN, 4), LATER)
    assert partly.detail is StatusDetail.NO_BUYERS
    assert "– 6 INFY are offered at ₹1349.00" in partly.message
    assert "NO_BUYERS_RESOLVED" not in logged(decisions)
    ended, last = step(partly, exit_report(), LATER)
    assert ended.phase is Phase.ENDED
    assert ended.message == "STOP-LOSS Triggered"
    assert logged(last).count("NO_BUYERS_RESOLVED") == 1


def test_no_buyers_of_an_exit_that_is_not_working_means_nothing() -> None:
    state, decisions = step(exiting(), NoBuyers(exit_id(2), LOWER), LATER)
    assert (state, decisions) == (exiting(), ())


def test_an_exit_that_fails_after_it_waited_is_not_shown_as_waiting() -> None:
    placed = step(exiting(), exit_report(OrderStage.OPEN, 0), LATER)[0]
    waiting = step(placed, NoBuyers(exit_id(), LOWER), LATER)[0]
    cancelled, decisions = step(waiting, exit_report(OrderStage.CANCELLED, 0), LATER)
    assert cancelled.no_buyers_since is None
    assert "NO_BUYERS_RESOLVED" in logged(decisions)
