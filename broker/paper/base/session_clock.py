"""The session's own time: that of the exchange, or a day of its own that passes at a pace of its own.

Stamps, prices and orders keep the exchange's clock. So a whole trading day can pass in minutes before a client whose
clock is the machine's, and that judges stamps by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.paper.base.clock import Cancellable, Clock


class SessionClock:
    """What time it is in the session."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_ns = self._began_ns = 0
        self._factor = 1.0
        self._is_own = False

    @property
    def is_own(self) -> bool:
        """Whether it differs from the exchange's clock."""
        return self._is_own

    def now_ns(self) -> int:
        """Session time, nanoseconds since the epoch."""
        now_ns = self._clock.now_ns()
        return self._began_ns + int((now_ns - self._since_ns) * self._factor) if self._is_own else now_ns

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Cancellable:
        """Run ``callback`` once, ``seconds`` of the session from now."""
        return self._clock.call_later(seconds / self._factor, callback)

    def run(self, began_ns: int, factor: float, since_ns: int) -> None:
        """It was ``began_ns`` when the exchange's clock said ``since_ns``, and passes ``factor`` times as fast."""
        self._is_own, self._began_ns, self._since_ns, self._factor = True, began_ns, since_ns, factor

    def release(self) -> None:
        """Go with the exchange's clock again."""
        self._is_own, self._factor = False, 1.0
