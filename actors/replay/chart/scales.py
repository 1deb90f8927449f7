"""From times and prices to places in a picture, and the round values that its axes name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.domain.money import Paise

_PRICE_STEPS = tuple(figure * 10**power for power in range(9) for figure in (1, 2, 5))
_TIME_STEPS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 10, 15, 30, 60, 120, 180))


@dataclass(frozen=True, slots=True)
class Scales:
    """The plot's rectangle, in the picture's units, and what its edges stand for."""

    left: float
    top: float
    width: float
    height: float
    begins: datetime
    ends: datetime
    lowest: Paise
    highest: Paise

    def x(self, at: datetime) -> float:
        """Where a time is, no further than the edges."""
        share = (at - self.begins) / (self.ends - self.begins)
        return self.left + self.width * min(max(share, 0.0), 1.0)

    def y(self, price: Paise) -> float:
        """Where a price is, no further than the edges."""
        share = (self.highest - price) / (self.highest - self.lowest)
        return self.top + self.height * min(max(share, 0.0), 1.0)

    def round_prices(self, most: int) -> Sequence[Paise]:
        """At most `most` round prices between the edges."""
        step = next((s for s in _PRICE_STEPS if (self.highest - self.lowest) / s <= most), _PRICE_STEPS[-1])
        first = -(-self.lowest // step) * step
        return range(first, self.highest + 1, step)

    def round_times(self, most: int) -> Sequence[datetime]:
        """At most `most` full minutes, quarters or hours between the edges."""
        step = next((s for s in _TIME_STEPS if (self.ends - self.begins) / s <= most), _TIME_STEPS[-1])
        midnight = self.begins.replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + -(-(self.begins - midnight) // step) * step
        times = []
        while at <= self.ends:
            times.append(at)
            at += step
        return times
