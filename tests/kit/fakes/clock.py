"""A wall clock that is moved by hand; `tests.kit.virtual_time` has the one of a loop."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass
class ManualWallClock:
    """`Clock` for shells without a loop: stands still until it is moved."""

    at: datetime
    uptime: float = 1000.0

    def now(self) -> datetime:
        """The instant it was set to."""
        return self.at

    def monotonic(self) -> float:
        """Seconds that `advance` counts, and `step` does not."""
        return self.uptime

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.at += timedelta(seconds=seconds)
        self.uptime += seconds

    def step(self, by: timedelta) -> None:
        """Set the wall clock, as NTP or an operator may; no time passes by that."""
        self.at += by
