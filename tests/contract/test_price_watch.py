"""What every `PriceWatch` promises, on the fake of the unit tests and on the real one over the socket plane."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from actors.ports.common import PeerUnavailable
from actors.ports.prices import FeedStatus, PriceWatch
from actors.runtime.names import Pools
from actors.runtime.plane.linked_ticks import LinkedPriceWatch
from tests.kit.actors_here import PeersHere, PricesHere
from tests.kit.builders import INFY, NOW
from tests.kit.fakes.clock import ManualWallClock
from tests.kit.fakes.price_watch import FakePriceWatch

STOP = 145000
DEAD, LIVE = FeedStatus(live=False), FeedStatus(live=True)


@dataclass
class Watched:
    """`up`, `down` and `dies`: what happens to the stream, and to the router."""

    watch: PriceWatch
    up: Callable[[], None]
    down: Callable[[], None]
    dies: Callable[[], None]

    async def answers(self, *, live: bool) -> None:
        """Ask until the answer is this one; a stream that is to be alive is kept so."""
        async with asyncio.timeout(20):
            while True:
                if live:
                    self.up()
                if (await self.watch.watch(3, INFY, STOP)).live is live:
                    return
                await asyncio.sleep(0.01)


@pytest.fixture(params=["fake", "plane"])
async def watched(request: pytest.FixtureRequest) -> AsyncIterator[Watched]:
    if request.param == "fake":
        fake = FakePriceWatch(ManualWallClock(NOW), DEAD)

        def say(answer: FeedStatus | Exception) -> Callable[[], None]:
            def change() -> None:
                fake.answer = answer
                fake.changed()

            return change

        yield Watched(fake, say(LIVE), say(DEAD), say(PeerUnavailable("router:NSE:INFY is restarting")))
        return
    broker = PricesHere()
    peers = PeersHere(broker.actors, "strategy:3")
    watch = LinkedPriceWatch(peers, Pools(), "paper", lambda _tick: None, broker.start_router)
    yield Watched(watch, broker.feed.heard, broker.feed.lost, broker.router_dies)
    watch.close()
    await broker.close()


async def test_a_strategy_learns_whether_the_stream_is_alive_as_often_as_it_asks(watched: Watched) -> None:
    assert not (await watched.watch.watch(3, INFY, STOP)).live
    for _ in range(2):
        await watched.answers(live=True)


async def test_a_strategy_is_told_when_what_it_was_answered_is_no_longer_true(watched: Watched) -> None:
    await watched.answers(live=True)
    watched.watch.when_changed((changed := asyncio.Event()).set)
    watched.down()
    await asyncio.wait_for(changed.wait(), 20)
    await watched.answers(live=False)


async def test_a_router_that_is_gone_is_unavailable_whatever_it_is_asked(watched: Watched) -> None:
    await watched.answers(live=False)
    watched.watch.when_changed((changed := asyncio.Event()).set)
    watched.dies()
    await asyncio.wait_for(changed.wait(), 20)
    with pytest.raises(PeerUnavailable):
        await watched.watch.watch(3, INFY, STOP)
    with pytest.raises(PeerUnavailable):
        await watched.watch.unwatch(3, INFY)


async def test_a_strategy_can_leave_twice_and_come_back(watched: Watched) -> None:
    await watched.answers(live=True)
    for _ in range(2):
        await watched.watch.unwatch(3, INFY)
    await watched.answers(live=True)
