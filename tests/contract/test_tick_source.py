"""What every `TickSource` promises, on the fake of the unit tests and on the real one over the socket plane."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NoReturn

import pytest

from actors.ports.common import PeerUnavailable
from actors.ports.prices import FeedStatus, TickSource
from actors.runtime.plane.linked_ticks import LinkedTickSource
from tests.kit.actors_here import PeersHere, PricesHere
from tests.kit.builders import INFY
from tests.kit.fakes.tick_source import FakeTickSource

DEAD, LIVE = FeedStatus(live=False), FeedStatus(live=True)


@dataclass
class Source:
    """`up` and `dies`: what happens to the stream, and to the feed."""

    source: TickSource
    up: Callable[[], None]
    dies: Callable[[], None]

    async def answers(self, *, live: bool) -> None:
        """Ask until the answer is this one; a stream that is to be alive is kept so."""
        async with asyncio.timeout(20):
            while True:
                if live:
                    self.up()
                if (await self.source.subscribe(INFY, armed=True)).live is live:
                    return
                await asyncio.sleep(0.01)

    async def keeps_asking(self) -> NoReturn:
        """Ask until it fails: a link that has just broken is noticed a moment later."""
        async with asyncio.timeout(20):
            while True:
                await self.source.subscribe(INFY, armed=True)
                await asyncio.sleep(0.01)


@pytest.fixture(params=["fake", "plane"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Source]:
    if request.param == "fake":
        fake = FakeTickSource(DEAD)

        def say(answer: FeedStatus | Exception) -> Callable[[], None]:
            return lambda: setattr(fake, "answer", answer)

        yield Source(fake, say(LIVE), say(PeerUnavailable("feed:0 is restarting")))
        return
    broker = PricesHere()
    real = LinkedTickSource(PeersHere(broker.actors, "router:NSE:INFY"), "feed:0", lambda _tick: None)
    yield Source(real, broker.feed.heard, broker.feed_dies)
    real.close()
    await broker.close()


async def test_a_router_learns_whether_the_stream_is_alive_as_often_as_it_asks(source: Source) -> None:
    assert not (await source.source.subscribe(INFY, armed=True)).live
    for _ in range(2):
        await source.answers(live=True)
    assert (await source.source.subscribe(INFY, armed=False)).live


async def test_a_feed_that_is_gone_is_unavailable(source: Source) -> None:
    await source.answers(live=False)
    source.dies()
    with pytest.raises(PeerUnavailable):
        await source.keeps_asking()
