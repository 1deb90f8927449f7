"""What the second guard hears: an account's stream, else the feed's own link (row M4)."""

from datetime import timedelta

import pytest

from actors.domain.orders.position import PositionStatus
from actors.domain.prices.feed_silence import QUIET_LIMIT_S
from actors.domain.strategy.state import Phase
from actors.execution.guarding.guarded_market import FIRST_TICK_WITHIN_S
from actors.prices.feed_shell import LAG_LIMIT
from actors.prices.stream_judge import UNHEARD_S
from tests.kit.builders import INFY
from tests.kit.outside import Incarnation, OutsideBench
from tests.kit.virtual_time import in_virtual_time, passing, until

ABOVE, STOP, BELOW = 150000, 145000, 144000


def by(bench: OutsideBench) -> tuple[str, ...]:
    """Who is shown to guard the one position."""
    shown = bench.execution.stops.shown()
    return shown[0].by if shown else ()


async def bought(bench: OutsideBench) -> Incarnation:
    """A strategy that guards, with a first price from its router and none over the account's stream yet."""
    strategy = await bench.guarding()
    bench.tick(strategy, ABOVE)  # the feed's token of today
    await until(lambda: INFY.token in bench.updates.tokens.get(2, ()))
    return strategy


async def told_by_the_stream(bench: OutsideBench) -> Incarnation:
    """The same, with prices over the account's stream, so that the feed is not asked."""
    strategy = await bought(bench)
    bench.updates.reconnect(2)
    bench.updates.tick(2, ABOVE, bench.clock.now())
    await until(lambda: by(bench) == ("strategy", "execution"), within_s=10)
    return strategy


@in_virtual_time
async def test_an_account_without_market_data_is_guarded_by_the_feed() -> None:
    bench = OutsideBench()
    strategy = await bought(bench)
    await until(lambda: INFY.key in bench.feed.followed, within_s=10)
    assert by(bench) == ("strategy",)
    bench.feed.tick(ABOVE, bench.clock.now())
    await until(lambda: by(bench) == ("strategy", "execution"), within_s=10)
    assert bench.execution.stops.needs_feed()
    bench.feed.tick(BELOW, bench.clock.now())
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert (bench.sold, strategy.state.position_status) == ([10], PositionStatus.EXITED_BY_SL)
    await until(lambda: not bench.feed.followed)


@in_virtual_time
async def test_a_feed_that_does_not_answer_is_not_said_to_guard() -> None:
    bench = OutsideBench()
    await bought(bench)
    await until(lambda: INFY.key in bench.feed.followed, within_s=10)
    bench.feed.tick(ABOVE, bench.clock.now())
    bench.feed.live = False
    assert by(bench) == ("strategy",)


@in_virtual_time
async def test_the_feed_is_not_asked_for_what_a_stream_brings_and_is_while_the_stream_is_down() -> None:
    bench = OutsideBench()
    strategy = await told_by_the_stream(bench)
    await passing(FIRST_TICK_WITHIN_S + 2)
    assert not bench.feed.followed
    assert not bench.execution.stops.needs_feed()
    bench.updates.followed[2].on_lost()
    assert INFY.key in bench.feed.followed  # at once
    assert bench.execution.stops.needs_feed()
    assert by(bench) == ("strategy",)
    bench.updates.reconnect(2)
    bench.updates.tick(2, ABOVE, bench.clock.now())
    await until(lambda: not bench.feed.followed, within_s=10)
    assert strategy.state.phase is Phase.GUARDING
    assert by(bench) == ("strategy", "execution")


@in_virtual_time
async def test_a_stream_that_is_back_and_brings_nothing_is_not_said_to_guard() -> None:
    bench = OutsideBench()
    strategy = await told_by_the_stream(bench)
    bench.updates.followed[2].on_lost()
    bench.updates.reconnect(2)
    for _ in range(50):
        bench.updates.followed[2].on_heard()
        bench.tick(strategy, ABOVE)
        await passing(0.1)
        assert by(bench) == ("strategy",)
    assert INFY.key in bench.feed.followed
    bench.updates.tick(2, ABOVE, bench.clock.now())
    await until(lambda: by(bench) == ("strategy", "execution") and not bench.feed.followed, within_s=10)


@in_virtual_time
async def test_a_stream_that_is_alive_and_brings_no_trade_any_more_gets_the_feed_beside_it() -> None:
    bench = OutsideBench()
    strategy = await told_by_the_stream(bench)
    shown = list[tuple[bool, tuple[str, ...]]]()
    for _ in range(10 * int(QUIET_LIMIT_S + 4)):
        bench.updates.followed[2].on_heard()
        bench.tick(strategy, ABOVE)
        await passing(0.1)
        shown.append((INFY.key in bench.feed.followed, by(bench)))
    asked = [guards for is_asked, guards in shown if is_asked]
    assert asked[0] == ("strategy", "execution"), "the feed has not had the time to answer"
    assert asked.index(("strategy",)) == pytest.approx(10 * FIRST_TICK_WITHIN_S, abs=2)
    assert by(bench) == ("strategy",)
    bench.feed.tick(ABOVE, bench.clock.now())
    assert by(bench) == ("strategy", "execution")
    assert bench.execution.stops.needs_feed()
    bench.feed.tick(BELOW, bench.clock.now())
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]


@in_virtual_time
async def test_a_stream_that_is_too_late_is_not_said_to_guard_and_gets_the_feed_beside_it() -> None:
    bench = OutsideBench()
    strategy = await told_by_the_stream(bench)
    for _ in range(12):
        bench.updates.followed[2].on_heard()
        bench.updates.tick(2, ABOVE, bench.clock.now() - 2 * LAG_LIMIT)
        bench.tick(strategy, ABOVE)
        await passing(1)
    assert by(bench) == ("strategy",)
    bench.feed.tick(ABOVE, bench.clock.now())
    assert by(bench) == ("strategy", "execution")


@in_virtual_time
async def test_a_stream_that_does_not_reach_the_buy_is_not_said_to_guard_for_long() -> None:
    bench = OutsideBench()
    strategy = await bench.guarding()
    bench.tick(strategy, ABOVE)
    await until(lambda: INFY.token in bench.updates.tokens.get(2, ()))
    bench.updates.reconnect(2)
    shown, stamp = list[tuple[str, ...]](), bench.clock.now() - timedelta(minutes=1)
    for _ in range(int(UNHEARD_S) + 4):
        bench.updates.tick(2, ABOVE, stamp)
        bench.tick(strategy, ABOVE)
        shown.append(by(bench))
        await passing(1)
    assert shown.index(("strategy",)) == pytest.approx(UNHEARD_S, abs=2)
    assert by(bench) == ("strategy",)
    bench.updates.tick(2, ABOVE, bench.clock.now())
    assert by(bench) == ("strategy", "execution")


@in_virtual_time
async def test_prices_that_an_account_without_market_data_does_not_bring_come_over_the_stream_of_another() -> None:
    bench = OutsideBench()
    strategy = await bought(bench)
    bench.updates.reconnect(2)  # its stream is alive, and has no ticks
    richer = bench.start(strategy_id=4, run_id=8, user_id=5, account_id=9, quantity=5)
    await until(lambda: richer.state.phase is Phase.GUARDING, within_s=700)
    bench.tick(richer, ABOVE)
    await until(lambda: 9 in bench.updates.followed)
    bench.updates.reconnect(9)
    await until(lambda: bench.updates.tokens == {2: frozenset(), 9: frozenset({INFY.token})}, within_s=10)
    bench.updates.tick(9, ABOVE, bench.clock.now())
    await until(lambda: not bench.feed.followed, within_s=10)
    assert by(bench) == ("strategy", "execution")
    bench.updates.tick(9, BELOW, bench.clock.now())
    await until(lambda: strategy.state.phase is Phase.ENDED)


@in_virtual_time
async def test_a_touch_that_the_feed_has_told_before_the_stop_was_moved_up_is_seen_when_it_is() -> None:
    bench = OutsideBench()
    strategy = await bought(bench)
    await until(lambda: INFY.key in bench.feed.followed, within_s=10)
    bench.feed.tick(148500, bench.clock.now())
    await strategy.actor.move_stop(149000)
    await until(lambda: strategy.state.phase is Phase.ENDED)
    assert bench.sold == [10]


@in_virtual_time
async def test_what_the_feed_tells_late_of_an_instrument_that_is_watched_no_more_is_ignored() -> None:
    bench = OutsideBench()
    strategy = await bought(bench)
    await until(lambda: INFY.key in bench.feed.followed, within_s=10)
    late = bench.feed.followed[INFY.key]
    bench.stop(strategy)
    await until(lambda: strategy.state.phase is Phase.ENDED and not bench.feed.followed, within_s=10)
    late(bench.feed.a_tick(BELOW, bench.clock.now()))
    await passing(5)
    assert bench.sold == [10]


@in_virtual_time
async def test_the_age_of_the_oldest_price_and_what_is_not_heard_are_told() -> None:
    bench = OutsideBench()
    stops = bench.execution.stops
    assert (stops.silence_s(), stops.deaf()) == (None, 0)
    await bought(bench)
    assert stops.deaf() == 1  # armed, and no price has come by any way
    bench.updates.reconnect(2)
    bench.updates.tick(2, ABOVE, bench.clock.now())
    await passing(3)
    silence = stops.silence_s()
    assert silence is not None
    assert (round(silence), stops.deaf()) == (3, 0)
    bench.feed.live = False
    bench.updates.followed[2].on_lost()
    assert stops.deaf() == 1
