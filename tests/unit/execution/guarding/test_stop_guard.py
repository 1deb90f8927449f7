"""The second guard (row M4): execution watches the stop-loss too, by prices of its own, and sells exactly once."""

import asyncio
from datetime import UTC, datetime, timedelta

from actors.domain.identifiers import Side
from actors.domain.orders.position import PositionStatus
from actors.domain.strategy.events import FeedLost, StopRequested
from actors.domain.strategy.snapshot import dump_state
from actors.domain.strategy.state import Phase
from actors.execution.guarding.stop_guard import RENEWED_WITHIN_S
from actors.ports.strategy import GuardAnswer, Holding
from tests.kit.armed_stop import ABOVE, BELOW
from tests.kit.builders import INFY
from tests.kit.fakes.order_gateway import REFUSED
from tests.kit.outside import Incarnation, OutsideBench
from tests.kit.virtual_time import in_virtual_time, passing, until


async def armed(bench: OutsideBench, **run: object) -> Incarnation:
    """A strategy that guards, whose stop-loss execution watches as well, with prices that it hears."""
    strategy = await bench.guarding(**run)
    bench.tick(strategy, ABOVE)  # the feed's token of today
    await until(lambda: 2 in bench.updates.followed)
    bench.updates.reconnect(2)
    await until(lambda: INFY.token in bench.updates.tokens.get(2, ()))
    hear(bench, ABOVE)
    await until(lambda: by(bench, strategy) == ("strategy", "execution"), within_s=10)
    return strategy


def hear(bench: OutsideBench, price: int) -> None:
    """A trade of this moment on the account's stream: the strategy does not hear it."""
    bench.updates.tick(2, price, bench.clock.now())


def by(bench: OutsideBench, strategy: Incarnation) -> tuple[str, ...]:
    """Who is shown to guard the strategy's position."""
    shown = [guard for guard in bench.execution.stops.shown() if guard.strategy_id == strategy.state.run.strategy_id]
    return shown[0].by if shown else ()


@in_virtual_time
async def test_a_touch_that_the_strategy_does_not_hear_is_sold_and_becomes_its_own_exit() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]
    assert strategy.state.position_status is PositionStatus.EXITED_BY_SL
    assert "STOPLOSS_TRIGGERED" in strategy.journal.logged
    assert [attempt.command.triggered_at for attempt in bench.attempts.attempts][-1] <= bench.clock.now()
    assert bench.net() == 0


@in_virtual_time
async def test_a_touch_that_both_hear_is_sold_once() -> None:
    for execution_first in (True, False):
        bench = OutsideBench()
        strategy = await armed(bench)
        if execution_first:
            hear(bench, BELOW)
        bench.tick(strategy, BELOW)
        hear(bench, BELOW)
        await passing(10)
        assert (bench.sold, strategy.state.phase) == ([10], Phase.ENDED)


@in_virtual_time
async def test_an_exit_that_the_broker_refuses_keeps_its_pause_whichever_guard_has_sent_it() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    await passing(5)  # the account has been seen to hold what it sells, so that nothing is asked first
    bench.broker.script = [REFUSED]
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.EXIT_FAILED)
    await passing(5)
    assert (len(bench.sold), strategy.alerts) == (1, ["exit_failed"])
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert (bench.sold, bench.net()) == ([10, 10], 0)  # after the pause, and not held back once more


@in_virtual_time
async def test_execution_that_dies_with_a_refusal_untold_is_followed_by_one_more_request_and_one_sale() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    await passing(5)
    bench.broker.script = [REFUSED]
    hear(bench, BELOW)
    await until(lambda: bench.sold == [10], within_s=1.0)
    await bench.execution_dies()
    assert strategy.state.phase is Phase.GUARDING  # it has heard of nothing
    bench.tick(strategy, BELOW)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    await passing(60)
    assert (bench.sold, bench.net()) == ([10, 10], 0)
    assert strategy.state.position_status is PositionStatus.EXITED_BY_SL


@in_virtual_time
async def test_stop_pressed_in_the_instant_of_the_touch_sells_once() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    hear(bench, BELOW)
    strategy.actor.post(StopRequested())
    await until(lambda: strategy.state.phase is Phase.ENDED)
    await passing(10)
    assert bench.sold == [10]


@in_virtual_time
async def test_a_dead_strategy_is_sold_at_once_and_finds_its_exit_when_it_is_back() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    strategy.task.cancel()
    await asyncio.gather(strategy.task, return_exceptions=True)
    bench.strategies.clear()
    hear(bench, BELOW)
    await passing(1)
    assert bench.sold == [10]
    again = bench.start(dump_state(strategy.state), 2)
    await until(lambda: again.state.phase is Phase.ENDED, within_s=60)
    await passing(10)
    assert (bench.sold, again.state.position_status) == ([10], PositionStatus.EXITED_BY_SL)


@in_virtual_time
async def test_the_guard_of_a_strategy_that_has_been_dead_for_long_asks_before_it_sells() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    strategy.task.cancel()
    await asyncio.gather(strategy.task, return_exceptions=True)
    bench.strategies.clear()
    await passing(RENEWED_WITHIN_S + 1)
    hear(bench, ABOVE)
    assert by(bench, strategy) == ("execution",)
    bench.broker.trade_by_hand(Side.SELL, 10)  # and no update tells it
    hear(bench, BELOW)
    await passing(10)
    assert (bench.sold, bench.net()) == ([], 0)


@in_virtual_time
async def test_a_strategy_that_is_dead_does_not_seem_to_guard_because_the_clock_was_set_back() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    bench.clock.step(timedelta(hours=1))
    assert "strategy" in by(bench, strategy)
    strategy.task.cancel()
    await asyncio.gather(strategy.task, return_exceptions=True)
    bench.strategies.clear()
    bench.clock.step(timedelta(hours=-2))
    await passing(RENEWED_WITHIN_S + 1)
    assert "strategy" not in by(bench, strategy)


@in_virtual_time
async def test_a_moved_stop_is_moved_at_both_before_it_is_said_to_be() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    assert await strategy.actor.move_stop(140000) is True
    hear(bench, BELOW)
    await passing(1)
    assert bench.sold == []
    assert await strategy.actor.move_stop(149000) is True
    await passing(1.5)
    hear(bench, 148000)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]


@in_virtual_time
async def test_a_second_guard_that_does_not_confirm_a_move_is_said_and_tried_again() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    guard = bench.order_execution.guard

    async def silent(holding: Holding) -> GuardAnswer:
        return GuardAnswer(armed=holding.stop is None)

    bench.order_execution.guard = silent  # type: ignore[method-assign]
    assert await strategy.actor.move_stop(149000) is False
    bench.tick(strategy, 148500)  # the strategy has the new level all the same
    await until(lambda: strategy.state.phase is not Phase.GUARDING)
    bench.order_execution.guard = guard  # type: ignore[method-assign]
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]


@in_virtual_time
async def test_a_stop_that_was_lowered_and_not_confirmed_may_sell_at_its_old_level_and_says_so() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)

    async def silent(holding: Holding) -> GuardAnswer:
        return GuardAnswer(armed=holding.stop is None)

    bench.order_execution.guard = silent  # type: ignore[method-assign]
    assert await strategy.actor.move_stop(140000) is False
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]
    reasons = [line.event.reason for entry in strategy.journal.records for line in entry.logs]
    assert any("₹1440.00 at or below the stop-loss before its last move" in reason for reason in reasons)


@in_virtual_time
async def test_nothing_is_guarded_without_a_position() -> None:
    bench = OutsideBench()
    strategy = bench.start()
    assert await strategy.actor.move_stop(140000) is None
    assert bench.execution.stops.shown() == []


@in_virtual_time
async def test_shares_that_were_sold_by_hand_are_not_sold_by_the_second_guard() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    bench.by_hand(Side.SELL, 4)
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.ENDED, within_s=30)
    assert (bench.sold, bench.net()) == ([6], 0)


@in_virtual_time
async def test_a_trade_of_before_the_buy_sells_nothing() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    bench.updates.tick(2, BELOW, strategy.state.run.buy_at - timedelta(seconds=2))
    await passing(2)
    assert bench.sold == []


@in_virtual_time
async def test_a_strategy_that_hears_nothing_is_guarded_by_execution_alone() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    strategy.actor.post(FeedLost("its connection is dead"))
    await until(lambda: by(bench, strategy) == ("execution",))
    hear(bench, BELOW)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]


@in_virtual_time
async def test_execution_that_hears_nothing_does_not_say_that_it_guards() -> None:
    bench = OutsideBench()
    strategy = await armed(bench)
    bench.updates.followed[2].on_lost()
    assert by(bench, strategy) == ("strategy",)
    bench.updates.reconnect(2)
    bench.updates.followed[2].on_heard()
    assert by(bench, strategy) == ("strategy",), "it is back, and has brought no price yet"
    bench.updates.tick(2, ABOVE, bench.clock.now())
    assert by(bench, strategy) == ("strategy", "execution")
    await passing(6)  # the connection is silent, and no report says that it broke
    assert by(bench, strategy) == ("strategy",)


@in_virtual_time
async def test_a_token_of_yesterday_is_not_heard_under_and_one_of_today_is() -> None:
    before_the_list = datetime(2026, 11, 23, 3, 10, tzinfo=UTC)  # 08:40 IST
    bench = OutsideBench(before_the_list)
    strategy = await armed(bench, buy_at=before_the_list + timedelta(seconds=30))
    await passing(600)
    hear(bench, ABOVE)
    assert by(bench, strategy) == ("strategy",)
    hear(bench, BELOW)
    await passing(1)
    assert bench.sold == []
    bench.tick(strategy, ABOVE)
    await passing(1)
    hear(bench, ABOVE)
    assert by(bench, strategy) == ("strategy", "execution")


@in_virtual_time
async def test_a_stop_in_percent_is_watched_by_execution_at_the_level_of_the_fill() -> None:
    bench = OutsideBench()
    strategy = await armed(bench, stop_loss=0, stop_share=100, tick=5)
    level = strategy.state.stop_loss
    assert 0 < level < ABOVE
    hear(bench, level + 1)
    await passing(1)
    assert bench.sold == []
    hear(bench, level)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]
    assert strategy.state.position_status is PositionStatus.EXITED_BY_SL
