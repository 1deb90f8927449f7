"""The wall clock of this machine. The only place of the engine that reads it."""

from datetime import UTC, datetime


class SystemClock:
    """`Clock` over the operating system."""

    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.now(UTC)
