"""The market listener as a router sees it."""

import asyncio
from dataclasses import dataclass, field

from actors.domain.identifiers import Instrument
from actors.ports.prices import FeedStatus


@dataclass
class FakeTickSource:
    """`TickSource`. `answer` is a status, or what to raise."""

    answer: FeedStatus | Exception = field(default_factory=lambda: FeedStatus(live=True))
    subscribed: list[Instrument] = field(default_factory=list)
    armed: list[bool] = field(default_factory=list)
    hangs: bool = False

    async def subscribe(self, instrument: Instrument, *, armed: bool) -> FeedStatus:
        self.subscribed.append(instrument)
        self.armed.append(armed)
        if self.hangs:
            await asyncio.sleep(3600)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
