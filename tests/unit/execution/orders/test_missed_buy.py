"""When a BUY is missed (row E4), whatever stood still or was away, and at which price nothing is bought."""

from datetime import timedelta

import pytest

from actors.domain.identifiers import Product
from actors.domain.orders.order import FailureKind, OrderEvent
from actors.domain.strategy.entries import HAND_OVER
from actors.domain.strategy.state import Phase, StatusDetail
from actors.execution.account.budget import BudgetLimits
from actors.ports.execution import ClaimsUnavailable, ClaimVerdict
from tests.kit.builders import BUY_AT, INFY, NOW, a_run
from tests.kit.execution import ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_gateway import LOST_REQUEST, NOT_SENT
from tests.kit.virtual_time import in_virtual_time, passing, until
from tests.kit.whole import WholeBench

GRACE = timedelta(seconds=5)
SECOND = timedelta(seconds=1)
STOP = a_run().stop_loss
ABOVE = STOP + 5000


async def missed(bench: WholeBench) -> None:
    """The run ends as row E4 wants it: nothing bought, and a log, an alert and a status that say so."""
    actor = await bench.reaches(1, Phase.ENDED)
    await bench.tasks[1]
    assert bench.posted == []
    assert actor.state.detail is StatusDetail.MISSED_EXECUTION
    assert actor.state.message == "Missed execution – the buy time passed, nothing was bought"
    assert bench.alerts(1).count("missed_execution") == 1
    assert bench.journals[1].logged.count("MISSED_EXECUTION") == 1


@pytest.mark.parametrize(("before_s", "frozen_s"), [(1, 8), (1, 30), (1, 58), (3, 8), (3, 30), (1, 6.1), (0.2, 5.3)])
def test_a_buy_whose_instant_a_frozen_machine_passed_by_is_missed(before_s: float, frozen_s: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = WholeBench()
        bench.strategy()
        await passing(30 - before_s)
        bench.clock.step(timedelta(seconds=frozen_s))  # nothing ran, and the wall clock went on
        await missed(bench)

    scenario()


@pytest.mark.parametrize(("before_s", "frozen_s"), [(1, 3), (3, 6), (1, 5.5)])
def test_a_freeze_that_ends_within_the_grace_delays_the_buy_only(before_s: float, frozen_s: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = WholeBench()
        bench.strategy()
        await passing(30 - before_s)
        bench.clock.step(timedelta(seconds=frozen_s))
        await bench.reaches(1, Phase.GUARDING)
        assert timedelta(0) <= bench.posted_at[0] - (BUY_AT - NOW) < GRACE

    scenario()


@pytest.mark.parametrize("away_s", [8, 25])
def test_a_buy_that_no_claim_could_be_had_for_within_the_grace_is_missed(away_s: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = WholeBench()
        bench.strategy()
        await passing(25)
        bench.claims.verdict = ClaimsUnavailable("Redis does not answer")
        await passing(5 + away_s)
        bench.claims.verdict = ClaimVerdict.GRANTED
        await missed(bench)

    scenario()


@in_virtual_time
async def test_a_claim_that_can_be_had_again_within_the_grace_lets_the_buy_leave_at_once() -> None:
    bench = WholeBench()
    bench.strategy()
    await passing(25)
    bench.claims.verdict = ClaimsUnavailable("Redis does not answer")
    await passing(7)
    bench.claims.verdict = ClaimVerdict.GRANTED
    await bench.reaches(1, Phase.GUARDING)
    assert timedelta(seconds=2) <= bench.posted_at[0] - (BUY_AT - NOW) < GRACE


@in_virtual_time
async def test_execution_that_is_asked_again_without_a_claim_finds_out_and_sends_nothing() -> None:
    bench = ExecutionBench()
    bench.claims.verdict = ClaimsUnavailable("Redis does not answer")
    late = a_command(look_up_first=True, not_before=NOW - 6 * SECOND, not_after=NOW + 54 * SECOND, grace=GRACE)
    failed = await bench.failed(late)
    assert failed.kind is FailureKind.MISSED
    assert bench.posted == []


@in_virtual_time
async def test_a_buy_that_the_minute_has_no_room_for_within_the_grace_is_missed() -> None:
    bench = WholeBench(budget=BudgetLimits(per_minute=1, reserve=0))
    bench.broker.net[INFY, Product.MIS] = 10
    bench.strategy()
    await passing(29)
    await bench.filled(a_command(a_sell(), strategy_id=99, run_id=99))
    bench.broker.posts.clear()
    await missed(bench)
    assert timedelta(seconds=5) <= bench.clock.now() - BUY_AT < timedelta(seconds=6)


@in_virtual_time
async def test_execution_that_comes_back_too_late_sends_no_first_request() -> None:
    bench = ExecutionBench()
    again = a_command(look_up_first=True, not_before=NOW - SECOND, not_after=NOW + 59 * SECOND, grace=GRACE)
    failed = await bench.failed(again)  # the quarantine outlasts the grace
    assert failed.kind is FailureKind.MISSED
    assert bench.posted == []


@in_virtual_time
async def test_a_request_that_was_lost_is_repeated_after_the_grace_of_the_first() -> None:
    bench = ExecutionBench()
    bench.broker.script = [LOST_REQUEST]
    await bench.filled(a_command(not_before=NOW, not_after=NOW + 60 * SECOND, grace=GRACE))
    assert bench.posted_at[0] < SECOND
    assert GRACE < bench.posted_at[1] < 15 * SECOND


@in_virtual_time
async def test_a_repeat_that_a_frozen_machine_passed_by_is_missed_too() -> None:
    bench = ExecutionBench()
    bench.broker.script = [NOT_SENT]
    working = bench.start(a_command(not_before=NOW, not_after=NOW + 60 * SECOND, grace=GRACE))
    await until(lambda: bench.posted)
    bench.clock.step(timedelta(seconds=30))
    event = await working
    assert getattr(event, "kind", None) is FailureKind.MISSED
    assert len(bench.posted) == 1


@in_virtual_time
async def test_exits_know_no_grace() -> None:
    bench = ExecutionBench()
    working = bench.start(a_command(a_sell(), not_before=NOW + SECOND))
    await passing(0.5)
    bench.clock.step(timedelta(minutes=10))
    await working
    assert [intent.event for intent in bench.posted] == [OrderEvent.STOPLOSS]


# --- a price at or below the stop-loss --------------------------------------------------------------------------------


async def not_bought(bench: WholeBench, price: str) -> None:
    actor = await bench.reaches(1, Phase.ENDED)
    await bench.tasks[1]
    assert bench.posted == []
    assert actor.state.detail is StatusDetail.PRICE_BELOW_STOP
    assert actor.state.message == f"Not bought – the price ₹{price} is at or below the stop-loss ₹1450.00"
    assert bench.alerts(1) == ["price_below_stop"]
    assert bench.journals[1].logged.count("PRICE_BELOW_STOP") == 1


@pytest.mark.parametrize(("price", "shown"), [(STOP, "1450.00"), (STOP - 1000, "1440.00")])
def test_at_the_hand_over_a_price_at_or_below_the_stop_buys_nothing(price: int, shown: str) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = WholeBench()
        bench.strategy()
        await passing(27.5)
        bench.tick(1, price)
        await not_bought(bench, shown)

    scenario()


@in_virtual_time
async def test_a_price_that_falls_to_the_stop_between_hand_over_and_send_calls_the_buy_back() -> None:
    bench = WholeBench()
    bench.strategy()
    await passing(27)
    bench.tick(1, ABOVE)
    await bench.reaches(1, Phase.ENTERING)
    await passing(HAND_OVER.total_seconds() / 2)
    bench.tick(1, STOP)
    await not_bought(bench, "1450.00")
    assert bench.clock.now() < BUY_AT + SECOND


@pytest.mark.parametrize(("price", "age"), [(ABOVE, SECOND), (STOP + 1, SECOND), (STOP - 1000, 1000 * SECOND)])
def test_a_price_above_the_stop_or_of_long_ago_keeps_nobody_from_buying(price: int, age: timedelta) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = WholeBench()
        bench.strategy()
        await passing(27)
        bench.tick(1, price, age=age)
        await bench.reaches(1, Phase.GUARDING)
        assert [intent.event for intent in bench.posted] == [OrderEvent.BUY]

    scenario()
