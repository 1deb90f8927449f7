"""How prices travel: from the broker to routers, and from routers to strategies."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.prices.tick import Tick


class StreamFault(StrEnum):
    """Why the prices of a stream do not guard a position."""

    UNLISTED = "unlisted"
    """The broker does not list the instrument today."""
    DEAD = "dead"
    """Its connection is dead."""
    LATE = "late"
    """It is too far behind our clock."""
    BEHIND = "behind"
    """It has not reached the instant from which trades count for the stop-loss."""


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """What a router or the feed knows of the stream.

    `last_tick_at` is the exchange time of the instrument's newest trade. Of the connection that it comes on: `lag` is
    how far its stamps are behind our clock, `stream_at` its newest stamp, `late_since` the instant from which its lag
    has been too large, None while it is not. `listed`: False if the broker does not list the instrument today.
    """

    live: bool
    last_tick_at: datetime | None = None
    lag: timedelta | None = None
    stream_at: datetime | None = None
    late_since: datetime | None = None
    listed: bool = True

    def fault(self, watched_since: datetime | None) -> StreamFault | None:
        """What is wrong with it for a stop-loss that is watched since then, by the exchange's clock."""
        if not self.listed:
            return StreamFault.UNLISTED
        if not self.live:
            return StreamFault.DEAD
        if self.late_since is not None:
            return StreamFault.LATE
        behind = watched_since is not None and self.stream_at is not None and self.stream_at < watched_since
        return StreamFault.BEHIND if behind else None


class TooManyInstruments(Exception):
    """The broker's tick stream takes no further instruments."""


class PriceWatch(Protocol):
    """The tick router of one symbol as a strategy sees it."""

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Have the callback called, in the caller's loop, when what `watch` answered is no longer true: renew then."""
        ...

    async def watch(
        self, strategy_id: int, instrument: Instrument, stop_loss: Paise | None, *, yields: bool = False
    ) -> FeedStatus:
        """Follow the price, with or without a stop-loss; renewing is idempotent. Raises PeerUnavailable.

        `yields`: execution watches the stop-loss as well, so that ticks may come a moment later (`HEAD_START_S`).
        """
        ...

    async def unwatch(self, strategy_id: int, instrument: Instrument) -> None:
        """Stop following. Raises PeerUnavailable."""
        ...


class TickSource(Protocol):
    """The market listener as a router sees it."""

    async def subscribe(self, instrument: Instrument, *, armed: bool) -> FeedStatus:
        """Have the ticks of the instrument sent to its router; renewing is idempotent. Raises PeerUnavailable.

        `armed`: a stop-loss is watched, so that it matters if no tick comes.
        """
        ...


class FeedTicks(Protocol):
    """The feed as the second guard sees it: its ticks, without a router in between."""

    def follow(self, broker: str, instrument: Instrument, on_tick: Callable[[Tick], None]) -> None:
        """Have the instrument's ticks, already judged usable, given to the callback; again is nothing new."""
        ...

    def leave(self, broker: str, key: str) -> None:
        """Have them given no longer."""
        ...

    def status(self, broker: str, key: str) -> FeedStatus:
        """What the feed says of the stream that they come on; dead if the feed does not answer."""
        ...


class TickStream(Protocol):
    """The broker's tick stream as the market listener sees it; reconnecting and resubscribing are its own affair."""

    def subscribe(self, token: int) -> int:
        """Have the instrument's ticks sent, in FULL mode, from now on and after each reconnect: on which connection.

        Raises:
            TooManyInstruments: it has no place for one more.
        """
        ...

    def unsubscribe(self, token: int) -> None:
        """Have no further ticks sent."""
        ...


class TickReceiver(Protocol):
    """Where ticks go: to the router of an instrument, or from a router to a strategy. Never waits."""

    def deliver(self, receiver: int | str, tick: Tick) -> None:
        """Hand over one tick; a receiver that is gone loses it."""
        ...


class PriceMirror(Protocol):
    """Where the latest price, and the state of the stream it comes from, are shown (row F4)."""

    def show_price(self, symbol: str, tick: Tick, status: FeedStatus) -> None:
        """Mirror the price and the state; never waits, and a failure only costs freshness."""
        ...

    def show_feed(self, symbol: str, status: FeedStatus) -> None:
        """Mirror whether the symbol's prices arrive, and how late; never waits."""
        ...
