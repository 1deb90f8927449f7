"""How moves of the stop-loss are logged: at most once a second, and before anything else is logged.

Each move counts at once. A stop-loss that is dragged along a chart moves many times a second, and the order log keeps
each line for years: the last level of a second has a line, and so has the level at which anything is sold.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.domain.money import Paise

MOVE_LOG_PAUSE = timedelta(seconds=1)
"""Between two lines about moves of the stop-loss."""


@dataclass(frozen=True, slots=True)
class StopMoveLog:
    """What the log knows. `level`: the level there, while it has no line of a later move; `at`: when the last line of a
    move was written, if this incarnation has written one."""

    level: Paise | None = None
    at: datetime | None = None

    def next_line_at(self, now: datetime) -> datetime | None:
        """Until when the next line waits; None if it is due."""
        if self.at is None or not self.at <= now < self.at + MOVE_LOG_PAUSE:  # a clock may be set back
            return None
        return self.at + MOVE_LOG_PAUSE


NO_MOVES = StopMoveLog()
"""Of a stop-loss that was not moved."""
