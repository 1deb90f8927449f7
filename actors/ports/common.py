"""What every shell needs of the world, and how another actor may fail it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

CALM = timedelta(minutes=2)
"""How long a trouble must be gone before it is called over: what comes and goes makes one pair of notices in that
time."""


class PeerUnavailable(Exception):
    """The actor on the other side died or is starting; what it was asked may or may not have been done."""


class EntryRefused(Exception):
    """The journal cannot store what it was given, for its content. Given again as it is, it is refused again."""


class StaleEpoch(Exception):
    """A newer incarnation of this strategy is at work; this one must stop."""


class Alerts(Protocol):
    """Where the operator, and the user whom it concerns, hear of what needs a person."""

    def alert(self, user_id: int, strategy_id: int, code: str, message: str, about: str = "") -> None:
        """Let them know, and the log; 0 where no user or no strategy is concerned. Never waits.

        `about` names what the alert is about, such as `run:5`: the user hears once of one code about one thing.
        """
        ...

    def alert_over(self, user_id: int, strategy_id: int, codes: Sequence[str], about: str = "") -> None:
        """The troubles of these alerts are over, or there are none: a user who heard of one hears it. Never waits."""
        ...


class Clock(Protocol):
    """The wall clock, in UTC, and one that is never set. Shells read time from here only."""

    def now(self) -> datetime:
        """The present instant, timezone-aware. NTP or an operator may set it forward or back."""
        ...

    def monotonic(self) -> float:
        """Seconds since some instant of the past: how long something has lasted, however the wall clock is set."""
        ...
