"""The feed's shell: only ticks that may decide something go on, and the stream's life is known."""

from datetime import timedelta

import pytest

from actors.domain.identifiers import Instrument
from actors.domain.stop_loss import SILENCE_LIMIT
from actors.market_listener import QUIET_LIMIT, MarketListener
from actors.ports import FeedStatus
from tests.kit.builders import INFY, NOW
from tests.kit.price_fakes import FakeTickReceiver, FakeTickStream, ManualWallClock

SBIN = Instrument("BSE", "SBIN", 779521)


class Feed:
    """A listener with everything around it."""

    def __init__(self) -> None:
        self.clock, self.stream, self.routers = ManualWallClock(NOW), FakeTickStream(), FakeTickReceiver()
        self.listener = MarketListener(self.stream, routers=self.routers, clock=self.clock)

    def tick(self, price: int, *, token: int = INFY.token, age_s: float = 0) -> None:
        self.listener.on_tick(token, price, self.clock.now() - timedelta(seconds=age_s))

    def alive(self) -> bool:
        return self.listener.live()

    def prices(self) -> list[int]:
        return [tick.price for _, tick in self.routers.delivered]


@pytest.fixture
def feed() -> Feed:
    feed = Feed()
    feed.listener.subscribe(INFY)
    return feed


def test_a_tick_goes_to_the_router_of_its_instrument(feed: Feed) -> None:
    feed.listener.subscribe(SBIN)
    feed.tick(81000, token=SBIN.token)
    feed.tick(150000)
    assert [receiver for receiver, _ in feed.routers.delivered] == ["BSE:SBIN", "NSE:INFY"]
    assert feed.routers.delivered[1][1].received_at == NOW


@pytest.mark.parametrize("price", [0, -1, -150000])
def test_a_price_of_zero_or_less_goes_no_further(feed: Feed, price: int) -> None:
    feed.tick(price)
    assert feed.prices() == []
    assert feed.listener.dropped == 1


def test_a_tick_older_than_the_newest_goes_no_further(feed: Feed) -> None:
    feed.tick(150000, age_s=1)
    feed.tick(140000, age_s=2)
    feed.tick(149000, age_s=1)  # the same second: Kite stamps whole seconds
    assert feed.prices() == [150000, 149000]


def test_the_newest_is_per_instrument(feed: Feed) -> None:
    feed.listener.subscribe(SBIN)
    feed.tick(150000)
    feed.tick(81000, token=SBIN.token, age_s=3)
    assert feed.prices() == [150000, 81000]


def test_a_tick_of_the_future_goes_no_further_and_spoils_nothing(feed: Feed) -> None:
    feed.tick(140000, age_s=-3600)
    feed.tick(150000)
    assert feed.prices() == [150000]


def test_a_tick_that_nobody_asked_for_goes_no_further(feed: Feed) -> None:
    feed.tick(81000, token=SBIN.token)
    assert feed.prices() == []


def test_subscribing_again_asks_the_stream_once(feed: Feed) -> None:
    assert feed.listener.subscribe(INFY) == FeedStatus(live=False, last_tick_at=None)
    assert feed.stream.subscribed == [INFY.token]


def test_the_stream_lives_while_it_is_heard(feed: Feed) -> None:
    assert not feed.alive()
    feed.listener.on_heard()
    feed.clock.advance(SILENCE_LIMIT.total_seconds())
    assert feed.alive()
    feed.clock.advance(0.001)
    assert not feed.alive()
    feed.listener.on_heard()
    assert feed.alive()


def test_a_lost_connection_is_dead_at_once_and_alive_when_it_is_heard_again(feed: Feed) -> None:
    feed.listener.on_heard()
    feed.listener.on_lost(0, "1006 connection was closed uncleanly")
    assert not feed.alive()
    feed.listener.on_lost(0, "it was dead already")
    feed.listener.on_heard()
    assert feed.alive()


def test_the_status_holds_the_exchange_time_of_the_newest_usable_tick(feed: Feed) -> None:
    assert feed.listener.on_heard()  # it was dead
    assert not feed.listener.on_heard()
    feed.tick(150000, age_s=2)
    feed.tick(0, age_s=1)
    assert feed.listener.subscribe(INFY) == FeedStatus(live=True, last_tick_at=NOW - timedelta(seconds=2))


def test_an_instrument_is_as_alive_as_the_connection_its_ticks_come_on() -> None:
    feed = Feed()
    feed.stream.most_instruments = 1
    feed.listener.subscribe(INFY)
    feed.listener.subscribe(SBIN)
    feed.listener.on_heard(1)
    assert (feed.listener.status_of(INFY.key).live, feed.listener.status_of(SBIN.key).live) == (False, True)
    feed.listener.on_heard(0)
    feed.listener.on_lost(1, "1006")
    assert (feed.listener.status_of(INFY.key).live, feed.listener.status_of(SBIN.key).live) == (True, False)
    assert not feed.listener.status_of("NSE:NOBODY").live


def test_an_instrument_that_nobody_follows_any_more_is_given_back(feed: Feed) -> None:
    feed.listener.unsubscribe(INFY.key)
    feed.listener.unsubscribe(INFY.key)
    feed.tick(150000)
    assert (feed.prices(), feed.stream.subscribed) == ([], [])


def test_the_latest_tick_is_kept_for_a_router_that_starts_anew(feed: Feed) -> None:
    assert feed.listener.latest(INFY.key) is None
    feed.tick(150000)
    feed.tick(0)
    latest = feed.listener.latest(INFY.key)
    assert latest is not None
    assert latest.price == 150000


class Quiet(Feed):
    """A feed that lives, with an armed instrument that has ticked once and then no more."""

    def __init__(self) -> None:
        super().__init__()
        self.listener.subscribe(INFY, armed=True)
        self.tick(150000)
        self.hear(QUIET_LIMIT)
        self.hear(timedelta(seconds=1))

    def hear(self, after: timedelta) -> None:
        self.clock.advance(after.total_seconds())
        self.listener.on_heard()


def test_an_armed_instrument_without_a_tick_is_asked_about_once_in_a_while() -> None:
    feed = Quiet()
    assert feed.listener.quiet() == [INFY]
    assert not feed.listener.on_quote(INFY, 150000, feed.clock.now())  # nobody has traded at another price
    assert feed.listener.quiet() == []
    feed.hear(QUIET_LIMIT)
    feed.hear(timedelta(seconds=1))
    assert feed.listener.quiet() == [INFY]


def test_nobody_asks_about_what_is_not_armed_or_while_the_feed_is_dead() -> None:
    feed = Quiet()
    feed.listener.subscribe(INFY, armed=False)
    assert feed.listener.quiet() == []
    feed.listener.subscribe(INFY, armed=True)
    feed.listener.on_lost(0, "1006")
    assert feed.listener.quiet() == []


def test_a_quote_that_shows_missed_ticks_is_a_tick_and_subscribes_anew() -> None:
    feed = Quiet()
    assert feed.listener.on_quote(INFY, 140000, feed.clock.now())
    assert feed.prices() == [150000, 140000]
    assert feed.stream.asked == [INFY.token, INFY.token]


def test_a_quote_older_than_the_last_tick_proves_nothing() -> None:
    feed = Quiet()
    assert not feed.listener.on_quote(INFY, 140000, feed.clock.now() - timedelta(hours=1))
    assert feed.prices() == [150000]
