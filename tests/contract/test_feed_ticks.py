"""What every `FeedTicks` promises, on the fake of the unit tests and on the real one over the socket plane."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedTicks
from actors.runtime.names import Pools
from actors.runtime.plane.feed_link import LinkedFeedTicks
from tests.kit.actors_here import PeersHere, PricesHere, until
from tests.kit.builders import INFY, NOW
from tests.kit.fakes.feed_ticks import FakeFeedTicks

PRICE = 145000


@dataclass
class Followed:
    """`up`, `trade` and `dies`: what happens to the stream, and to the feed."""

    feed: FeedTicks
    up: Callable[[], None]
    trade: Callable[[], None]
    dies: Callable[[], None]
    ticks: list[Tick] = field(default_factory=list)

    async def becomes(self, *, live: bool) -> None:
        """Wait until this is said of the stream; one that is to be alive is kept so."""
        await until(lambda: self.feed.status("paper", INFY.key).live is live, self.up if live else lambda: None)


@pytest.fixture(params=["fake", "plane"])
async def followed(request: pytest.FixtureRequest) -> AsyncIterator[Followed]:
    if request.param == "fake":
        fake = FakeFeedTicks(live=False)

        def say(live: bool) -> Callable[[], None]:
            return lambda: setattr(fake, "live", live)

        def trade() -> None:
            if INFY.key in fake.followed:
                fake.tick(PRICE, NOW)

        yield Followed(fake, say(live=True), trade, say(live=False))
        return
    broker = PricesHere()
    real = LinkedFeedTicks(PeersHere(broker.actors, "execution:0"), Pools())
    yield Followed(real, broker.feed.heard, lambda: broker.feed.trade(PRICE), broker.feed_dies)
    real.leave("paper", INFY.key)
    await broker.close()


async def test_a_guard_hears_the_trades_of_what_it_follows(followed: Followed) -> None:
    followed.up()
    assert not followed.feed.status("paper", INFY.key).live, "nothing is known of what nobody follows"
    followed.feed.follow("paper", INFY, followed.ticks.append)
    await followed.becomes(live=True)
    await until(lambda: followed.ticks, followed.trade)
    assert {(tick.token, tick.price) for tick in followed.ticks} == {(INFY.token, PRICE)}


async def test_what_is_followed_again_keeps_its_callback(followed: Followed) -> None:
    second: list[Tick] = []
    for callback in (followed.ticks.append, second.append):
        followed.feed.follow("paper", INFY, callback)
    await until(lambda: followed.ticks, followed.trade)
    assert second == []


async def test_what_is_left_is_silent_and_may_be_left_again_and_followed_again(followed: Followed) -> None:
    followed.feed.follow("paper", INFY, followed.ticks.append)
    await followed.becomes(live=True)
    for _ in range(2):
        followed.feed.leave("paper", INFY.key)
    assert not followed.feed.status("paper", INFY.key).live
    later: list[Tick] = []
    before = list(followed.ticks)
    followed.feed.follow("paper", INFY, later.append)
    await until(lambda: later, followed.trade)
    assert followed.ticks == before


async def test_a_feed_that_is_gone_is_dead(followed: Followed) -> None:
    followed.feed.follow("paper", INFY, followed.ticks.append)
    await followed.becomes(live=True)
    followed.dies()
    await followed.becomes(live=False)
