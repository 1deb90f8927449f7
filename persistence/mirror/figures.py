"""What a process of the engine counts, and how it travels: with its presence, as JSON, to the processes of the API.

Counting costs a dictionary's entry; nothing is sent but every few seconds, and nothing of it is on the way of an order.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from config.metric_names import BY_NAME, SECONDS, Metric

Labels = tuple[str, ...]


class Figures:
    """Counters, gauges and histograms of one process, from its start on."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._histograms: dict[tuple[str, Labels], list[float]] = {}
        self._gauges: dict[tuple[str, Labels], Callable[[], float | None]] = {}

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Raise a counter; `labels` are the values in the metric's order."""
        self._counts[metric.name, labels] += by

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add a time to a histogram."""
        cells = self._histograms.setdefault((metric.name, labels), [0.0] * (len(SECONDS) + 2))
        cells[bisect_left(SECONDS, seconds)] += 1
        cells[-1] += seconds

    def watch(self, metric: Metric, read: Callable[[], float | None], *labels: str) -> None:
        """A gauge: `read` is called when the figures are sent; None: there is nothing to tell now."""
        self._gauges[metric.name, labels] = read

    def as_rows(self) -> list[list[Any]]:
        """Every figure as [name, label values, value]; a histogram's value is its cells and, last, its sum."""
        read_now = ((name, labels, read()) for (name, labels), read in self._gauges.items())
        rows: list[list[Any]] = [[name, list(labels), value] for name, labels, value in read_now if value is not None]
        rows += [[name, list(labels), number] for (name, labels), number in self._counts.items()]
        rows += [[name, list(labels), cells] for (name, labels), cells in self._histograms.items()]
        return rows


def read_rows(rows: object) -> Iterator[tuple[Metric, Labels, float | Sequence[float]]]:
    """The figures of another process; what this version does not know, or cannot read, is left out."""
    for row in rows if isinstance(rows, list) else ():
        try:
            name, labels, value = row
            metric = BY_NAME[name]
            values = tuple(str(label) for label in labels)
            cells = [float(cell) for cell in value] if metric.kind == "histogram" else float(value)
        except (ValueError, TypeError, KeyError):
            continue
        if len(values) == len(metric.labels) and (isinstance(cells, float) or len(cells) == len(SECONDS) + 2):
            yield metric, values, cells
