"""Links to the broker while the wall clock is set, forward and back, as NTP or an operator does it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from actors.domain.prices.feed_silence import SILENCE_LIMIT_S
from broker.kite.streams.market_feed import RECONNECT_S
from broker.kite.streams.websocket import PING_S
from tests.kit.feed_process import FeedProcess
from tests.kit.machine_clock import CANNOT, MachineClock, machine_clock
from tests.kit.paper import PaperCredentials, PaperExchange

pytestmark = pytest.mark.skipif(CANNOT is not None, reason=str(CANNOT))

INFY, TICK_S, HOUR = 408065, 0.2, timedelta(hours=1)


@pytest.fixture(scope="module")
def clock() -> Iterator[MachineClock]:
    with machine_clock() as clock:
        yield clock


@pytest.fixture(scope="module")
def exchange() -> Iterator[PaperExchange]:
    with PaperExchange(default_source="hold", tick_seconds=TICK_S, heartbeat_seconds=0.5) as exchange:
        yield exchange


@pytest.fixture
def account(exchange: PaperExchange) -> PaperCredentials:
    return exchange.control.new_account()


@pytest.fixture
def feed(exchange: PaperExchange, clock: MachineClock, account: PaperCredentials) -> Iterator[FeedProcess]:
    """A link that has pinged once and been answered."""
    with FeedProcess(exchange.ws_url, variables=clock.variables) as feed:
        feed.start(account)
        feed.subscribe(INFY)
        feed.wait_for("tick", int((PING_S + 1) / TICK_S), within_s=20)
        yield feed


def test_a_clock_that_is_set_forward_drops_no_link(clock: MachineClock, feed: FeedProcess) -> None:
    clock.jump(clock.now() + HOUR)
    seen = len(feed.all("tick"))
    feed.wait_for("tick", seen + int(3 * PING_S / TICK_S), within_s=30)
    assert feed.all("lost") == []


def test_a_link_that_falls_silent_is_dropped_though_the_clock_was_set_back(
    clock: MachineClock, exchange: PaperExchange, account: PaperCredentials, feed: FeedProcess
) -> None:
    clock.jump(clock.now() - HOUR)
    exchange.control.fault("ws-freeze", {"user_id": account.user_id}, seconds=60)
    feed.wait_for("lost", within_s=SILENCE_LIMIT_S + 5)
    feed.wait_for("tick", len(feed.all("tick")) + 1, within_s=RECONNECT_S + 6)
