"""The circuit limits of a share, between which it may trade today (kite.md §7.4)."""

from dataclasses import dataclass

from actors.domain.errors import InvalidValue
from actors.domain.money import Paise


@dataclass(frozen=True, slots=True)
class PriceBand:
    """The prices between which an instrument may trade today, and its last price, in paise."""

    lower: Paise
    upper: Paise
    last: Paise

    def __post_init__(self) -> None:
        if not 0 < self.lower <= self.upper or self.last <= 0:
            raise InvalidValue(f"a price band of {self.lower} to {self.upper} at {self.last} makes no sense")

    @property
    def without_buyers(self) -> bool:
        """Whether it trades at its lower circuit."""
        return self.last <= self.lower


def names_circuit(reason: str) -> bool:
    """Whether a refusal of the broker is about the circuit limits of the share."""
    return "circuit" in reason.lower()
