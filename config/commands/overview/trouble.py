"""One thing that is wrong with a deployment, and the words in which it is said."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from api.overview.facts import Facts
from persistence.database.operator_view import RunSeen

RUNBOOK = "docs/operations.md"


class Urgency(IntEnum):
    """How soon a person must act."""

    NOW = 0
    """Money may be at risk."""
    SOON = 1
    NOTE = 2
    """Worth knowing; the verdict does not count it."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong. `do`: what a person does. `anchor`: the heading of the runbook that says more.

    `code` is that of its alert, where there is one.
    """

    code: str
    urgency: Urgency
    sentence: str
    do: str
    anchor: str
    strategy_id: int | None = None

    @property
    def runbook(self) -> str:
        """Where the runbook says more."""
        return f"{RUNBOOK}#{self.anchor}"


def named(run: RunSeen) -> str:
    """A strategy as sentences name it."""
    shares = f", {run.filled} shares" if run.holds and run.filled else ""
    return f"strategy {run.strategy_id} ({run.symbol}{shares}, user {run.user_id})"


def sentence(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def count(number: int, noun: str) -> str:
    """As in `3 positions`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def clock(facts: Facts, instant: datetime) -> str:
    """The time of day at the exchange."""
    return f"{instant.astimezone(facts.at.tzinfo):%H:%M:%S}"
