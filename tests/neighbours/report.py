"""The report of the noisy neighbour, as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from textwrap import wrap

from tests.neighbours.growth import Grown
from tests.neighbours.measure import Phase
from tests.neighbours.routes import Answers, refused_stops
from tests.neighbours.stamps import STEPS, StopStamps, Target, percentile, steps_ms, targets, until_ms, without_trace

_NOT_MEASURED = "not measured"

_EXPLAINED = (
    "Written by `make neighbours`. One tenant does on every route at once what his limits allow; another one starts "
    "strategies, is stopped out by the exchange's price, logs in, and presses STOP on further strategies. The "
    "neighbour is measured alone and beside the noise in pairs, of which each begins with the other one; each time it "
    "is a new user. The limits are those of the product's settings. *Stop-loss*: from the touch until our order is at "
    "the exchange, by the exchange's clock. The noise runs at niceness 10, from an address of its own."
)


@dataclass
class Seen:
    """All that a run has seen. `noise`: the answers to the noisy tenant, his spells' seconds and CPU seconds."""

    taken_at: datetime
    pairs: int
    wanted_pairs: int
    load: tuple[float, float, float]
    load_after: tuple[float, float, float]
    machine: str
    phases: list[Phase] = field(default_factory=list)
    noise: Answers = field(default_factory=dict)
    noisy_s: float = 0.0
    noise_cpu_s: float = 0.0
    unserved: list[str] = field(default_factory=list)
    grown: list[Grown] = field(default_factory=list)
    strategies: int = 0
    wrong: list[str] = field(default_factory=list)

    def of(self, *, beside: bool) -> list[Phase]:
        """The phases of one kind."""
        return [phase for phase in self.phases if phase.beside is beside]

    def stops(self, *, beside: bool) -> list[StopStamps]:
        """Their STOPs."""
        return [stop for phase in self.of(beside=beside) for stop in phase.stops]

    def targets(self) -> list[Target]:
        """The targets, met or missed."""
        alone, beside = self.of(beside=False), self.of(beside=True)
        return targets(
            [stop.took_s for stop in self.stops(beside=True)],
            [ms for phase in alone for ms in phase.falls_ms],
            [ms for phase in beside for ms in phase.falls_ms],
            [s for phase in beside for s in phase.logins_s],
        )

    def faults(self) -> list[str]:
        """Everything that must not be, whatever the times are."""
        found = [fault for phase in self.phases for fault in phase.wrong] + self.wrong
        found += [f"unserved: {name} never gave the noisy tenant what it is for" for name in self.unserved]
        for who, answers in (("the noisy tenant", self.noise.get("stop_strategy", {})), *self._own_answers()):
            found += [f"refused: {n} STOPs of {who} with {status}" for status, n in refused_stops(answers).items()]
        found += [
            f"grown: {one.counted} {one.bound.what}, at most {one.bound.most} ({one.bound.source})"
            for one in self.grown
            if not one.kept
        ]
        if self.pairs < self.wanted_pairs:
            found.append(f"unfinished: {self.pairs} of {self.wanted_pairs} pairs")
        return found

    def _own_answers(self) -> list[tuple[str, Mapping[int, int]]]:
        return [("the neighbour", phase.stop_answers) for phase in self.phases]


def report(seen: Seen) -> str:
    """The whole report."""
    lines = ["# A noisy neighbour", "", *wrap(_EXPLAINED, 110), "", *wrap(_head(seen), 110), ""]
    lines += ["## Targets", "", *(f"- {target.words}" for target in seen.targets()), ""]
    faults = seen.faults()
    lines += ["## What must not be", "", *(f"- {fault}" for fault in faults)] if faults else [_NOTHING_WRONG]
    lines += ["", "## The neighbour", "", *_times(seen), "", "## Where a STOP's time goes", "", *_steps(seen)]
    lines += ["", "## CPU by group of processes", "", *_cpu(seen), "", "## The noise", "", *_noise(seen)]
    lines += ["", "## What the noise added", "", *_growth(seen)]
    return "\n".join(lines) + "\n"


_NOTHING_WRONG = (
    "Every route was served to the noisy tenant, no STOP was refused, nothing was sold twice, and the tables kept "
    "their bounds."
)


def _head(seen: Seen) -> str:
    load, after = (" / ".join(f"{value:.1f}" for value in values) for values in (seen.load, seen.load_after))
    return (
        f"{seen.taken_at:%d %B %Y, %H:%M} UTC, {seen.machine}. Load average {load} before, {after} after (1, 5 and 15 "
        f"minutes). {seen.pairs} pairs."
    )


def _times(seen: Seen) -> list[str]:
    lines = ["| | | n | p50 | p99 | max |", "|---|---|---|---|---|---|"]
    for beside in (False, True):
        phases, stops = seen.of(beside=beside), seen.stops(beside=beside)
        rows = {
            "STOP until the answer, ms": [stop.took_s * 1000 for stop in stops],
            "STOP until the strategy has it, ms": until_ms(stops, "called"),
            "STOP until the order log shows it, ms": until_ms(stops, "logged"),
            "stop-loss: touch → order, ms": [ms for phase in phases for ms in phase.falls_ms],
            "login, ms": [s * 1000 for phase in phases for s in phase.logins_s],
            "create and START, ms": [s * 1000 for phase in phases for s in phase.starts_s],
            "GET /healthz (the API's loop lag), ms": [s * 1000 for phase in phases for s in phase.health_s],
        }
        lines += [f"| {name} | {_where(beside=beside)} | {_figures(values)} |" for name, values in rows.items()]
    late = {beside: sum(phase.late for phase in seen.of(beside=beside)) for beside in (False, True)}
    return [
        *lines,
        "",
        f"Strategies begun again before the measurement, since their buy time had passed: {sum(late.values())}.",
    ]


def _where(*, beside: bool) -> str:
    return "beside the noise" if beside else "alone"


def _figures(values: Sequence[float]) -> str:
    if not values:
        return f"0 | {_NOT_MEASURED} | | "
    figures = (percentile(values, 0.5), percentile(values, 0.99), max(values))
    return f"{len(values)} | " + " | ".join(f"{value:.1f}" for value in figures)


def _steps(seen: Seen) -> list[str]:
    lines = ["| step, ms | alone p50 | alone p99 | beside p50 | beside p99 |", "|---|---|---|---|---|"]
    taken = {beside: [steps_ms(stop) for stop in seen.stops(beside=beside)] for beside in (False, True)}
    for name, words in STEPS.items():
        cells: list[str] = []
        for beside in (False, True):
            values = [steps[name] for steps in taken[beside] if name in steps]
            cells += [f"{percentile(values, share):.1f}" if values else _NOT_MEASURED for share in (0.5, 0.99)]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    missing = without_trace([*seen.stops(beside=False), *seen.stops(beside=True)])
    traces = ", ".join(f"{name} of {count}" for name, count in missing.items()) or "none"
    return [*lines, "", f"Stamps that are missing: {traces}."]


def _cpu(seen: Seen) -> list[str]:
    lines = ["| share of a core | alone | beside the noise |", "|---|---|---|"]
    shares = {beside: _shares(seen.of(beside=beside)) for beside in (False, True)}
    groups = sorted({*shares[False], *shares[True]}, key=lambda group: -shares[True].get(group, 0.0))
    lines += [
        f"| {group} | {shares[False].get(group, 0.0):.2f} | {shares[True].get(group, 0.0):.2f} |" for group in groups
    ]
    totals = [sum(shares[beside].values()) for beside in (False, True)]
    return [*lines, f"| together | {totals[0]:.2f} | {totals[1]:.2f} |"]


def _shares(phases: Sequence[Phase]) -> dict[str, float]:
    wall_s = sum(phase.wall_s for phase in phases)
    groups = {group for phase in phases for group in phase.cpu}
    return {group: sum(phase.cpu.get(group, 0.0) for phase in phases) / wall_s for group in groups} if wall_s else {}


def _noise(seen: Seen) -> list[str]:
    share = seen.noise_cpu_s / seen.noisy_s if seen.noisy_s else 0.0
    moves = seen.noise.get("patch_strategy", {}).get(200, 0)
    served = sum(count for counts in seen.noise.values() for status, count in counts.items() if 200 <= status < 400)
    asked = sum(count for counts in seen.noise.values() for count in counts.values())
    told = (
        f"{asked} requests in {seen.noisy_s:.0f} s, of which {served} were served; {moves} moves of a stop-loss; "
        f"{seen.strategies} strategies kept. The client itself took {share:.2f} of a core."
    )
    lines = [*wrap(told, 110), "", "| operation | answers by status (0: the connection was lost) |", "|---|---|"]
    for name, counts in sorted(seen.noise.items()):
        lines.append(f"| `{name}` | {', '.join(f'{status}: {n}' for status, n in sorted(counts.items()))} |")
    return lines


def _growth(seen: Seen) -> list[str]:
    lines = ["| what | before | after | at most | by |", "|---|---|---|---|---|"]
    for one in seen.grown:
        most = f"{one.bound.most}" if one.bound.counts_all else f"+{one.bound.most}"
        verdict = "" if one.kept else " **exceeded**"
        lines.append(f"| {one.bound.what} | {one.before} | {one.after} | {most}{verdict} | {one.bound.source} |")
    return lines


def summary(seen: Seen) -> str:
    """What the run says on its last lines."""
    falls = [ms for phase in seen.of(beside=True) for ms in phase.falls_ms]
    middle = f"stop-loss beside the noise, median: {median(falls):.1f} ms" if falls else "no stop-loss was measured"
    return "\n".join([*(target.words for target in seen.targets()), middle, *(seen.faults() or [_NOTHING_WRONG])])
