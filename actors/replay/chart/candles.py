"""Bars joined into as many candles as a picture has room for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.domain.money import Paise
from actors.replay.bar import Bar

_WIDTHS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 3, 5, 10, 15, 30, 60, 120))


@dataclass(frozen=True, slots=True)
class Candle:
    """The prices of some bars, in paise; `begins` and `ends` are the span that it stands for."""

    begins: datetime
    ends: datetime
    open: Paise
    high: Paise
    low: Paise
    close: Paise

    @property
    def rises(self) -> bool:
        """Whether its last price is its first or above."""
        return self.close >= self.open


def candles_of(bars: Sequence[Bar], spacing: timedelta, most: int) -> list[Candle]:
    """At most `most` candles of equal width, as far as the widest reaches. A gap stays empty."""
    opens, length = bars[0].start, bars[-1].start + spacing - bars[0].start
    fitting = [width for width in _WIDTHS if width >= spacing and length / width <= most]
    width = fitting[0] if fitting else max(_WIDTHS[-1], spacing)
    groups: dict[int, list[Bar]] = {}
    for bar in bars:
        groups.setdefault((bar.start - opens) // width, []).append(bar)
    return [
        Candle(
            begins=opens + number * width,
            ends=opens + (number + 1) * width,
            open=group[0].open,
            high=max(bar.high for bar in group),
            low=min(bar.low for bar in group),
            close=group[-1].close,
        )
        for number, group in groups.items()
    ]
