"""The feed's shell: only ticks that may decide something go on, and the stream's life is known."""

from datetime import timedelta

import pytest

from actors.domain.identifiers import Instrument
from actors.domain.prices.feed_silence import QUIET_LIMIT_S, SILENCE_LIMIT_S
from actors.ports.prices import FeedStatus
from actors.prices.feed_shell import TOKEN_PATIENCE_S, FeedShell
from tests.kit.builders import INFY, NOW
from tests.kit.fakes.clock import ManualWallClock
from tests.kit.fakes.tick_receiver import FakeTickReceiver
from tests.kit.fakes.tick_stream import FakeTickStream

SBIN = Instrument("BSE", "SBIN", 779521)


class Feed:
    """A listener with everything around it."""

    def __init__(self) -> None:
        self.clock, self.stream, self.routers = ManualWallClock(NOW), FakeTickStream(), FakeTickReceiver()
        self.listener = FeedShell(self.stream, routers=self.routers, clock=self.clock)

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


@pytest.mark.parametrize("lag_s", [0.5, 5.5, 8, 40, -4, -300])
def test_no_tick_is_lost_to_a_feed_that_lags_or_to_a_clock_of_ours_that_is_off(feed: Feed, lag_s: float) -> None:
    for price in range(150000, 150010):
        feed.tick(price, age_s=lag_s)
        feed.clock.advance(1)
    assert feed.prices() == list(range(150000, 150010))
    feed.listener.on_heard()
    status = feed.listener.status_of(INFY.key)
    assert status.lag == timedelta(seconds=lag_s)
    assert (status.late_since is not None) is (lag_s > 5)


def test_a_wild_stamp_of_one_instrument_makes_no_later_tick_old(feed: Feed) -> None:
    feed.listener.subscribe(SBIN)
    for _ in range(3):
        feed.tick(150000)
        feed.tick(81000, token=SBIN.token)
        feed.clock.advance(1)
    feed.tick(79000, token=SBIN.token, age_s=-3600)
    feed.routers.delivered.clear()
    feed.tick(80000, token=SBIN.token)
    assert feed.prices() == [80000]


def test_a_tick_is_as_old_as_its_trade_and_the_stream_as_its_messages(feed: Feed) -> None:
    traded_at = NOW - timedelta(minutes=10)
    feed.listener.on_tick(INFY.token, 150000, traded_at, NOW)
    ((_, tick),) = feed.routers.delivered
    assert tick.exchange_time == traded_at
    status = feed.listener.status_of(INFY.key)
    assert (status.last_tick_at, status.stream_at) == (traded_at, NOW)


def test_a_tick_that_nobody_asked_for_goes_no_further(feed: Feed) -> None:
    feed.tick(81000, token=SBIN.token)
    assert feed.prices() == []


def test_subscribing_again_asks_the_stream_once(feed: Feed) -> None:
    assert feed.listener.subscribe(INFY) == FeedStatus(live=False, last_tick_at=None)
    assert feed.stream.subscribed == [INFY.token]


def test_the_stream_is_live_while_it_is_heard(feed: Feed) -> None:
    assert not feed.alive()
    feed.listener.on_heard()
    feed.clock.advance(SILENCE_LIMIT_S)
    assert feed.alive()
    feed.clock.advance(0.001)
    assert not feed.alive()
    feed.listener.on_heard()
    assert feed.alive()


@pytest.mark.parametrize("by", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_wall_clock_that_is_set_neither_hides_a_silence_nor_makes_one(feed: Feed, by: timedelta) -> None:
    feed.listener.on_heard()
    feed.clock.step(by)
    assert feed.alive()
    feed.clock.advance(SILENCE_LIMIT_S + 0.001)
    assert not feed.alive()


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
    status = feed.listener.subscribe(INFY)
    assert (status.live, status.last_tick_at) == (True, NOW - timedelta(seconds=2))


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


def test_the_latest_tick_is_kept_for_a_router_that_starts_again(feed: Feed) -> None:
    assert feed.listener.latest(INFY.key) is None
    feed.tick(150000)
    feed.tick(0)
    latest = feed.listener.latest(INFY.key)
    assert latest is not None
    assert latest.price == 150000


class Quiet(Feed):
    """A feed that runs, with an armed instrument that has ticked once and not again."""

    def __init__(self) -> None:
        super().__init__()
        self.listener.subscribe(INFY, armed=True)
        self.tick(150000)
        self.hear(QUIET_LIMIT_S)
        self.hear(1)

    def hear(self, after_s: float) -> None:
        self.clock.advance(after_s)
        self.listener.on_heard()


def test_an_armed_instrument_without_a_tick_is_asked_about_once_in_a_while() -> None:
    feed = Quiet()
    assert feed.listener.quiet() == [INFY]
    assert not feed.listener.on_quote(INFY, 150000, NOW)  # there was no trade since
    assert feed.listener.quiet() == []
    feed.hear(QUIET_LIMIT_S)
    feed.hear(1)
    assert feed.listener.quiet() == [INFY]


def test_nobody_asks_about_what_is_not_armed_or_while_the_feed_is_dead() -> None:
    feed = Quiet()
    feed.listener.subscribe(INFY, armed=False)
    assert feed.listener.quiet() == []
    feed.listener.subscribe(INFY, armed=True)
    feed.listener.on_lost(0, "1006")
    assert feed.listener.quiet() == []


def test_a_quote_that_shows_missed_ticks_is_a_tick_and_subscribes_again() -> None:
    feed = Quiet()
    assert feed.listener.on_quote(INFY, 140000, feed.clock.now())
    assert feed.prices() == [150000, 140000]
    assert feed.stream.asked == [INFY.token, INFY.token]


def test_a_quote_counts_at_any_price_if_its_trade_is_newer() -> None:
    feed = Quiet()
    traded_at = feed.clock.now() - timedelta(seconds=2)
    assert feed.listener.on_quote(INFY, 150000, traded_at)
    _, tick = feed.routers.delivered[-1]
    assert (tick.price, tick.exchange_time) == (150000, traded_at)


def test_a_share_that_fell_silent_is_asked_about_though_the_clock_was_set_back() -> None:
    feed = Feed()
    feed.listener.subscribe(INFY, armed=True)
    feed.tick(150000)
    feed.clock.step(timedelta(hours=-1))
    feed.clock.advance(QUIET_LIMIT_S + 1)
    feed.listener.on_heard()
    assert feed.listener.quiet() == [INFY]


def test_a_quote_makes_no_tick_of_a_lagging_stream_old() -> None:
    feed = Quiet()
    feed.listener.on_quote(INFY, 140000, feed.clock.now())
    feed.tick(139000, age_s=8)
    assert feed.prices() == [150000, 140000, 139000]


OLD_INFY = Instrument("NSE", "INFY", 1)
DAY, NEXT_DAY = NOW.date(), NOW.date() + timedelta(days=1)


class Confirming(Feed):
    """A feed that asks whose tokens are whose."""

    def __init__(self) -> None:
        super().__init__()
        self.listener = FeedShell(self.stream, routers=self.routers, clock=self.clock, confirms_tokens=True)


def test_no_tick_of_another_instrument_decides_under_an_old_token() -> None:
    feed = Confirming()
    feed.listener.subscribe(OLD_INFY, armed=True)  # of the tenant who started on Friday
    feed.listener.subscribe(INFY, armed=True)  # of the one who started today
    assert feed.stream.subscribed == [OLD_INFY.token]
    assert feed.listener.unconfirmed(DAY) == [OLD_INFY]
    feed.tick(9000, token=OLD_INFY.token)
    assert feed.prices() == []
    assert feed.listener.on_token(OLD_INFY, INFY.token, DAY)
    assert feed.stream.subscribed == [INFY.token]
    feed.tick(9000, token=OLD_INFY.token)
    feed.tick(150000)
    assert [(receiver, tick.price) for receiver, tick in feed.routers.delivered] == [(INFY.key, 150000)]
    feed.listener.subscribe(OLD_INFY, armed=True)
    assert feed.stream.subscribed == [INFY.token], "the old token of one tenant never decides for the other"


def test_a_token_is_looked_up_once_a_day_and_replaced_when_it_has_changed_overnight() -> None:
    feed = Confirming()
    feed.listener.subscribe(INFY)
    assert not feed.listener.on_token(INFY, INFY.token, DAY)
    feed.tick(150000)
    assert feed.listener.unconfirmed(DAY) == []
    assert feed.listener.unconfirmed(NEXT_DAY) == [INFY]
    assert feed.listener.on_token(INFY, 999, NEXT_DAY)
    feed.tick(1000, token=INFY.token)
    feed.tick(151000, token=999)
    assert feed.prices() == [150000, 151000]


def test_ticks_under_a_token_of_the_day_before_wait_until_it_is_confirmed_or_for_a_while() -> None:
    feed = Confirming()
    feed.listener.subscribe(INFY)
    feed.listener.on_token(INFY, INFY.token, DAY)
    feed.tick(150000)
    feed.clock.advance(24 * 3600)
    feed.tick(9000)  # of the share that has been given the token, perhaps
    feed.listener.on_token(INFY, 999, NEXT_DAY)
    feed.tick(151000, token=999)
    feed.clock.advance(24 * 3600)
    feed.tick(9001, token=999)
    feed.clock.advance(TOKEN_PATIENCE_S)
    feed.tick(151001, token=999)
    assert feed.prices() == [150000, 151000, 151001]


def test_a_token_that_was_confirmed_before_the_first_tick_of_its_day_makes_none_wait() -> None:
    feed = Confirming()
    feed.listener.subscribe(INFY)
    feed.clock.advance(24 * 3600)
    feed.listener.on_token(INFY, INFY.token, NEXT_DAY)
    feed.tick(150000)
    assert feed.prices() == [150000]


def test_no_tick_of_a_new_day_waits_if_nobody_could_tell_before_it() -> None:
    feed = Confirming()
    feed.listener.subscribe(INFY)
    feed.listener.on_token(INFY, INFY.token, DAY)
    feed.clock.advance(24 * 3600)
    feed.listener.without_tokens([INFY])
    feed.tick(150000)
    assert feed.prices() == [150000]


def test_two_instruments_may_swap_their_tokens() -> None:
    feed = Confirming()
    feed.listener.subscribe(INFY)
    feed.listener.subscribe(SBIN)
    feed.listener.on_token(INFY, SBIN.token, DAY)
    feed.listener.on_token(SBIN, INFY.token, DAY)
    feed.tick(150000, token=SBIN.token)
    feed.tick(81000, token=INFY.token)
    assert [receiver for receiver, _ in feed.routers.delivered] == [INFY.key, SBIN.key]
    assert sorted(feed.stream.subscribed) == sorted([INFY.token, SBIN.token])


def test_an_instrument_that_two_answers_leave_out_is_not_listed_until_one_names_it() -> None:
    feed = Confirming()
    feed.listener.subscribe(INFY)
    assert not feed.listener.on_token(INFY, None, DAY)
    assert feed.listener.status_of(INFY.key).listed
    assert feed.listener.on_token(INFY, None, DAY)
    assert not feed.listener.status_of(INFY.key).listed
    assert feed.listener.unconfirmed(DAY) == [INFY]
    assert feed.listener.on_token(INFY, INFY.token, DAY)
    assert feed.listener.status_of(INFY.key).listed


def test_ticks_wait_for_their_token_only_for_a_while_and_not_if_nobody_can_tell() -> None:
    feed = Confirming()
    feed.listener.subscribe(INFY)
    feed.tick(150000)
    feed.clock.advance(TOKEN_PATIENCE_S)
    feed.tick(150001)
    assert feed.prices() == [150001]
    feed.listener.subscribe(SBIN)
    feed.listener.without_tokens([SBIN])
    feed.tick(81000, token=SBIN.token)
    assert feed.prices() == [150001, 81000]


def test_a_quote_older_than_the_last_tick_proves_nothing() -> None:
    feed = Quiet()
    assert not feed.listener.on_quote(INFY, 140000, feed.clock.now() - timedelta(hours=1))
    assert feed.prices() == [150000]
