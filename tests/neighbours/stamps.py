"""Where the time of a STOP goes: arithmetic over the stamps of order log, audit log, exchange and kernel.

All of them are of the machine's one clock; nanoseconds since the epoch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import median

STOP_P99_S, STOP_LOSS_RATIO, LOGIN_S = 0.300, 1.5, 2.0
"""The targets: STOP's p99, the stop-loss beside the noise over that alone (medians), and the slowest login."""


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; `share` from 0 to 1."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class StopStamps:
    """The instants of one STOP of a held position, in their order; None is one that left no trace."""

    asked: int
    """The client sends the request."""
    judged: int | None
    """The API has found user and strategy: the transaction that writes `strategy_stop` begins."""
    called: int | None
    """The strategy takes STOP in: its SELL_TRIGGERED line."""
    logged: int | None
    """That line is written to the order log."""
    sent: int | None
    """Execution hands the exit to its connection."""
    arrived: int | None
    """The exchange has it."""
    filled: int | None
    known: int | None
    """The strategy hears of the fill: its ORDER_COMPLETE line."""
    recorded: int | None
    """The transaction that ends the run begins: its RUN_ENDED line."""
    gone: int | None
    """The strategy's process has ended."""
    answered: int

    @property
    def took_s(self) -> float:
        """What the trader waited."""
        return (self.answered - self.asked) / 1e9


STEPS = {
    "judged": "(a) request → the API's transaction",
    "called": "(a) → the strategy is called",
    "sent": "(b) strategy → execution sends the exit",
    "arrived": "(b) → the exchange has it",
    "filled": "(at the exchange) → filled",
    "known": "(c) fill → the strategy knows",
    "recorded": "(c) → the end of the run is being recorded",
    "gone": "(c) → the strategy's process has ended",
    "answered": "(c) → the answer is here",
}
"""Each step ends with the stamp that it is named by, and begins with the one before it."""


def steps_ms(stamps: StopStamps) -> dict[str, float]:
    """How long each step took; one whose begin or end left no trace is missing, and so is what cannot be told apart."""
    taken: dict[str, float] = {}
    before: int | None = stamps.asked
    for name in STEPS:
        at: int | None = getattr(stamps, name)
        if at is not None and before is not None:
            taken[name] = (at - before) / 1e6
        before = at
    return taken


def until_ms(stamps: Sequence[StopStamps], name: str) -> list[float]:
    """From the request to a stamp, of those STOPs that have it."""
    found = [(getattr(one, name), one.asked) for one in stamps]
    return [(at - asked) / 1e6 for at, asked in found if at is not None]


def without_trace(stamps: Sequence[StopStamps]) -> dict[str, int]:
    """Of how many STOPs a stamp is missing: a report that is silent about them would be about the others only."""
    missing = {field.name: sum(getattr(one, field.name) is None for one in stamps) for field in fields(StopStamps)}
    return {name: count for name, count in missing.items() if count}


@dataclass(frozen=True)
class Target:
    """One target: what was reached, or None where nothing was measured, which is no success."""

    name: str
    limit: float
    reached: float | None
    unit: str

    @property
    def met(self) -> bool:
        """Whether it was reached; without a measurement it was not."""
        return self.reached is not None and self.reached <= self.limit

    @property
    def words(self) -> str:
        """One line of the report."""
        reached = "not measured" if self.reached is None else f"{self.reached:.3g} {self.unit}"
        return f"{'Met' if self.met else 'MISSED'}: {self.name} at most {self.limit:g} {self.unit}; {reached}"


def targets(
    stops_s: Sequence[float],
    falls_alone_ms: Sequence[float],
    falls_beside_ms: Sequence[float],
    logins_s: Sequence[float],
) -> list[Target]:
    """The three targets. All but the falls alone were measured beside the noise."""
    stop = percentile(stops_s, 0.99) * 1000 if stops_s else None
    ratio = median(falls_beside_ms) / median(falls_alone_ms) if falls_alone_ms and falls_beside_ms else None
    return [
        Target("STOP beside the noise, p99", STOP_P99_S * 1000, stop, "ms"),
        Target("stop-loss beside the noise over alone, medians", STOP_LOSS_RATIO, ratio, "×"),
        Target("login beside the noise, slowest", LOGIN_S, max(logins_s, default=None), "s"),
    ]
