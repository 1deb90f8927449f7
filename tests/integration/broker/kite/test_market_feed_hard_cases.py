"""Hard cases of the market feed: what would cost prices without anybody noticing."""

from collections.abc import Iterator

import pytest

from tests.kit.feed_process import FeedProcess
from tests.kit.paper import PaperExchange, eventually

INFY = 408065


@pytest.fixture(scope="module")
def slow_exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", tick_seconds=30, heartbeat_seconds=2.5) as exchange:
        yield exchange


def test_a_connection_that_is_new_has_the_whole_silence_limit(slow_exchange: PaperExchange) -> None:
    """The feed knows no last message of it yet, so the watchdog takes it for silent and costs two seconds of prices."""
    with FeedProcess(slow_exchange.ws_url) as feed:
        feed.start(slow_exchange.control.new_account())
        feed.wait_for("heard")
        assert feed.all("lost") == []


def test_a_callback_that_raises_does_not_cost_the_connection() -> None:
    with (
        PaperExchange(default_source="hold", tick_seconds=30, heartbeat_seconds=0.2) as exchange,
        FeedProcess(exchange.ws_url) as feed,
    ):
        feed.start(exchange.control.new_account())
        feed.subscribe(INFY)
        feed.wait_for("tick")
        feed.break_callback()
        ticks = len(feed.all("tick"))

        def another_tick() -> bool:
            exchange.control.set_price("NSE:INFY", 1500.0)
            return len(feed.all("tick")) > ticks

        eventually(another_tick)
        assert feed.all("lost") == []


SBIN, TCS = 779521, 2953217


@pytest.fixture(scope="module")
def quick_exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", tick_seconds=0.2, heartbeat_seconds=0.5) as exchange:
        yield exchange


def tokens(feed: FeedProcess) -> set[int]:
    return {tick["token"] for tick in feed.all("tick")}


def test_more_instruments_than_a_connection_takes_come_over_several(quick_exchange: PaperExchange) -> None:
    """Kite takes 3000 on a connection; here two."""
    with FeedProcess(quick_exchange.ws_url, most_instruments=2) as feed:
        feed.subscribe(INFY, SBIN, TCS)
        feed.start(quick_exchange.control.new_account())
        eventually(lambda: tokens(feed) == {INFY, SBIN, TCS})
        places = {place["token"]: place["connection"] for place in feed.all("place")}
        assert places == {INFY: 0, SBIN: 0, TCS: 1}
        assert {heard["connection"] for heard in feed.all("heard")} == {0, 1}


def test_a_connection_that_breaks_leaves_the_others_and_asks_for_its_own_again(quick_exchange: PaperExchange) -> None:
    account = quick_exchange.control.new_account()
    with FeedProcess(quick_exchange.ws_url, most_instruments=1) as feed:
        feed.start(account)
        feed.subscribe(INFY, SBIN)
        eventually(lambda: tokens(feed) == {INFY, SBIN})
        quick_exchange.control.fault("ws-abort", {"user_id": account.user_id})
        feed.wait_for("lost", 2)
        feed.told.clear()
        eventually(lambda: tokens(feed) == {INFY, SBIN})


def test_an_instrument_given_back_sends_no_more_ticks_not_even_after_a_reconnect(
    quick_exchange: PaperExchange,
) -> None:
    account = quick_exchange.control.new_account()
    with FeedProcess(quick_exchange.ws_url) as feed:
        feed.start(account)
        feed.subscribe(INFY, SBIN)
        eventually(lambda: tokens(feed) == {INFY, SBIN})
        feed.unsubscribe(INFY)
        quick_exchange.control.fault("ws-abort", {"user_id": account.user_id})
        feed.wait_for("lost")
        feed.told.clear()
        eventually(lambda: len(feed.all("tick")) >= 5)
        assert tokens(feed) == {SBIN}
