"""Actors of the engine in the test's own process: their methods, shells and links, and the calls between them.

What a call carries is pickled, as on its way to another process. Left out are Ray and what an actor reads of its
process at its start.
"""

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.execution.shell import ExecutionShell
from actors.ports.common import Clock, PeerUnavailable
from actors.prices.feed_shell import FeedShell
from actors.prices.router_shell import RouterShell
from actors.runtime import names
from actors.runtime.clock import SystemClock
from actors.runtime.handles import PeerMissing
from actors.runtime.hosts.execution import ExecutionActor
from actors.runtime.hosts.feed import MarketListener
from actors.runtime.hosts.router import TickRouter
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.runtime.plane.linked_ticks import LinkedTickReceivers, LinkedTickSource
from actors.runtime.plane.orders import OrderLinkServer
from actors.runtime.plane.ticks import TickSender
from tests.kit.builders import INFY
from tests.kit.fakes.price_mirror import FakePriceMirror
from tests.kit.fakes.tick_stream import FakeTickStream

NODE, HOST = "node-1", "127.0.0.1"


@dataclass(frozen=True)
class Handle:
    """An actor's handle, as one actor gives it to another."""

    name: str


class Actors:
    """The actors that run, by their names."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Any, asyncio.Future[None]]] = {}
        self.told: set[asyncio.Task[Any]] = set()

    def begin(self, name: str, actor: Any) -> None:
        """Let an actor run under this name."""
        self._running[name] = actor, asyncio.get_running_loop().create_future()

    def end(self, name: str) -> None:
        """Let it die, with the calls that it has not answered."""
        self._running.pop(name)[1].set_result(None)

    def find(self, name: str) -> tuple[Any, "asyncio.Future[None]"]:
        """The actor, and what is done when it has died. Raises PeerMissing."""
        if name not in self._running:
            raise PeerMissing(f"{name} does not exist")
        return self._running[name]


class PeersHere(Peers):
    """The other actors of this process, as the actor of that name calls them."""

    def __init__(self, actors: Actors, name: str) -> None:
        super().__init__()
        self._actors, self._name = actors, name

    @property
    def own_handle(self) -> Any:
        return Handle(self._name)

    @property
    def own_name(self) -> str:
        return self._name

    @property
    def own_node(self) -> str:
        return NODE

    def meet(self, name: str, handle: Any) -> None:
        assert handle == Handle(name)

    async def find(self, name: str) -> Any:
        return self._actors.find(name)[0]

    async def call(self, name: str, method: str, *arguments: Any, title: str = "") -> Any:
        actor, died = self._actors.find(name)
        answer = asyncio.ensure_future(getattr(actor, method)(*map(_carried, arguments)))
        await asyncio.wait([answer, died], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            raise PeerUnavailable(f"{name}: ActorDiedError")
        return _carried(answer.result())

    def tell(self, name: str, method: str, *arguments: Any, title: str = "") -> None:
        async def call() -> None:
            await self.call(name, method, *arguments)

        task = asyncio.create_task(call())
        self._actors.told.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._actors.told.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            assert isinstance(error, PeerUnavailable), error


def _carried(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - what was pickled here


class ExecutionHere(ExecutionActor):
    """`execution:{n}` around a shell of the test's."""

    def __init__(self, execution: ExecutionShell) -> None:
        self._execution, self._left = execution, False
        self._links = OrderLinkServer(NODE, HOST, self.execute)


class FeedHere(MarketListener):
    """`feed:0` without a broker: `trade` is what its stream would say."""

    def __init__(self, actors: Actors, clock: SystemClock) -> None:
        self._loop, self._suffix, self._clock = asyncio.get_running_loop(), "", clock
        self._peers = PeersHere(actors, names.feed_name())
        self._ticks = TickSender(NODE, HOST, on_joined=self._on_joined, on_left=self._on_left)
        self._routers = LinkedTickReceivers(self._ticks, self._router_name, self._peers, "on_tick")
        self._watchers, self._asked_at = {}, {}
        self._changed, self._tokens_wanted = asyncio.Event(), asyncio.Event()
        self._listener = FeedShell(FakeTickStream(), routers=self, clock=clock)
        self._telling = asyncio.create_task(self._keep_telling())

    def heard(self) -> None:
        """The broker's stream is alive."""
        self._on_heard(0)

    def lost(self) -> None:
        """The broker's stream broke, and does not come back."""
        self._listener.on_lost(0, "the connection broke")
        self._changed.set()

    def trade(self, price: Paise) -> None:
        """A trade of INFY."""
        self.heard()
        self._listener.on_tick(INFY.token, price, self._clock.now())

    def close(self) -> None:
        """Close the links."""
        self._telling.cancel()
        self._ticks.close()


class RouterHere(TickRouter):
    """`router:NSE:INFY`."""

    def __init__(self, actors: Actors, clock: Clock) -> None:
        self._name = names.router_name(INFY.key)
        self._peers = peers = PeersHere(actors, self._name)
        self._ticks = TickSender(NODE, HOST, on_joined=self._catch_up, on_left=self._on_left)
        self._changed = asyncio.Event()
        source = LinkedTickSource(peers, names.feed_name(), self._on_tick)
        source.when_changed(self._changed.set)
        strategies = LinkedTickReceivers(self._ticks, _strategy_name, peers, "take_tick")
        self._router = RouterShell(INFY, source=source, strategies=strategies, mirror=FakePriceMirror(), clock=clock)
        self._source, self._renewal = source, asyncio.create_task(self._keep_renewing())

    def close(self) -> None:
        """Close the links."""
        self._renewal.cancel()
        self._source.close()
        self._ticks.close()

    def _catch_up(self, receiver: str) -> None:
        self._router.catch_up(int(receiver))


def _strategy_name(strategy_id: int | str) -> str:
    return names.strategy_name(int(strategy_id))


class PricesHere:
    """The feed of a broker, and the router of INFY from when a strategy first asks for it."""

    def __init__(self) -> None:
        self.actors, self._clock = Actors(), SystemClock()
        self._loop = asyncio.get_running_loop()
        self.feed = FeedHere(self.actors, self._clock)
        self.actors.begin(names.feed_name(), self.feed)
        self._routers: list[RouterHere] = []
        self._may_start = True

    def start_router(self, _instrument: Instrument, _pools: Pools, _broker: str) -> None:
        """Begin the one router of this kit; it is called in a thread, as Ray is."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> None:
        if self._may_start:
            self._routers.append(RouterHere(self.actors, self._clock))
            self.actors.begin(names.router_name(INFY.key), self._routers[-1])

    def feed_dies(self) -> None:
        """The feed's process ends."""
        self.feed.close()
        self.actors.end(names.feed_name())

    def router_dies(self) -> None:
        """The router's process ends, and no other begins."""
        self._may_start = False
        self._routers[-1].close()
        self.actors.end(names.router_name(INFY.key))

    async def close(self) -> None:
        """End what still runs."""
        self.feed.close()
        for router in self._routers:
            router.close()
        for task in self.actors.told:
            task.cancel()
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait for the condition, in real time; `meanwhile` is done again and again."""
    async with asyncio.timeout(20):
        while not condition():
            meanwhile()
            await asyncio.sleep(0.01)
