"""A tick router as a strategy sees it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.ports.common import Clock, PeerUnavailable
from actors.ports.prices import FeedStatus


@dataclass
class FakePriceWatch:
    """`PriceWatch`. `answer` is a status, or what to raise; `seen` holds the instant and level of each renewal."""

    clock: Clock
    answer: FeedStatus | Exception = field(default_factory=lambda: FeedStatus(live=True))
    trace: list[str] = field(default_factory=list)
    seen: list[tuple[datetime, Paise | None]] = field(default_factory=list)
    unwatched: list[int] = field(default_factory=list)
    changed: Callable[[], None] = lambda: None

    def when_changed(self, callback: Callable[[], None]) -> None:
        self.changed = callback

    async def watch(
        self, strategy_id: int, instrument: Instrument, stop_loss: Paise | None, *, yields: bool = False
    ) -> FeedStatus:
        self.trace.append("watch")
        self.seen.append((self.clock.now(), stop_loss))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def unwatch(self, strategy_id: int, instrument: Instrument) -> None:
        if isinstance(self.answer, PeerUnavailable):
            raise self.answer
        self.unwatched.append(strategy_id)
