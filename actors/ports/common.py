"""What every shell needs of the world, and how another actor may fail it."""

from datetime import datetime
from typing import Protocol


class PeerUnavailable(Exception):
    """The actor on the other side died or is starting; what it was asked may or may not have been done."""


class EntryRefused(Exception):
    """The journal cannot store what it was given, for its content. Given again as it is, it is refused again."""


class StaleEpoch(Exception):
    """A newer incarnation of this strategy is at work; this one must stop."""


class Alerts(Protocol):
    """Where the operator, and the user whom it concerns, hear of what needs a person."""

    def alert(self, user_id: int, strategy_id: int, code: str, message: str) -> None:
        """Let them know, and the log; 0 where no user or no strategy is concerned. Never waits."""
        ...


class Clock(Protocol):
    """The wall clock, in UTC, and one that is never set. Shells read time from here only."""

    def now(self) -> datetime:
        """The present instant, timezone-aware. NTP or an operator may set it forward or back."""
        ...

    def monotonic(self) -> float:
        """Seconds since some instant of the past: how long something has lasted, however the wall clock is set."""
        ...
