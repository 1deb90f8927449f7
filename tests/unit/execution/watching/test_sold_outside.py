"""What others do with the shares of a run: never a short, never shares that are not the run's own (row M1)."""

from datetime import timedelta

import pytest

from actors.domain.identifiers import Product, Side
from actors.domain.orders.order import FailureKind, OrderStage
from actors.domain.orders.placement_policy import RetryPolicy
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.state import Phase, StatusDetail
from actors.ports.engine import WordTaken
from actors.ports.strategy import LoadedRun
from actors.strategy.held_again import guarded_again
from tests.kit.builders import BUY_AT, INFY, SELL_AT
from tests.kit.execution import ExecutionBench, a_command
from tests.kit.fakes.order_gateway import PARKED, REFUSED
from tests.kit.outside import Incarnation, OutsideBench
from tests.kit.phases import STOP
from tests.kit.virtual_time import in_virtual_time, passing, until

CNC = Product.CNC


async def ended(strategy: Incarnation, within_s: float = 60) -> None:
    await until(lambda: strategy.state.phase is Phase.ENDED, within_s)
    await passing(1)


@pytest.mark.parametrize("first_tick_s", [0.2, 1, 3, 4.5, 6])
def test_a_recovered_run_whose_shares_were_sold_by_hand_sells_nothing(first_tick_s: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = OutsideBench()
        await bench.guarding()
        left = await bench.all_die()
        bench.by_hand(Side.SELL, 10)
        await passing(1800)
        strategy = await bench.recovered(left)
        await passing(first_tick_s)
        if strategy.state.phase is not Phase.ENDED:
            bench.tick(strategy, STOP - 5000)
        await ended(strategy)
        assert (bench.sold, bench.net()) == ([], 0)
        assert (strategy.state.detail, strategy.alerts) == (StatusDetail.CLOSED_OUTSIDE, ["closed_outside"])

    scenario()


@in_virtual_time
async def test_a_sell_time_that_passed_meanwhile_sells_nothing_either() -> None:
    bench = OutsideBench()
    await bench.guarding()
    left = await bench.all_die()
    bench.by_hand(Side.SELL, 10)
    bench.clock.step(SELL_AT - bench.clock.now() + timedelta(minutes=5))
    strategy = await bench.recovered(left)
    await ended(strategy)
    assert (bench.sold, bench.net()) == ([], 0)


@in_virtual_time
async def test_an_intraday_position_of_yesterday_ends_by_what_the_account_says_before_any_tick() -> None:
    bench = OutsideBench()
    await bench.guarding()
    left = await bench.all_die()
    bench.by_hand(Side.SELL, 10)
    bench.broker.new_day()
    bench.clock.step(timedelta(hours=20))
    bench.broker.read_takes_s = 1.0
    strategy = await bench.recovered(left)
    bench.tick(strategy, STOP - 5000)
    await ended(strategy)
    assert (bench.sold, bench.net()) == ([], 0)
    assert "STOPLOSS_TRIGGERED" not in strategy.journal.logged
    assert strategy.alerts == ["closed_outside"]


@in_virtual_time
async def test_an_intraday_position_of_yesterday_that_is_still_there_is_guarded() -> None:
    bench = OutsideBench()
    await bench.guarding()
    left = await bench.all_die()
    bench.broker.new_day()
    bench.clock.step(timedelta(hours=20))
    strategy = await bench.recovered(left)
    await passing(2)
    bench.tick(strategy, STOP - 5000)
    await ended(strategy)
    assert (bench.sold, bench.net()) == ([10], 0)


@in_virtual_time
async def test_a_parked_exit_is_called_back_when_the_trader_sells_by_hand() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    await passing(5)
    bench.tick(strategy, STOP)
    await until(lambda: bench.sold)
    await passing(3)
    bench.by_hand(Side.SELL, 10)
    await ended(strategy)
    assert (bench.sold, bench.net()) == ([10], 0)
    assert {"exit_recalled", "closed_outside"} <= set(strategy.alerts)


@in_virtual_time
async def test_of_a_parked_exit_what_the_trader_left_is_sold_again() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    await passing(5)
    bench.tick(strategy, STOP)
    await until(lambda: bench.sold)
    bench.by_hand(Side.SELL, 4)
    await ended(strategy)
    assert (bench.sold, bench.net()) == ([10, 6], 0)


@in_virtual_time
async def test_a_short_is_said_until_it_is_gone_though_its_run_has_ended() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    bench.stop(strategy)
    await ended(strategy)
    bench.by_hand(Side.SELL, 10)
    await until(lambda: bench.attempts.alerts, within_s=60)
    await passing(1300)
    assert bench.attempts.alerts == ["position_short"] * 3
    bench.by_hand(Side.BUY, 10)
    await passing(1300)
    assert bench.attempts.alerts == ["position_short"] * 3


@in_virtual_time
async def test_execution_that_forgot_an_account_watches_it_again_for_what_was_traded() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    bench.stop(strategy)
    await ended(strategy)
    later = OutsideBench()
    later.broker, later.records = bench.broker, bench.records
    later.broker.trade_by_hand(Side.SELL, 10)
    await later.new_execution().watch_again(await later.records.accounts_in_use())
    await until(lambda: later.attempts.alerts == ["position_short"], within_s=60)


@pytest.mark.parametrize("exit_is_refused", [False, True])
def test_the_traders_own_delivery_shares_are_not_sold(exit_is_refused: bool) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = OutsideBench()
        bench.broker.opening[INFY, CNC] = 100
        strategy = await bench.guarding(product=CNC)
        await passing(10)
        if exit_is_refused:
            bench.broker.script = [REFUSED] * 50
            bench.tick(strategy, STOP)
            await until(lambda: strategy.state.phase is Phase.EXIT_FAILED)
            bench.broker.script = []
        bench.by_hand(Side.SELL, 10, CNC)
        if not exit_is_refused:
            bench.tick(strategy, STOP)
        await ended(strategy)
        assert (bench.net(CNC), strategy.state.detail) == (0, StatusDetail.CLOSED_OUTSIDE)
        assert bench.broker.filled_sales() == 0

    scenario()


@pytest.mark.parametrize("sold_before", [60, 100])
def test_shares_that_the_trader_sold_from_his_holdings_before_are_not_counted_against_the_run(sold_before: int) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = OutsideBench()
        bench.broker.opening[INFY, CNC] = 100
        bench.by_hand(Side.SELL, sold_before, CNC)
        strategy = await bench.guarding(product=CNC)
        await passing(20)
        assert (strategy.state.phase, strategy.alerts) == (Phase.GUARDING, [])
        bench.tick(strategy, STOP)
        await ended(strategy)
        assert (bench.sold, bench.net(CNC)) == ([10], -sold_before)

    scenario()


@in_virtual_time
async def test_delivery_of_an_earlier_day_is_covered_by_the_opening_quantity() -> None:
    bench = OutsideBench()
    await bench.guarding(product=CNC)
    left = await bench.all_die()
    bench.broker.new_day()
    bench.clock.step(timedelta(hours=20))
    assert bench.broker.opening[INFY, CNC] == 10
    strategy = await bench.recovered(left, late_exit="hold")
    await passing(10)
    assert strategy.state.phase is Phase.GUARDING
    bench.by_hand(Side.SELL, 4, CNC)
    bench.tick(strategy, STOP)
    await ended(strategy)
    assert bench.sold == [6]


@in_virtual_time
async def test_nothing_is_bought_while_the_account_is_short_of_the_same_shares() -> None:
    bench = OutsideBench()
    bench.by_hand(Side.SELL, 50)
    strategy = bench.start()
    await ended(strategy)
    assert (bench.broker.posts, bench.net()) == ([], -50)
    assert strategy.state.detail is StatusDetail.ACCOUNT_SHORT
    assert "short of 50 INFY (MIS)" in strategy.state.message


@in_virtual_time
async def test_more_intraday_shares_of_the_traders_own_are_left_alone() -> None:
    bench = OutsideBench()
    bench.by_hand(Side.BUY, 50)
    strategy = await bench.guarding()
    await passing(10)
    bench.by_hand(Side.SELL, 10)
    bench.tick(strategy, STOP)
    await ended(strategy)
    assert (bench.sold, bench.net()) == ([], 50)
    assert "counts against the strategy first" in dict(strategy.journal.alerts)["closed_outside"]


@in_virtual_time
async def test_an_exit_that_the_trader_reduces_in_the_app_sells_the_rest_again() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    bench.tick(strategy, STOP)
    await until(lambda: bench.sold)
    await passing(0.5)
    bench.broker.reduce_by_hand("2", 5)
    bench.broker.fill("2", 5)
    await ended(strategy)
    assert (bench.sold, bench.net()) == ([10, 5], 0)


@in_virtual_time
async def test_two_runs_on_the_same_shares_never_sell_more_than_there_are() -> None:
    bench = OutsideBench()
    first = await bench.guarding()
    second = await bench.guarding(run_id=8, strategy_id=4)
    await passing(10)
    bench.by_hand(Side.SELL, 10)
    bench.tick(first, STOP)
    bench.tick(second, STOP)
    await ended(first)
    await ended(second)
    assert (sum(bench.sold), bench.net()) == (10, 0)


async def closed_by_hand_sale(bench: OutsideBench, own: int) -> Incarnation:
    """A run that has ended because the trader sold ten of the shares, of which he had more of his own."""
    bench.by_hand(Side.BUY, own)
    strategy = await bench.guarding()
    await passing(10)
    bench.by_hand(Side.SELL, 10)
    await ended(strategy)
    return strategy


def as_loaded(strategy: Incarnation) -> LoadedRun:
    return LoadedRun(strategy.state.run, strategy.epoch, dump_state(strategy.state))


@in_virtual_time
async def test_by_the_traders_word_a_run_guards_again_what_is_there() -> None:
    bench = OutsideBench()
    strategy = await closed_by_hand_sale(bench, own=50)
    entry, held = await guarded_again(as_loaded(strategy), bench.order_execution, bench.clock.now())
    assert held == 10
    assert entry is not None
    again = bench.start(dump_state(entry.state), epoch=2)
    await passing(20)
    assert (again.state.phase, again.alerts) == (Phase.GUARDING, [])
    bench.tick(again, STOP)
    await ended(again)
    assert (bench.sold, bench.net()) == ([10], 40)


@in_virtual_time
async def test_a_later_sale_by_hand_counts_against_the_run_again() -> None:
    bench = OutsideBench()
    strategy = await closed_by_hand_sale(bench, own=50)
    entry, _ = await guarded_again(as_loaded(strategy), bench.order_execution, bench.clock.now())
    assert entry is not None
    again = bench.start(dump_state(entry.state), epoch=2)
    await passing(20)
    bench.by_hand(Side.SELL, 10)
    await ended(again)
    assert bench.sold == []


@in_virtual_time
async def test_the_word_covers_no_more_than_the_position() -> None:
    bench = OutsideBench()
    strategy = await closed_by_hand_sale(bench, own=4)
    entry, held = await guarded_again(as_loaded(strategy), bench.order_execution, bench.clock.now())
    assert held == 4
    assert entry is not None
    again = bench.start(dump_state(entry.state), epoch=2)
    await passing(20)
    bench.tick(again, STOP)
    await ended(again)
    assert (bench.sold, bench.net()) == ([4], 0)


@in_virtual_time
async def test_the_word_is_not_taken_when_nothing_is_there_or_others_hold_it() -> None:
    bench = OutsideBench()
    strategy = await closed_by_hand_sale(bench, own=0)
    assert await guarded_again(as_loaded(strategy), bench.order_execution, bench.clock.now()) == (None, 0)
    sold = OutsideBench()
    stopped = await sold.guarding()
    sold.stop(stopped)
    await ended(stopped)
    assert await guarded_again(as_loaded(stopped), sold.order_execution, sold.clock.now()) == (None, None)


@in_virtual_time
async def test_a_position_that_the_trader_says_he_closed_ends_only_if_the_account_agrees() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    await passing(5)
    bench.broker.script = [REFUSED] * 50
    bench.tick(strategy, STOP)
    await until(lambda: strategy.state.phase is Phase.EXIT_FAILED)
    assert await strategy.actor.closed_by_trader(1) == WordTaken(done=False, held=10)
    assert strategy.state.phase is not Phase.ENDED
    bench.by_hand(Side.SELL, 10)
    assert await strategy.actor.closed_by_trader(10) == WordTaken(done=True)
    assert (strategy.state.detail, bench.net()) == (StatusDetail.CLOSED_OUTSIDE, 0)
    assert await strategy.actor.closed_by_trader(1) == WordTaken(done=False)


@in_virtual_time
async def test_a_buy_that_a_new_incarnation_looks_up_first_is_not_sent_into_a_short() -> None:
    bench = ExecutionBench(BUY_AT + timedelta(seconds=1), entry=RetryPolicy(quarantine=timedelta(seconds=4)))
    bench.broker.net[INFY, Product.MIS] = -50
    looked_up = a_command(look_up_first=True, not_before=BUY_AT)
    assert (await bench.failed(looked_up)).kind is FailureKind.ACCOUNT_SHORT
    assert bench.posted == []


@pytest.mark.parametrize("looked_s_before", [0.1, 1, 2, 3, 3.7, 3.9, 4.1, 6])
def test_a_short_is_known_at_the_instant_of_the_buy_whenever_the_account_was_looked_at(looked_s_before: float) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = OutsideBench(start=BUY_AT - timedelta(seconds=looked_s_before))
        bench.by_hand(Side.SELL, 50)
        strategy = bench.start()
        await ended(strategy)
        assert (bench.broker.posts, strategy.state.detail) == ([], StatusDetail.ACCOUNT_SHORT)

    scenario()


@in_virtual_time
async def test_an_exit_that_nobody_watched_while_the_trader_sold_is_called_back_at_once() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    bench.broker.script, bench.broker.widening_fills = [PARKED], False
    await passing(5)
    bench.tick(strategy, STOP)
    await until(lambda: bench.sold)
    left = await bench.all_die()
    bench.by_hand(Side.SELL, 10)
    sold_at = bench.clock.now()
    again = await bench.recovered(left)
    await until(lambda: bench.broker.row("2").stage is OrderStage.CANCELLED)
    assert bench.clock.now() - sold_at < timedelta(seconds=2)
    await ended(again)
    assert (bench.sold, bench.net()) == ([10], 0)


@in_virtual_time
async def test_delivery_sold_from_the_holdings_is_no_short_before_a_buy() -> None:
    bench = OutsideBench()
    bench.broker.opening[INFY, CNC] = 100
    bench.by_hand(Side.SELL, 60, CNC)
    strategy = bench.start(product=CNC)
    await until(lambda: strategy.state.phase is Phase.GUARDING, within_s=60)
    short = OutsideBench()
    short.broker.opening[INFY, CNC] = 10
    short.by_hand(Side.SELL, 60, CNC)
    refused = short.start(product=CNC)
    await ended(refused)
    assert (short.broker.posts, refused.state.detail) == ([], StatusDetail.ACCOUNT_SHORT)
