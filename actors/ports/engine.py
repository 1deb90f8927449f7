"""The engine, for the API."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class EngineUnavailable(Exception):
    """The engine does not answer. What the database says stays true, and the next recovery sweep carries it out."""


@dataclass(frozen=True, slots=True)
class StopResult:
    """What a STOP came to.

    `flat`: nothing is open any more and the run is recorded as ended; otherwise the exit is still working. `status`:
    fields of `runtime:{id}` in their text forms (`persistence.mirror.mirror`) that are newer than the database.
    """

    flat: bool
    status: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WordTaken:
    """The result of a trader's word about his shares.

    `done`: it was carried out. Otherwise the account contradicts it, or there was nothing to say it of: `held` are the
    shares of this run that it shows, None if the strategy holds nothing to speak of.
    """

    done: bool
    held: int | None = None


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """One recovery sweep: open runs found, and the results."""

    found: int
    recovered: int
    failed: int = 0
