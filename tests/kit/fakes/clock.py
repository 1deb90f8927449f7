"""A wall clock that is moved by hand; `tests.kit.virtual_time` has the one of a loop."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass
class ManualWallClock:
    """`Clock` for shells without a loop: stands still until it is moved."""

    at: datetime

    def now(self) -> datetime:
        """The instant it was set to."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.at += timedelta(seconds=seconds)
