"""How long a stream of prices may be silent before it is taken for dead, and a share before its quote is asked for."""

SILENCE_LIMIT_S = 5.0
"""Kite sends a heartbeat every second or two; a stream that is silent for longer is dead (kite.md §5.4)."""

QUIET_LIMIT_S = 15.0
"""A liquid instrument ticks every second, a thin one may be quiet for minutes: after this long, ask for its quote."""


def is_quiet(followed_since: float, last_tick_at: float | None, now: float) -> bool:
    """Whether an instrument has been without a tick for long enough to ask for a quote.

    Times are those of arrival, in seconds of the monotonic clock.
    """
    return now - max(followed_since, last_tick_at or followed_since) > QUIET_LIMIT_S
