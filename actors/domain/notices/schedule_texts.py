"""The sentences of notices about schedules (row N4): what will not be traded, on which day, and why.

`shares` names the strategy, `day` and `at` are of the exchange's time zone.
"""

from datetime import date, datetime

from actors.domain.notices.texts import sentence


def not_armed(shares: str, at: datetime, reason: str, until: datetime) -> str:
    """The strategy could not be started for this day so far."""
    again = f"It is tried again until {until:%H:%M:%S}."
    return " ".join(filter(None, (f"{shares} is not armed for {_text(at)}.", sentence(reason), again)))


def armed_now(shares: str, at: datetime) -> str:
    """It was started after all."""
    return f"{shares} is armed for {_text(at)} now."


def missed(shares: str, at: datetime, reason: str) -> str:
    """Nothing was bought on this day, and nothing will be on another one in its place."""
    what = f"Missed: {shares} was not started for {_text(at)}."
    return " ".join(filter(None, (what, sentence(reason), "Nothing was bought.")))


def left_out(shares: str, day: date, reason: str) -> str:
    """The day is left out, and there was no fault."""
    return f"{shares} does not trade on {day:%A, %Y-%m-%d}: {reason.rstrip('.')}."


def paused_itself(shares: str, days: int) -> str:
    """The schedule has stopped itself after some bad days."""
    return (
        f"{shares}: its schedule is paused, since {days} days in a row failed or were missed. "
        "Resume it when the reason is mended."
    )


def restored(shares: str) -> str:
    """The schedule is that of a backup."""
    return (
        f"{shares}: TradeActors was restored from a backup, and its schedule is as it was then. "
        "Look at it, and pause or delete it if you had done so."
    )


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"
