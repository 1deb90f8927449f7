"""Hand-written fakes of the ports that prices travel through, and a clock that is moved by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from actors.domain.identifiers import Instrument
from actors.domain.stop_loss import Tick
from actors.ports import (
    FeedStatus,
)


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

    def show_price(self, symbol: str, tick: Tick) -> None:
        """See `PriceMirror.show_price`."""
        self.shown.append((symbol, tick))


@dataclass
class FakeTickSource:
    """`TickSource`. `answer` is a status, or what to raise."""

    answer: FeedStatus | Exception = field(default_factory=lambda: FeedStatus(live=True))
    subscribed: list[Instrument] = field(default_factory=list)

    async def subscribe(self, instrument: Instrument) -> FeedStatus:
        """See `TickSource.subscribe`."""
        self.subscribed.append(instrument)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class FakeTickStream:
    """`TickStream`."""

    subscribed: list[int] = field(default_factory=list)

    def subscribe(self, tokens: Sequence[int]) -> None:
        """See `TickStream.subscribe`."""
        self.subscribed += tokens


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
