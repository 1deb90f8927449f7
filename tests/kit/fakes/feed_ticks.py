"""The feed as the second guard sees it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus
from tests.kit.builders import INFY


@dataclass
class FakeFeedTicks:
    """`FeedTicks`: `tick` hands a trade to the guard that follows the instrument."""

    live: bool = True
    followed: dict[str, Callable[[Tick], None]] = field(default_factory=dict)

    def follow(self, broker: str, instrument: Instrument, on_tick: Callable[[Tick], None]) -> None:
        self.followed.setdefault(instrument.key, on_tick)

    def leave(self, broker: str, key: str) -> None:
        self.followed.pop(key, None)

    def status(self, broker: str, key: str) -> FeedStatus:
        return FeedStatus(self.live and key in self.followed)

    def tick(self, price: Paise, at: datetime) -> None:
        """A trade of INFY at this instant."""
        self.followed[INFY.key](self.a_tick(price, at))

    @staticmethod
    def a_tick(price: Paise, at: datetime) -> Tick:
        """A trade of INFY, as the feed hands it on."""
        return Tick.single(INFY.token, price, at, at)
