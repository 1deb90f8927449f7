"""Bars become ticks: a bar is walked open, low, high, close, so that a stop-loss within it is touched."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from actors.domain.money import Paise
from actors.replay.bar import Bar


@dataclass(frozen=True, slots=True)
class RecordedTick:
    """One price of the recording, in paise, at its market time. It is known to stand before `until`."""

    at: datetime
    price: Paise
    until: datetime


def walked(bars: Sequence[Bar], spacing: timedelta, closes: datetime) -> list[RecordedTick]:
    """The ticks of bars that begin one after the other.

    A bar lasts `spacing`: less where the next one begins or the session closes before, and up to half as much again
    where the next one is a little late, which is no gap.
    """
    ticks: list[RecordedTick] = []
    followers: Iterable[Bar | None] = (*bars[1:], None)
    for bar, following in zip(bars, followers, strict=True):
        following_at = closes if following is None else following.start
        step = min(spacing, following_at - bar.start) / 4
        end = following_at if following_at - bar.start < spacing * 1.5 else bar.start + spacing
        instants = [bar.start + step * quarter for quarter in range(4)]
        for at, until, price in zip(
            instants, [*instants[1:], end], (bar.open, bar.low, bar.high, bar.close), strict=True
        ):
            ticks.append(RecordedTick(at, price, until))
    return ticks
