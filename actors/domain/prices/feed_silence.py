"""How long a stream of prices may be silent before it is taken for dead, and a share before its quote is asked for."""

from datetime import datetime, timedelta

SILENCE_LIMIT = timedelta(seconds=5)
"""Kite sends a heartbeat every second or two; a stream that is silent for longer is dead (kite.md §5.4)."""

QUIET_LIMIT = timedelta(seconds=15)
"""A liquid instrument ticks every second, a thin one may be quiet for minutes: after this long, ask for its quote."""


def is_quiet(followed_since: datetime, last_tick_at: datetime | None, now: datetime) -> bool:
    """Whether an instrument has been without a tick for long enough to ask for a quote; times are those of arrival."""
    return now - max(followed_since, last_tick_at or followed_since) > QUIET_LIMIT
