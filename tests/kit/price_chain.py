"""Listener, router and strategy in one process and in virtual time, between an exchange and a clock that is off."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.prices.tick import Tick
from actors.domain.strategy.events import TickReceived
from actors.domain.strategy.state import Phase
from actors.ports.prices import FeedStatus
from actors.prices.feed_shell import FeedShell
from actors.prices.router_shell import RouterShell
from tests.kit.builders import INFY
from tests.kit.fakes.price_mirror import FakePriceMirror
from tests.kit.fakes.tick_stream import FakeTickStream
from tests.kit.strategies import StrategyBench, reported

_HEARTBEAT_S = 1.0


class PriceChain:
    """A strategy that hears its prices the way it does in production. `feed_up`: heartbeats and ticks arrive.

    `lag_s`: a tick arrives this long after its trade; `offset_s`: our clock is this far ahead of the exchange's.
    """

    def __init__(self, *, lag_s: float = 0.3, offset_s: float = 0.0) -> None:
        self.lag_s, self.offset, self.feed_up = lag_s, timedelta(seconds=offset_s), True
        watch = _FromRouter(lambda: self.router)
        self.bench = StrategyBench(prices=watch)
        self.bench.execution.arms = False  # the strategy is the only guard here
        clock = self.bench.clock
        self.mirror = FakePriceMirror()
        strategies = _ToStrategy(self.bench)
        self.listener = FeedShell(FakeTickStream(), routers=_ToRouter(lambda: self.router), clock=clock)
        self.router = RouterShell(
            INFY, source=_FromListener(self.listener), strategies=strategies, mirror=self.mirror, clock=clock
        )
        self._duties = [asyncio.create_task(duty()) for duty in (self._beat, self._renew)]

    @property
    def exchange_now(self) -> datetime:
        """By the exchange's clock."""
        return self.bench.clock.now() - self.offset

    async def bought(self) -> "PriceChain":
        """Buy, with a fill that the exchange stamps, and guard."""
        self.bench.start()
        command = await self.bench.ordered()
        self.bench.execution.answer(reported(command.intent, at=self.exchange_now.replace(microsecond=0)))
        await self.bench.reaches(Phase.GUARDING)
        return self

    def trade(self, price: Paise, token: int = INFY.token) -> None:
        """A trade now; its tick arrives later, or never if the feed is away by then."""
        stamp = self.exchange_now.replace(microsecond=0)
        asyncio.get_running_loop().call_later(self.lag_s, self.arrive, price, stamp, token)

    def arrive(self, price: Paise, stamp: datetime, token: int = INFY.token) -> None:
        """A tick, with the stamp of its trade."""
        if self.feed_up:
            self.listener.on_heard()
            self.listener.on_tick(token, price, stamp)

    async def trades(self, price: Paise, seconds: int) -> None:
        """One trade a second at a price."""
        for _ in range(seconds):
            self.trade(price)
            await asyncio.sleep(1)

    async def _beat(self) -> None:
        while True:
            if self.feed_up:
                self.listener.on_heard()
            await asyncio.sleep(_HEARTBEAT_S)

    async def _renew(self) -> None:
        while True:
            await self.router.renew()
            await asyncio.sleep(1.0)


@dataclass
class _ToStrategy:
    bench: StrategyBench

    def deliver(self, _receiver: int | str, tick: Tick) -> None:
        self.bench.actor.post(TickReceived(tick))


@dataclass
class _ToRouter:
    router: Callable[[], RouterShell]

    def deliver(self, _receiver: int | str, tick: Tick) -> None:
        self.router().on_tick(tick)


@dataclass
class _FromListener:
    listener: FeedShell

    async def subscribe(self, instrument: Instrument, *, armed: bool) -> FeedStatus:
        return self.listener.subscribe(instrument, armed=armed)


@dataclass
class _FromRouter:
    router: Callable[[], RouterShell]

    def when_changed(self, _callback: Callable[[], None]) -> None: ...

    async def watch(
        self, strategy_id: int, _instrument: Instrument, stop_loss: Paise | None, *, yields: bool = False
    ) -> FeedStatus:
        return self.router().watch(strategy_id, stop_loss, yields=yields)

    async def unwatch(self, strategy_id: int, _instrument: Instrument) -> None:
        self.router().unwatch(strategy_id)
