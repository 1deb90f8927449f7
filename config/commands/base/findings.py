"""What is found of a deployment, and how bad it is."""

from dataclasses import dataclass
from enum import StrEnum

ROOM_WARNS_BYTES, ROOM_FAILS_BYTES = 1_000_000_000, 200_000_000
"""How much room the embedded parts need for some days, and for the next log of PostgreSQL and of Valkey."""


class Level(StrEnum):
    """How bad a finding is. Anything that fails ends the command with exit code 1."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    level: Level
    sentence: str


def good(subject: str, sentence: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, Level.OK, sentence)


def doubtful(subject: str, sentence: str) -> Finding:
    """It works, and the operator should know."""
    return Finding(subject, Level.WARNING, sentence)


def bad(subject: str, sentence: str) -> Finding:
    """It must be put right."""
    return Finding(subject, Level.FAILURE, sentence)


def judge_room(free_bytes: int) -> Finding:
    """The room that is left on the disk of DATA_DIR: the embedded parts end, or refuse writes, where there is none."""
    said = f"{free_bytes / 1e9:.1f} GB are free on the disk of DATA_DIR"
    if free_bytes < ROOM_FAILS_BYTES:
        return bad("disk", f"{said}: PostgreSQL ends where it has no room, and nothing guards then. Make room")
    if free_bytes < ROOM_WARNS_BYTES:
        return doubtful("disk", f"{said}: make room before it is full")
    return good("disk", said)
