"""Bars: what a recording consists of."""

from dataclasses import dataclass
from datetime import datetime

from actors.domain.errors import InvalidValue
from actors.domain.money import Paise, to_rupees


@dataclass(frozen=True, slots=True)
class Bar:
    """The trades of one span: prices in paise, the volume in shares if it is known.

    `start` is when the span begins, timezone-aware; how long it lasts is the recording's spacing.

    Raises:
        InvalidValue: no trades can have made such a bar.
    """

    start: datetime
    open: Paise
    high: Paise
    low: Paise
    close: Paise
    volume: int | None = None

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise InvalidValue(f"the high {to_rupees(self.high)} is below the low {to_rupees(self.low)}")
        for name, price in (("open", self.open), ("close", self.close)):
            if not self.low <= price <= self.high:
                raise InvalidValue(
                    f"the {name} {to_rupees(price)} is not between the low {to_rupees(self.low)} "
                    f"and the high {to_rupees(self.high)}"
                )
