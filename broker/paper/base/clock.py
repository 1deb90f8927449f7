"""Time for the exchange: wall clock stamps, delayed callbacks, and Kite's naive IST texts."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Protocol

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


class ExchangeClock:
    """The exchange's clock: the machine's own until a test sets it, and from then on what the test made of it.

    Timers count exchange seconds: they follow the pace and the jumps. Call it from one event loop only.
    """

    def __init__(self) -> None:
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _Timer]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._factor = 1.0
        self._is_set = False
        # Both readings at the last change of pace or time, and the machine's monotonic clock then.
        self._anchor = time.monotonic()
        self._seconds = self._anchor
        self._wall_ns = 0

    @property
    def factor(self) -> float:
        """Exchange seconds in a second of the machine."""
        return self._factor

    @property
    def is_set(self) -> bool:
        """Whether it goes its own way, and not with the machine's wall clock."""
        return self._is_set

    def now_ns(self) -> int:
        """Wall clock, nanoseconds since the Unix epoch."""
        if not self._is_set:
            return time.time_ns()
        return self._wall_ns + int((time.monotonic() - self._anchor) * self._factor * NANOSECONDS)

    def monotonic(self) -> float:
        """Exchange seconds of a clock that never steps back."""
        return self._seconds + (time.monotonic() - self._anchor) * self._factor

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Cancellable:
        """Run ``callback`` once on the event loop, ``seconds`` of the exchange from now."""
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self.monotonic() + max(seconds, 0), next(self._order), timer))
        self._set_alarm()
        return timer

    def run_at(self, factor: float) -> None:
        """Go `factor` times as fast as the machine's clock from now on."""
        self._anchor_here(self.now_ns())
        self._factor = factor
        self._set_alarm()

    def set(self, now_ns: int) -> None:
        """Set the wall clock, forward or back, as an operator would; no time passes by that, so no timer runs."""
        self._anchor_here(now_ns)
        self._set_alarm()

    def jump(self, seconds: float) -> None:
        """Let time pass at once. Timers on the way run in their order, each at its own instant."""
        target = self.monotonic() + seconds
        while self._timers and self._timers[0][0] <= target:
            due, _, timer = heapq.heappop(self._timers)
            self._skip(due - self.monotonic())
            timer.run()
        self._skip(target - self.monotonic())
        self._set_alarm()

    def release(self) -> None:
        """Go with the machine's clock again, at its pace."""
        self._anchor_here(0)
        self._factor, self._is_set = 1.0, False
        self._set_alarm()

    def to_record(self) -> dict[str, Any]:
        """The clock as the journal keeps it."""
        return {"is_set": self._is_set, "now_ns": self.now_ns(), "machine_ns": time.time_ns(), "factor": self._factor}

    def restore(self, record: dict[str, Any]) -> None:
        """Go on as if the process had never ended."""
        if not record["is_set"]:
            self.release()
            return
        away_ns = max(time.time_ns() - record["machine_ns"], 0)
        self.set(record["now_ns"] + int(away_ns * record["factor"]))
        self.run_at(record["factor"])

    def _anchor_here(self, now_ns: int) -> None:
        seconds = self.monotonic()
        self._anchor, self._seconds, self._wall_ns = time.monotonic(), seconds, now_ns
        self._is_set = True

    def _skip(self, seconds: float) -> None:
        if seconds <= 0:
            return
        if not self._is_set:
            self._anchor_here(time.time_ns())
        self._seconds += seconds
        self._wall_ns += int(seconds * NANOSECONDS)

    def _run_due(self) -> None:
        self._alarm = None
        # What falls due while these run waits for the loop's next turn: at a pace that the machine cannot keep,
        # requests must still be served in between.
        until = self.monotonic()
        try:
            while self._timers and self._timers[0][0] <= until:
                heapq.heappop(self._timers)[2].run()
        finally:
            # A callback that raises is reported by the loop; the others must not wait without end because of it.
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._timers:
            delay = max(self._timers[0][0] - self.monotonic(), 0) / self._factor
            self._alarm = asyncio.get_running_loop().call_later(delay, self._run_due)


class _Timer:
    """A callback that runs once, unless it is called off."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self._callback = None

    def run(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


def ist(epoch_ns: int) -> datetime:
    """The instant in Indian Standard Time."""
    return datetime.fromtimestamp(epoch_ns // NANOSECONDS, tz=UTC).astimezone(IST)


def ist_text(epoch_ns: int) -> str:
    """Kite's REST timestamp, ``YYYY-MM-DD HH:MM:SS`` in IST without an offset."""
    return ist(epoch_ns).strftime("%Y-%m-%d %H:%M:%S")


def ist_date(epoch_ns: int) -> str:
    """The trading date in IST, ``YYYY-MM-DD``."""
    return ist(epoch_ns).strftime("%Y-%m-%d")
