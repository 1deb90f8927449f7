"""Hand-written fakes of the ports that prices travel through, and a clock that is moved by hand."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from actors.domain.identifiers import Instrument
from actors.domain.prices.stop_loss import Tick
from actors.ports.prices import FeedStatus


@dataclass
class FakeTickReceiver:
    """`TickReceiver`: every delivery, in its order."""

    delivered: list[tuple[int | str, Tick]] = field(default_factory=list)

    def deliver(self, receiver: int | str, tick: Tick) -> None:
        """See `TickReceiver.deliver`."""
        self.delivered.append((receiver, tick))


@dataclass
class FakePriceMirror:
    """`PriceMirror`."""

    shown: list[tuple[str, Tick]] = field(default_factory=list)
    feed: list[tuple[str, bool]] = field(default_factory=list)
    statuses: list[FeedStatus] = field(default_factory=list)

    def show_price(self, symbol: str, tick: Tick, status: FeedStatus) -> None:
        """See `PriceMirror.show_price`."""
        self.shown.append((symbol, tick))
        self.statuses.append(status)

    def show_feed(self, symbol: str, status: FeedStatus) -> None:
        """See `PriceMirror.show_feed`."""
        self.feed.append((symbol, status.live))
        self.statuses.append(status)


@dataclass
class FakeTickSource:
    """`TickSource`. `answer` is a status, or what to raise."""

    answer: FeedStatus | Exception = field(default_factory=lambda: FeedStatus(live=True))
    subscribed: list[Instrument] = field(default_factory=list)
    armed: list[bool] = field(default_factory=list)
    hangs: bool = False

    async def subscribe(self, instrument: Instrument, *, armed: bool) -> FeedStatus:
        """See `TickSource.subscribe`."""
        self.subscribed.append(instrument)
        self.armed.append(armed)
        if self.hangs:
            await asyncio.sleep(3600)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class FakeTickStream:
    """`TickStream`, with so many instruments on each connection."""

    most_instruments: int = 3000
    subscribed: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def subscribe(self, token: int) -> int:
        """See `TickStream.subscribe`."""
        self.asked.append(token)
        if token not in self.subscribed:
            self.subscribed.append(token)
        return self.subscribed.index(token) // self.most_instruments

    def unsubscribe(self, token: int) -> None:
        """See `TickStream.unsubscribe`."""
        self.subscribed.remove(token)


@dataclass
class ManualWallClock:
    """`Clock` for shells without a loop: stands still until it is moved."""

    at: datetime

    def now(self) -> datetime:
        """The instant it was set to."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.at += timedelta(seconds=seconds)
