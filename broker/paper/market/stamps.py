"""Lagging and standing stamps: what time ticks say it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.paper.base.clock import NANOSECONDS


@dataclass(frozen=True)
class Stamping:
    """How ticks are stamped.

    ``lag_seconds``: so far behind the clock, or ahead of it when negative. ``frozen_ns``: every tick says this instant.
    ``quotes_too``: quotes over REST have the same stamps; otherwise those are true.
    """

    lag_seconds: float = 0
    frozen_ns: int | None = None
    quotes_too: bool = False

    def tick_ns(self, wall_ns: int) -> int:
        """What a tick made at ``wall_ns`` says."""
        return wall_ns - int(self.lag_seconds * NANOSECONDS) if self.frozen_ns is None else self.frozen_ns


@dataclass
class Stamps:
    """The stamping of the whole feed, and of single instruments (by token), which goes before it."""

    feed: Stamping = Stamping()
    instruments: dict[int, Stamping] = field(default_factory=dict)

    def of(self, token: int, wall_ns: int) -> tuple[int, int]:
        """The stamps of a tick and of a quote made at ``wall_ns``."""
        stamping = self.instruments.get(token, self.feed)
        tick_ns = stamping.tick_ns(wall_ns)
        return tick_ns, tick_ns if stamping.quotes_too else wall_ns
