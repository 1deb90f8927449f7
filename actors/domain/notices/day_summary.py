"""The summary of a trader's day, made after the close (row N1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal

from actors.domain.notices.texts import signed
from actors.domain.session import SessionHours

AFTER_CLOSE = timedelta(minutes=15)
"""How long after the close of the last session the summary is made: the last exits are recorded by then."""

ALWAYS_OPEN_AT = time(23, 50)
"""When it is made for an exchange that never closes."""


@dataclass(frozen=True, slots=True)
class DayRun:
    """One run of the day. `bought`: shares that were filled; `result`: before charges, None while it is not known."""

    is_over: bool
    bought: int
    result: Decimal | None


def due_at(day: date, sessions: Sequence[SessionHours], zone: tzinfo, *, never_closes: bool) -> datetime | None:
    """When the summary of a day is made; None for a day without a session."""
    if never_closes:
        return datetime.combine(day, ALWAYS_OPEN_AT, zone)
    if not sessions:
        return None
    return datetime.combine(day, max(session.closes for session in sessions), zone) + AFTER_CLOSE


def summary(runs: Iterable[DayRun], *, closed_tomorrow: bool) -> str:
    """What the day has come to; empty if nothing was to be traded. Unknown is said as unknown."""
    runs = list(runs)
    traded = [run for run in runs if run.bought]
    over = [run for run in traded if run.is_over]
    known = [run.result for run in over if run.result is not None]
    parts = []
    if over:
        parts.append(f"{len(over)} {_s('trade', len(over))}")
        if known:
            parts[-1] += f", {signed(sum(known, Decimal(0)))} before charges"
        if len(known) < len(over):
            unknown = len(over) - len(known)
            parts.append(f"the result of {unknown} is not known" if known else "the result is not known")
    if still := len(traded) - len(over):
        parts.append(f"{still} still open")
    if missed := sum(1 for run in runs if not run.bought and run.is_over):
        parts.append(f"{missed} not bought")
    if not parts:
        return ""
    tomorrow = " Tomorrow the exchange is closed." if closed_tomorrow else ""
    return f"Today: {'; '.join(parts)}.{tomorrow}"


def _s(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"
