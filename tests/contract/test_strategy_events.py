"""What every `StrategyEvents` promises, on the fake of the unit tests and on the real one, with and without a link."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from actors.domain.strategy.events import Event, OrderQueued, OrderReported
from actors.ports.common import PeerUnavailable
from actors.ports.execution import StrategyEvents
from actors.ports.strategy import OrderCommand
from actors.runtime.plane.linked_orders import LinkedStrategyEvents
from actors.runtime.plane.orders import OrderLink, OrderLinkServer
from tests.kit.actors_here import HOST, NODE, Actors, PeersHere, until
from tests.kit.builders import NOW, a_report
from tests.kit.execution import BUY
from tests.kit.fakes.strategy_events import FakeStrategies

STRATEGY, NAME = 3, "strategy:3"
QUEUED, FILLED = OrderQueued(BUY.id, NOW), OrderReported(BUY.id, a_report())


@dataclass
class Strategy:
    """A strategy that hears of its orders."""

    reports: StrategyEvents
    heard: list[Event]
    dies: Callable[[], None]


@dataclass
class _Actor:
    """What Ray calls of a strategy."""

    heard: list[Event] = field(default_factory=list)

    async def take_event(self, event: Event) -> None:
        self.heard.append(event)


@pytest.fixture(params=["fake", "call", "link"])
async def strategy(request: pytest.FixtureRequest) -> AsyncIterator[Strategy]:
    if request.param == "fake":
        fake = FakeStrategies()

        def die() -> None:
            fake.failure = PeerUnavailable(f"{NAME} is restarting")

        yield Strategy(fake, fake.events, die)
        return
    actors, actor = Actors(), _Actor()
    server, link = OrderLinkServer(NODE, HOST, _no_orders), OrderLink(actor.heard.append)
    events = LinkedStrategyEvents(server, PeersHere(actors, "execution:0"))
    if request.param == "call":
        actors.begin(NAME, actor)
        yield Strategy(events, actor.heard, lambda: actors.end(NAME))
    else:
        await link.open(server.invite(str(STRATEGY), NODE))
        await until(lambda: STRATEGY in server._links)
        yield Strategy(events, actor.heard, server.close)
    server.close()
    await asyncio.sleep(0)


async def _no_orders(command: OrderCommand) -> Event:
    raise AssertionError(f"nobody gives {command}")


async def test_events_arrive_once_and_in_their_order(strategy: Strategy) -> None:
    for event in (QUEUED, FILLED):
        await strategy.reports.report(STRATEGY, event)
    await until(lambda: len(strategy.heard) == 2)
    assert strategy.heard == [QUEUED, FILLED]


async def test_a_strategy_that_has_died_loses_its_events_and_the_reporter_is_told(strategy: Strategy) -> None:
    await strategy.reports.report(STRATEGY, QUEUED)
    await until(lambda: strategy.heard)
    strategy.dies()
    with pytest.raises(PeerUnavailable):
        await strategy.reports.report(STRATEGY, FILLED)
    assert strategy.heard == [QUEUED]
