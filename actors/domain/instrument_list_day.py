"""The day of the broker's instrument list: instrument tokens are good for one (kite.md §1.4)."""

from datetime import date, datetime, timedelta, timezone

INDIA = timezone(timedelta(hours=5, minutes=30), "IST")
"""The exchange's time: India has no summer time."""

TOKENS_READY = timedelta(hours=8, minutes=45)
"""After midnight IST: the tokens of the day are out (about 08:30), and no session has begun."""


def list_day(now: datetime) -> date:
    """The day of the list whose instrument tokens hold at this instant."""
    return (now.astimezone(INDIA) - TOKENS_READY).date()
