"""The wall clock of this machine. The only place of the engine that reads it."""

import time
from datetime import UTC, datetime


class SystemClock:
    """`Clock` over the operating system."""

    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that no step of the wall clock touches."""
        return time.monotonic()
