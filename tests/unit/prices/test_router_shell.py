"""The router of one symbol: breached stops first, renewed watches caught up, the mirror spared."""

from datetime import timedelta

from actors.domain.prices.tick import Tick
from actors.ports.common import PeerUnavailable
from actors.ports.prices import FeedStatus
from actors.prices.router_shell import HEAD_START_S, IDLE_LIMIT, SILENT_LIMIT, RouterShell
from tests.kit.builders import INFY, NOW
from tests.kit.fakes.clock import ManualWallClock
from tests.kit.fakes.price_mirror import FakePriceMirror
from tests.kit.fakes.tick_receiver import FakeTickReceiver
from tests.kit.fakes.tick_source import FakeTickSource
from tests.kit.virtual_time import in_virtual_time, passing


class Symbol:
    """A router with everything around it."""

    def __init__(self) -> None:
        self.clock = ManualWallClock(NOW)
        self.source, self.strategies, self.mirror = FakeTickSource(), FakeTickReceiver(), FakePriceMirror()
        self.router = RouterShell(
            INFY, source=self.source, strategies=self.strategies, mirror=self.mirror, clock=self.clock
        )

    def tick(self, price: int, *, age_s: float = 0) -> Tick:
        now = self.clock.now()
        tick = Tick.single(INFY.token, price, now - timedelta(seconds=age_s), now)
        self.router.on_tick(tick)
        return tick

    def receivers(self) -> list[int | str]:
        found = [receiver for receiver, _ in self.strategies.delivered]
        self.strategies.delivered.clear()
        return found


def test_breached_stops_hear_first_the_most_distant_before_all() -> None:
    symbol = Symbol()
    for strategy_id, stop in ((1, None), (2, 140000), (3, 150000), (4, 145000)):
        symbol.router.watch(strategy_id, stop)
    symbol.tick(145000)
    assert symbol.receivers() == [3, 4, 2, 1]


def test_a_breach_is_delivered_at_once_however_many_ticks_came_before() -> None:
    symbol = Symbol()
    symbol.router.watch(1, 145000)
    symbol.router.watch(2, None)
    symbol.tick(150000)
    symbol.receivers()
    for _ in range(10):
        symbol.tick(144900)
    assert symbol.receivers() == [1] * 10


def test_ticks_that_breach_nothing_are_conflated_and_keep_their_low() -> None:
    symbol = Symbol()
    symbol.router.watch(1, 100)
    for price in (150000, 149000, 151000):
        symbol.tick(price)
        symbol.clock.advance(0.1)
    assert symbol.receivers() == [1]
    symbol.clock.advance(0.2)
    symbol.tick(150500)
    ((_, conflated),) = symbol.strategies.delivered
    assert (conflated.price, conflated.low, conflated.high) == (150500, 149000, 151000)


def test_a_watch_that_is_new_or_moved_gets_the_latest_tick_and_a_renewed_one_does_not() -> None:
    symbol = Symbol()
    latest = symbol.tick(150000, age_s=1)
    symbol.clock.advance(2)
    symbol.router.watch(1, 145000)
    ((receiver, caught_up),) = symbol.strategies.delivered
    assert (receiver, caught_up.price, caught_up.exchange_time) == (1, 150000, latest.exchange_time)
    assert caught_up.extremes_since == symbol.clock.now()  # a low of before the watch does not count
    symbol.receivers()
    symbol.router.watch(1, 145000)
    assert symbol.receivers() == []
    symbol.router.watch(1, 150000)
    assert symbol.receivers() == [1]


def test_the_first_watch_has_nothing_to_catch_up_with() -> None:
    symbol = Symbol()
    assert symbol.router.watch(1, 145000) == FeedStatus(live=False, last_tick_at=None)
    assert symbol.receivers() == []


def test_one_who_left_hears_nothing_more() -> None:
    symbol = Symbol()
    symbol.router.watch(1, 145000)
    symbol.router.unwatch(1)
    symbol.router.unwatch(2)
    symbol.tick(1000)
    assert symbol.receivers() == []


def test_the_mirror_sees_the_first_price_and_then_one_every_quarter_of_a_second() -> None:
    symbol = Symbol()
    for price in range(150000, 150010):
        symbol.tick(price)
        symbol.clock.advance(0.05)
    assert [(name, tick.price) for name, tick in symbol.mirror.shown] == [("INFY", 150000), ("INFY", 150005)]


def test_what_is_shown_holds_the_extremes_of_what_was_not() -> None:
    symbol = Symbol()
    for price in (150000, 149000, 151000, 150100, 150200, 150300):
        symbol.tick(price)
        symbol.clock.advance(0.05)
    assert [(tick.price, tick.low, tick.high) for _, tick in symbol.mirror.shown] == [
        (150000, 150000, 150000),
        (150300, 149000, 151000),
    ]


def test_extremes_stay_in_their_minute() -> None:
    symbol = Symbol()
    symbol.clock.advance(60 - symbol.clock.now().timestamp() % 60 - 0.1)
    symbol.tick(150000)
    symbol.clock.advance(0.05)
    symbol.tick(149000)
    symbol.clock.advance(0.1)  # a new minute
    symbol.tick(150500)
    assert [(tick.price, tick.low, tick.high) for _, tick in symbol.mirror.shown] == [
        (150000, 150000, 150000),
        (149000, 149000, 149000),
    ]


async def test_the_last_price_before_a_silence_is_shown_as_well() -> None:
    symbol = Symbol()
    symbol.tick(150000)
    symbol.tick(150005)
    await symbol.router.renew()
    assert [tick.price for _, tick in symbol.mirror.shown] == [150000, 150005]
    await symbol.router.renew()
    assert len(symbol.mirror.shown) == 2


async def test_the_status_says_whether_the_feed_is_live_and_how_old_the_price_is() -> None:
    symbol = Symbol()
    await symbol.router.renew()
    assert symbol.source.subscribed == [INFY]
    tick = symbol.tick(150000, age_s=3)
    assert symbol.router.watch(1, None) == FeedStatus(live=True, last_tick_at=tick.exchange_time)
    symbol.source.answer = FeedStatus(live=False)
    await symbol.router.renew()
    assert symbol.router.watch(1, None).live is False
    symbol.source.answer = FeedStatus(live=True)
    await symbol.router.renew()
    assert symbol.router.watch(1, None).live is True


async def test_a_feed_that_cannot_be_reached_is_not_live() -> None:
    symbol = Symbol()
    symbol.source.answer = PeerUnavailable("feed:0 is restarting")
    symbol.tick(150000)
    await symbol.router.renew()
    assert symbol.router.watch(1, 145000).live is False


async def test_the_feed_is_told_whether_a_stop_loss_is_watched() -> None:
    symbol = Symbol()
    symbol.router.watch(1, None)
    await symbol.router.renew()
    symbol.router.watch(1, 145000)
    await symbol.router.renew()
    symbol.router.watch(1, None)
    await symbol.router.renew()
    assert symbol.source.armed == [False, True, False]


def test_one_whose_process_died_for_good_is_forgotten_and_one_who_asks_again_is_not() -> None:
    symbol = Symbol()
    symbol.router.watch(1, 145000)
    symbol.clock.advance(SILENT_LIMIT.total_seconds() / 2)
    symbol.router.watch(2, 145000)
    symbol.clock.advance(SILENT_LIMIT.total_seconds() / 2)
    for strategy_id in (1, 2, 3):
        symbol.router.forget_if_silent(strategy_id)
    symbol.tick(140000)
    assert symbol.receivers() == [2]


@in_virtual_time
async def test_a_feed_that_does_not_answer_or_breaks_in_any_way_is_not_live() -> None:
    symbol = Symbol()
    symbol.tick(150000)
    symbol.source.hangs = True
    await symbol.router.renew()
    assert symbol.router.status.live is False
    symbol.source.hangs, symbol.source.answer = False, RuntimeError("too many instruments, or whatever else")
    symbol.tick(150000)
    await symbol.router.renew()
    assert symbol.router.status.live is False
    assert symbol.mirror.feed[-1] == ("INFY", False)


def test_one_who_has_connected_again_gets_the_latest_tick() -> None:
    symbol = Symbol()
    symbol.router.watch(1, 145000)
    symbol.router.catch_up(1)
    assert symbol.receivers() == []  # there is none yet
    symbol.tick(150000)
    symbol.receivers()
    symbol.router.catch_up(1)
    assert symbol.receivers() == [1]


def test_a_router_is_idle_once_nobody_has_followed_it_for_a_minute() -> None:
    symbol = Symbol()
    assert not symbol.router.idle
    symbol.router.watch(1, None)
    symbol.clock.advance(10 * IDLE_LIMIT.total_seconds())
    assert not symbol.router.idle
    symbol.router.watch(1, None)
    symbol.router.unwatch(1)
    symbol.clock.advance(IDLE_LIMIT.total_seconds())
    assert not symbol.router.idle
    symbol.clock.advance(1)
    assert symbol.router.idle


@in_virtual_time
async def test_a_strategy_whose_stop_execution_watches_too_hears_a_tick_a_moment_later() -> None:
    symbol = Symbol()
    symbol.router.watch(1, 145000, yields=True)
    symbol.router.watch(2, 144500)
    symbol.tick(144000)
    assert symbol.receivers() == [2]
    await passing(HEAD_START_S + 0.01)
    assert symbol.receivers() == [1]
    symbol.router.watch(1, 145000)  # execution does not say any more that it watches
    symbol.tick(143000)
    assert symbol.receivers() == [1, 2]
