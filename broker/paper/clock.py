"""Time for the exchange: wall clock stamps, delayed callbacks, and Kite's naive IST texts."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

NANOSECONDS = 1_000_000_000
# A fixed offset is exact: India has kept UTC+05:30 without daylight saving since 1945.
IST = timezone(timedelta(hours=5, minutes=30))


class Cancellable(Protocol):
    """A scheduled callback that can still be called off."""

    def cancel(self) -> None:
        """Keep the callback from running; harmless once it has run."""


class Clock(Protocol):
    """What the order book and the market need of time; tests pass one that they move by hand."""

    def now_ns(self) -> int:
        """Wall clock, nanoseconds since the Unix epoch."""

    def monotonic(self) -> float:
        """Seconds of a clock that never steps back."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Cancellable:
        """Run ``callback`` once, ``seconds`` from now."""


class LoopClock:
    """The real clock, with callbacks on the running asyncio loop."""

    def now_ns(self) -> int:
        """Wall clock, nanoseconds since the Unix epoch."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds of a clock that never steps back."""
        return time.monotonic()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Cancellable:
        """Run ``callback`` once on the event loop, ``seconds`` from now."""
        return asyncio.get_running_loop().call_later(seconds, callback)


def _ist(epoch_ns: int) -> datetime:
    return datetime.fromtimestamp(epoch_ns // NANOSECONDS, tz=UTC).astimezone(IST)


def ist_text(epoch_ns: int) -> str:
    """Kite's REST timestamp, ``YYYY-MM-DD HH:MM:SS`` in IST without an offset."""
    return _ist(epoch_ns).strftime("%Y-%m-%d %H:%M:%S")


def ist_date(epoch_ns: int) -> str:
    """The trading date in IST, ``YYYY-MM-DD``."""
    return _ist(epoch_ns).strftime("%Y-%m-%d")
