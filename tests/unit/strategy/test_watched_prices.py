"""The watch on the price: renewed in time, moved with the stop-loss, and its loss said once."""

from datetime import timedelta
from itertools import pairwise

import pytest

from actors.domain.orders.order import OrderEvent
from actors.ports.common import PeerUnavailable
from actors.ports.prices import FeedStatus
from actors.strategy.price_subscription import WATCH_RENEWAL_S
from tests.kit.strategies import STOP, StrategyBench, reported
from tests.kit.virtual_time import in_virtual_time, passing, until

DOWN = PeerUnavailable("restarting")
MS = timedelta(milliseconds=1)


@in_virtual_time
async def test_the_watch_is_renewed_with_the_stop_level_for_as_long_as_it_runs() -> None:
    bench = await StrategyBench().guarding()
    await passing(5)
    recent = [(at, level) for at, level in bench.prices.seen if level == STOP]
    assert len(recent) >= 5
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(recent)]
    assert max(gaps) <= timedelta(seconds=WATCH_RENEWAL_S) + 10 * MS


@in_virtual_time
async def test_the_stop_level_is_with_the_router_at_once_after_the_fill() -> None:
    bench = StrategyBench().start()
    buy = await bench.ordered()
    await passing(0.3)
    bench.execution.answer(reported(buy.intent))
    filled = bench.clock.now()
    await until(lambda: bench.prices.seen[-1][1] == STOP, within_s=0.1)
    assert bench.prices.seen[-1][0] - filled < 5 * MS


@in_virtual_time
async def test_a_link_that_breaks_again_and_again_is_asked_for_five_times_a_second() -> None:
    bench = await StrategyBench().guarding()
    await passing(2)
    before = len(bench.prices.seen)
    for _ in range(1000):
        bench.prices.changed()
        await passing(0.001)
    assert 3 <= len(bench.prices.seen) - before <= 6


@in_virtual_time
async def test_a_stop_level_that_moves_is_told_at_once_even_while_a_link_breaks() -> None:
    bench = await StrategyBench().guarding()
    await passing(2)
    bench.prices.changed()
    await passing(0.05)  # asked again, and resting now
    moved = bench.clock.now()
    await bench.actor.move_stop(140000)
    await until(lambda: bench.prices.seen[-1][1] == 140000, within_s=0.1)
    assert bench.prices.seen[-1][0] - moved < 5 * MS


@pytest.mark.parametrize("lost", [FeedStatus(live=False), DOWN])
def test_a_lost_feed_is_said_once_and_its_return_too(lost: FeedStatus | Exception) -> None:
    @in_virtual_time
    async def scenario() -> None:
        bench = await StrategyBench().guarding()
        bench.prices.answer = lost
        await passing(5)
        assert not bench.actor.state.feed_live
        assert [code for code, _ in bench.journal.alerts] == ["feed_lost"]
        bench.prices.answer = FeedStatus(live=True)
        await passing(5)
        await until(lambda: bench.actor.state.feed_live)
        assert [name for name in bench.journal.logged if name.startswith("FEED")] == ["FEED_LOST", "FEED_RESTORED"]

    scenario()


@in_virtual_time
async def test_a_stale_tick_after_a_reconnect_sells_nothing() -> None:
    bench = await StrategyBench().guarding()
    bench.tick(STOP - 5000, age_s=6)
    await passing(1)
    assert bench.sent == [OrderEvent.BUY]
