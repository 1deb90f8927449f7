"""Whether the broker lists an instrument today, and which day its token is of: brokers give tokens again."""

from dataclasses import dataclass
from datetime import date

_TIMES_ABSENT = 2
"""How many answers without an instrument prove that the broker does not list it: one may be incomplete."""


@dataclass(slots=True)
class Listing:
    """What the broker's answers say of one instrument. `token_of`: the day that its token is of."""

    token_of: date | None = None
    absent: int = 0

    @property
    def listed(self) -> bool:
        """Whether the broker lists it."""
        return self.absent < _TIMES_ABSENT

    def is_confirmed(self, day: date) -> bool:
        """Whether its token was looked up on this day, and found."""
        return self.token_of == day and self.listed

    def not_found(self) -> bool:
        """An answer is without it. Whether that proves, just now, that it is not listed."""
        self.absent += 1
        return self.absent == _TIMES_ABSENT

    def found(self, day: date) -> bool:
        """An answer has it. Whether it is listed again."""
        back, self.absent, self.token_of = not self.listed, 0, day
        return back
