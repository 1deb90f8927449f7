"""Nothing leaves outside the hours of segment, product and day; what waits leaves at the next opening."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from actors.domain.identifiers import Product, Side
from actors.domain.market_hours import ALWAYS_OPEN, MarketHours, Request
from actors.domain.orders.order import FailureKind, OrderEvent
from actors.domain.session import SessionHours
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail
from actors.execution.account.budget import BudgetLimits
from actors.ports.strategy import OrderCommand
from tests.kit.builders import INFY
from tests.kit.execution import ExecutionBench, a_command, a_sell
from tests.kit.fakes.order_gateway import LOST_REQUEST, PARKED, REFUSED
from tests.kit.virtual_time import in_virtual_time, passing, until
from tests.kit.whole import WholeBench

IST = ZoneInfo("Asia/Kolkata")
FRIDAY, SATURDAY, SUNDAY, MONDAY = (date(2026, 11, 20) + timedelta(days=n) for n in range(4))
ORDINARY = SessionHours(time(9, 15), time(15, 30))
SPECIAL = (SessionHours(time(9, 15), time(10)), SessionHours(time(11, 45), time(12, 40)))
EVENING = (SessionHours(time(18), time(19, 15)),)
CNC, MIS = Product.CNC, Product.MIS
SECOND = timedelta(seconds=1)
HOUR = 3600.0


def at(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=IST)


def market(special: Mapping[date, Sequence[SessionHours]] | None = None) -> MarketHours:
    def sessions(day: date) -> Sequence[SessionHours]:
        return (special or {}).get(day, (ORDINARY,) if day.weekday() < 5 else ())

    return MarketHours(sessions, IST, time(15, 20))


# --- the rules --------------------------------------------------------------------------------------------------------

NEXT = at(MONDAY, 9, 15)
AUCTION = at(FRIDAY, 15, 20)


@pytest.mark.parametrize(
    ("now", "product", "derivatives", "entry", "exit_"),
    [
        (at(FRIDAY, 9, 0), CNC, False, at(FRIDAY, 9, 15), at(FRIDAY, 9, 15)),
        (at(FRIDAY, 9, 14, 59), MIS, True, at(FRIDAY, 9, 15), at(FRIDAY, 9, 15)),
        (at(FRIDAY, 9, 15), MIS, True, None, None),
        (at(FRIDAY, 15, 14, 59), CNC, True, None, None),
        (at(FRIDAY, 15, 15), CNC, True, NEXT, AUCTION),
        (at(FRIDAY, 15, 20), CNC, True, NEXT, None),
        (at(FRIDAY, 15, 24, 59), CNC, True, NEXT, None),
        (at(FRIDAY, 15, 25), CNC, True, NEXT, NEXT),
        (at(FRIDAY, 15, 15), MIS, True, NEXT, NEXT),
        (at(FRIDAY, 15, 19, 59), MIS, False, None, None),
        (at(FRIDAY, 15, 20), MIS, False, NEXT, NEXT),
        (at(FRIDAY, 15, 29, 59), CNC, False, None, None),
        (at(FRIDAY, 15, 30), CNC, False, NEXT, NEXT),
        (at(SATURDAY, 12), CNC, False, NEXT, NEXT),
    ],
)
def test_an_ordinary_day(
    now: datetime, product: Product, derivatives: bool, entry: datetime | None, exit_: datetime | None
) -> None:
    hours = market()
    for side, expected in ((Side.BUY, entry), (Side.SELL, exit_)):
        refused = hours.refusal(now, side, product, Request.ORDER, has_derivatives=derivatives)
        assert (refused.at if refused else None) == expected
    change = hours.refusal(now, Side.BUY, product, Request.CHANGE, has_derivatives=derivatives)
    assert (change.at if change else None) == exit_


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        (at(SATURDAY, 9), at(SATURDAY, 9, 15)),
        (at(SATURDAY, 9, 59, 59), None),
        (at(SATURDAY, 10), at(SATURDAY, 11, 45)),
        (at(SATURDAY, 12, 39, 59), None),
        (at(SATURDAY, 12, 40), at(SUNDAY, 18)),
        (at(SUNDAY, 18), None),
        (at(SUNDAY, 19, 15), NEXT),
    ],
)
@pytest.mark.parametrize(("product", "derivatives"), [(CNC, True), (MIS, True), (MIS, False)])
def test_special_sessions_have_hours_of_their_own(
    now: datetime, opens: datetime | None, product: Product, derivatives: bool
) -> None:
    hours = market({SATURDAY: SPECIAL, SUNDAY: EVENING})
    refused = hours.refusal(now, Side.SELL, product, Request.ORDER, has_derivatives=derivatives)
    assert (refused.at if refused else None) == opens


def test_a_market_that_is_always_open_refuses_nothing() -> None:
    for hour in range(24):
        assert ALWAYS_OPEN.refusal(at(SUNDAY, hour), Side.BUY, MIS, Request.ORDER, has_derivatives=True) is None


def test_after_the_cutoff_the_reason_is_the_brokers_square_off() -> None:
    refused = market().refusal(at(FRIDAY, 15, 21), Side.SELL, MIS, Request.ORDER, has_derivatives=False)
    assert refused is not None
    assert refused.reason == "the broker squares MIS positions off from 15:20 on"


# --- where orders leave -----------------------------------------------------------------------------------------------


def an_exit(**changes: object) -> OrderCommand:
    return a_command(a_sell(), product=CNC, **changes)


@in_virtual_time
async def test_a_closed_market_is_sent_nothing_and_no_claim_is_taken() -> None:
    bench = ExecutionBench(at(FRIDAY, 18), market=market())
    failed = await bench.failed(an_exit())
    assert (failed.kind, failed.not_before) == (FailureKind.MARKET_CLOSED, NEXT)
    assert (bench.posted, bench.claims.claims) == ([], [])


@in_virtual_time
async def test_an_exit_that_waited_for_the_budget_past_the_close_is_not_sent() -> None:
    limits = BudgetLimits(per_second=1, reserve=0)
    bench = ExecutionBench(at(FRIDAY, 15, 29, 59), market=market(), budget=limits)
    bench.broker.net[INFY, CNC] = 20
    first = bench.start(an_exit())
    await passing(0.1)
    other = replace(a_sell(), id=replace(a_sell().id, run_id=8), tag="OTHER")
    failed = await bench.failed(a_command(other, product=CNC, run_id=8, strategy_id=4))
    assert failed.kind is FailureKind.MARKET_CLOSED
    await first
    assert len(bench.posted) == 1


@in_virtual_time
async def test_an_exit_in_doubt_is_found_though_the_market_is_closed_and_never_sent_again() -> None:
    bench = ExecutionBench(at(FRIDAY, 15, 29, 59), market=market())
    bench.broker.net[INFY, CNC] = 10
    bench.broker.script = [LOST_REQUEST]
    failed = await bench.failed(an_exit())
    assert (failed.kind, len(bench.posted)) == (FailureKind.MARKET_CLOSED, 1)


@in_virtual_time
async def test_a_buy_that_the_market_does_not_take_ends_its_run_and_says_so() -> None:
    bench = WholeBench(at(FRIDAY, 18), market=market())
    bench.strategy(buy_at=at(FRIDAY, 18, 0, 30), sell_at=at(FRIDAY, 19))
    actor = await bench.reaches(1, Phase.ENDED)
    await bench.tasks[1]
    assert bench.posted == []
    assert actor.state.detail is StatusDetail.MARKET_CLOSED
    assert actor.state.message == "Not bought – the exchange takes no such order now"
    assert bench.alerts(1) == ["market_closed"]


@in_virtual_time
async def test_a_parked_exit_is_not_touched_once_the_market_is_closed() -> None:
    bench = ExecutionBench(at(FRIDAY, 15, 29, 55), market=market())
    bench.broker.net[INFY, CNC] = 10
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    bench.start(an_exit())
    await passing(600)
    assert bench.broker.widened
    assert max(moved for moved, _ in bench.broker.widened) < at(FRIDAY, 15, 30)


# --- scenario: stuck at the close -------------------------------------------------------------------------------------


async def stuck_at_the_close(bench: WholeBench, numbers: range) -> None:
    """Positions of CNC whose stop-loss is touched by the last prices of the day, and whose orders die with the day."""
    for number in numbers:
        bench.strategy(number, product=CNC, buy_at=at(FRIDAY, 15, 20), sell_at=at(FRIDAY, 15, 29, 59))
    for number in numbers:
        await bench.reaches(number, Phase.GUARDING)
    await until(lambda: bench.clock.now() >= at(FRIDAY, 15, 29, 30), within_s=1200)
    bench.broker.script, bench.broker.widening_fills = [PARKED] * len(numbers), False
    for number in numbers:
        bench.tick(number, 144000)
    await until(lambda: bench.clock.now() >= at(FRIDAY, 15, 30, 5), within_s=1200)
    for report in list(await bench.broker.orders()):
        if not report.stage.terminal:
            bench.broker.expire(report.order_id)


async def over_the_weekend(bench: WholeBench) -> None:
    """Half an hour of the evening, then the clock goes on until a minute before the next open."""
    await passing(HOUR / 2)
    bench.clock.step(at(MONDAY, 9, 14) - bench.clock.now())
    await until(lambda: bench.clock.now() >= at(MONDAY, 9, 14, 59))


@pytest.mark.parametrize("positions", [1, 10])
def test_an_exit_that_is_stuck_at_the_close_costs_nothing_until_the_next_open(positions: int) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = WholeBench(at(FRIDAY, 15, 19, 30), market=market())
        numbers = range(1, positions + 1)
        await stuck_at_the_close(bench, numbers)
        for number in numbers:
            await bench.reaches(number, Phase.EXIT_FAILED)
        await passing(30)
        sent = len(bench.posted)
        lines = {number: len(bench.journals[number].logged) for number in numbers}
        state = bench.actors[1].state
        assert (state.status, state.detail) == (RunStatus.PAUSED, StatusDetail.MARKET_CLOSED)
        assert state.message.endswith("the exit will be sent at 09:15:00 on Monday, 23 November")
        await over_the_weekend(bench)
        assert len(bench.posted) == sent
        for number in numbers:
            assert len(bench.journals[number].logged) == lines[number]
            assert bench.alerts(number).count("market_closed") == 1
        for number in numbers:
            await bench.reaches(number, Phase.ENDED)
        leaving = [moment for moment, _ in bench.broker.posts[sent:]]
        assert len(leaving) == positions
        assert at(MONDAY, 9, 15) <= leaving[0] < at(MONDAY, 9, 15, 1)
        assert len(set(leaving)) > positions // 3  # those that heard of their shares by one look leave together
        assert max(leaving) - at(MONDAY, 9, 15) < 3 * SECOND

    scenario()


@in_virtual_time
async def test_a_restart_while_the_market_is_closed_tells_nobody_again() -> None:
    bench = WholeBench(at(FRIDAY, 15, 19, 30), market=market())
    await stuck_at_the_close(bench, range(1, 2))
    before = await bench.reaches(1, Phase.EXIT_FAILED)
    await passing(5)
    bench.tasks[1].cancel()
    sent = len(bench.posted)
    bench.strategy(
        1,
        epoch=2,
        snapshot=dump_state(before.state),
        product=CNC,
        buy_at=at(FRIDAY, 15, 20),
        sell_at=at(FRIDAY, 15, 29, 59),
    )
    await passing(HOUR / 4)
    assert len(bench.posted) == sent
    assert bench.alerts(1) == []
    assert bench.actors[1].state.detail is StatusDetail.MARKET_CLOSED


@in_virtual_time
async def test_an_exit_that_is_refused_at_the_open_is_tried_again_as_ever() -> None:
    bench = WholeBench(at(FRIDAY, 15, 19, 30), market=market())
    await stuck_at_the_close(bench, range(1, 2))
    await bench.reaches(1, Phase.EXIT_FAILED)
    bench.broker.script = [REFUSED]
    await over_the_weekend(bench)
    await passing(60)
    assert bench.actors[1].state.phase is Phase.ENDED
    assert [intent.event for intent in bench.posted][-2:] == [OrderEvent.STOPLOSS] * 2


@in_virtual_time
async def test_mis_after_the_cutoff_is_left_to_the_broker() -> None:
    bench = WholeBench(at(FRIDAY, 15, 18), market=market())
    bench.strategy(product=MIS, buy_at=at(FRIDAY, 15, 18, 30), sell_at=at(FRIDAY, 15, 19, 59))
    await bench.reaches(1, Phase.GUARDING)
    bench.broker.script = [REFUSED] * 3
    await until(lambda: bench.clock.now() >= at(FRIDAY, 15, 21), within_s=600)
    sent = len(bench.posted)
    state = bench.actors[1].state
    assert state.detail is StatusDetail.MARKET_CLOSED
    assert "the broker squares MIS positions off from 15:20 on" in state.message
    await passing(1800)
    assert len(bench.posted) == sent
    assert bench.alerts(1).count("market_closed") == 1


@in_virtual_time
async def test_mis_that_the_broker_has_squared_off_ends_at_the_next_open_without_an_order() -> None:
    bench = WholeBench(at(FRIDAY, 15, 18), market=market())
    bench.strategy(product=MIS, buy_at=at(FRIDAY, 15, 18, 30), sell_at=at(FRIDAY, 15, 19, 59))
    await bench.reaches(1, Phase.GUARDING)
    bench.broker.script = [REFUSED] * 3
    await until(lambda: bench.clock.now() >= at(FRIDAY, 15, 21), within_s=600)
    sent = len(bench.posted)
    bench.broker.net.clear()
    await over_the_weekend(bench)
    actor = await bench.reaches(1, Phase.ENDED)
    assert len(bench.posted) == sent
    assert actor.state.detail is StatusDetail.CLOSED_OUTSIDE
