"""Where prices come from, pure: each source is a list of steps in time, made on demand.

Times are seconds since the source was put in place, prices are paise. A source has no clock of its own, so that the
same seed or file gives the same prices in every run.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from broker.paper.base.amounts import paise_of
from broker.paper.base.clock import IST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

WALK_BAND = 0.10  # a random walk stays within 10 % of where it began, like a share within its circuit limits


class PriceSource(Protocol):
    """A price path; ``silent`` ones publish only when the price moves, like a thinly traded share."""

    silent: bool

    def next_due(self) -> float | None:
        """When the next step is due; ``None`` when the price will not move again by itself."""

    def step(self) -> int:
        """Take that step and return the new price."""


class HoldSource:
    """A constant price, moved by the control API only."""

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent

    def next_due(self) -> float | None:
        """Never."""
        return None

    def step(self) -> int:
        """Not reachable while ``next_due`` is ``None``."""
        raise LookupError("a held price has no steps")


class StepsSource:
    """Given steps: a script, or a recorded day."""

    def __init__(self, steps: Iterable[tuple[float, int]], *, silent: bool = False) -> None:
        self.silent = silent
        self._steps = sorted(steps, key=lambda step: step[0])
        self._next = 0

    def next_due(self) -> float | None:
        """When the next step is due; after the last one the price stays."""
        return self._steps[self._next][0] if self._next < len(self._steps) else None

    def step(self) -> int:
        """Take the next step."""
        self._next += 1
        return self._steps[self._next - 1][1]


class WalkSource:
    """A seeded random walk on the instrument's tick grid."""

    def __init__(self, seed: str, start_paise: int, tick_paise: int, volatility: float, step_seconds: float) -> None:
        self.silent = False
        # Reproducible prices are wanted here, not unpredictable ones.
        self._random = random.Random(seed)  # noqa: S311
        self._price = start_paise
        self._tick = tick_paise
        self._volatility = volatility
        self._low = max(int(start_paise * (1 - WALK_BAND)), tick_paise)
        self._high = int(start_paise * (1 + WALK_BAND))
        self._step_seconds = step_seconds
        self._steps = 0

    def next_due(self) -> float | None:
        """One step per tick interval, without end."""
        return (self._steps + 1) * self._step_seconds

    def step(self) -> int:
        """Move by a normally distributed share of the price, at least on the grid and within the band."""
        self._steps += 1
        move = self._random.gauss(0, self._volatility) * self._price
        price = round((self._price + move) / self._tick) * self._tick
        self._price = max(self._low, min(self._high, price))
        return self._price


@dataclass(frozen=True)
class Bar:
    """One recorded minute; prices in paise."""

    start: datetime
    open: int
    high: int
    low: int
    close: int


def read_bars(path: Path) -> list[Bar]:
    """Bars of a CSV with the columns ``time_ist,open,high,low,close,volume`` (rupees, ISO times)."""
    with path.open(newline="", encoding="utf-8") as lines:
        return [
            Bar(
                datetime.fromisoformat(row["time_ist"]).astimezone(IST),
                *(paise_of(row[name]) for name in ("open", "high", "low", "close")),
            )
            for row in csv.DictReader(lines)
        ]


def recorded_steps(bars: Sequence[Bar], start_at: str, speed: float) -> list[tuple[float, int]]:
    """Steps of a recorded day from market time ``start_at`` (``HH:MM``), ``speed`` times as fast as it was.

    A bar is walked open, low, high, close, a quarter of a minute each: the low comes before the high, so that a
    stop is tested before a recovery could hide it.
    """
    if not bars or speed <= 0:
        raise ValueError("a recorded source needs bars and a speed above 0")
    hour, minute = (int(part) for part in start_at.split(":")[:2])
    begin = bars[0].start.replace(hour=hour, minute=minute, second=0)
    steps = []
    for bar in bars:
        offset = (bar.start - begin).total_seconds()
        prices = (bar.open, bar.low, bar.high, bar.close)
        steps += [((offset + 15 * i) / speed, price) for i, price in enumerate(prices) if offset >= 0]
    return steps
