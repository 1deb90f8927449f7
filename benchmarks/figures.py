"""Figures: percentiles, tables, and the file that `make bench` writes."""

import math
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; `share` from 0 to 1."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass
class Row:
    """One way of doing it, and how long it took, in `unit`."""

    name: str
    values: list[float]
    unit: str = "ms"

    def cells(self) -> list[str]:
        """Name, count, p50, p99, p99.9 and the largest."""
        shares = (0.5, 0.99, 0.999)
        return [self.name, str(len(self.values)), *(_short(percentile(self.values, s)) for s in shares),
                _short(max(self.values))]  # fmt: skip


@dataclass
class Figure:
    """One figure. `verdict` compares it with its target, in words."""

    title: str
    target: str
    rows: list[Row] = field(default_factory=list)
    verdict: str = ""
    notes: list[str] = field(default_factory=list)
    plain: list[tuple[str, str]] = field(default_factory=list)
    """Figures that are one number each."""

    def markdown(self) -> str:
        """A section of the report."""
        lines = [f"## {self.title}", "", f"Target: {self.target}. **{self.verdict}**", ""]
        if self.rows:
            unit = self.rows[0].unit
            lines += [f"| {unit} | n | p50 | p99 | p99.9 | max |", "|---|---|---|---|---|---|"]
            lines += ["| " + " | ".join(row.cells()) + " |" for row in self.rows]
            lines += [""]
        if self.plain:
            lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in self.plain), ""]
        return "\n".join([*lines, *(f"{note}\n" for note in self.notes)])


def ratio(theirs: Iterable[float], ours: Iterable[float]) -> str:
    """How many times longer theirs took, by the medians."""
    return f"{statistics.median(theirs) / statistics.median(ours):.1f}x"


def met(*, ok: bool, said: str) -> str:
    """The verdict."""
    return f"{'Met' if ok else 'MISSED'}: {said}."


def machine() -> str:
    """What it was measured on."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())  # fmt: skip
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux, Python {platform.python_version()}"


def report(sections: Sequence[str], taken_at: datetime) -> str:
    """The whole report."""
    head = [
        "# Results of `make bench`",
        "",
        f"Written by `make bench` on {taken_at:%d %B %Y}: {machine()}. All processes of a figure, the exchange and the"
        " load included, share these cores. A figure and what stands beside it were taken in the same run. Instants are"
        " those of the machine's one clock; the exchange stamps what leaves and what arrives. Figures of the tick path"
        " are cold: the market ticks once a second, as Kite sends ticks. Each figure names its target.",
        "",
    ]
    return "\n".join([*head, *sections])


def _short(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
