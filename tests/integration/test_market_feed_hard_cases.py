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
    """Nobody knows yet when it was heard last, so the watchdog takes it for silent and costs two seconds of prices."""
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
