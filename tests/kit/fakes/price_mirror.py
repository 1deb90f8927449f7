"""Where prices are shown."""

from dataclasses import dataclass, field

from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus


@dataclass
class FakePriceMirror:
    """`PriceMirror`."""

    shown: list[tuple[str, Tick]] = field(default_factory=list)
    feed: list[tuple[str, bool]] = field(default_factory=list)
    statuses: list[FeedStatus] = field(default_factory=list)

    def show_price(self, symbol: str, tick: Tick, status: FeedStatus) -> None:
        self.shown.append((symbol, tick))
        self.statuses.append(status)

    def show_feed(self, symbol: str, status: FeedStatus) -> None:
        self.feed.append((symbol, status.live))
        self.statuses.append(status)
