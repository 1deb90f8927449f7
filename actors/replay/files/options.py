"""What the user says about his file."""

from dataclasses import dataclass
from datetime import date, tzinfo
from enum import StrEnum

from actors.domain.session import SessionHours
from broker.exchange_time import IST


class Stamps(StrEnum):
    """Which end of a bar its time is."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """`day`: which one, if the file holds several. `zone`: of times without an offset. `stamps`: None to judge by the
    first and the last bar. `session`: None for the regular one. `symbol`: which one, if the file holds several.
    `today`: the day of the machine's clock, after which no recording can be; None if that is not to be looked at.
    """

    day: date | None = None
    zone: tzinfo = IST
    stamps: Stamps | None = None
    session: SessionHours | None = None
    symbol: str | None = None
    today: date | None = None
