"""Runs the third table, who dies or what happens in the instant of a touch, and writes docs/guards-report.md.

python -m tests.chaos.guards_run [--cut] [--only TEXT] [--journal FILE] [--minutes M] [--report docs/guards-report.md]
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from textwrap import wrap

from rich.console import Console

from tests.chaos.case_run import NotTried
from tests.chaos.guards_case_run import GuardsCaseRun
from tests.chaos.guards_catalogue import GUARDS_CUT, Event, GuardsCase, guards_case, guards_cases
from tests.chaos.outside_case_run import SLOTS
from tests.chaos.run import STARTING_AT_ONCE, warm_up
from tests.chaos.tables import CaseResult
from tests.kit.session import running_session
from tests.kit.trader import Deployment

SYMBOLS = tuple(symbol for slot in SLOTS for symbol in (slot.symbol, slot.healthy))

_EXPLAINED = (
    "Written by `make guards`. Every case is a strategy that holds ten shares, whose stop-loss both guards watch: the",
    "strategy, by its router's prices, and execution, by those on the accounts' WebSockets (`guard.by` says both).",
    "One or two processes are killed (`kill -9`) at a step between arming and fill, or something else happens, in the",
    "very instant in which the price falls below the stop. *Unguarded* is the time from when the exchange published",
    "that price until our first SELL request arrived there, both by its clock. One more trade below the stop follows",
    "each exit. A case is broken if that takes longer than its bound, and by all that the second table of the chaos",
    "report is judged by: two orders of one tag, a short, a foreign sale, shares or orders that are left, an order",
    "that is not in `order_logs`. Each step is crossed with every process that can die at it, and every process with",
    "every other one. *At send.after* and the like: the process died at that failpoint (`actors/failpoints.py`). Where",
    "an exit rests, it had arrived before a process died.",
)


@dataclass
class GuardsResult(CaseResult[GuardsCase]):
    """The result of a case. `unguarded_s`: from the touch to the arrival of our first SELL."""

    unguarded_s: float | None = None

    @property
    def words(self) -> str:
        """The result of the case, in one line."""
        if self.passed:
            return "ok" if self.unguarded_s is None else f"ok, exit after {_ms(self.unguarded_s)}"
        return "; ".join(self.problems) or f"not tried, {self.untried}"


class GuardsFlow:
    """Runs cases in rounds: their positions are built up together, their instants come one after the other.

    `tell(line)` hears of what is run once more.
    """

    def __init__(
        self, deployment: Deployment, until: float = float("inf"), tell: Callable[[str], None] = lambda _line: None
    ) -> None:
        self._deployment, self._until, self._tell = deployment, until, tell
        self._starting = threading.Semaphore(STARTING_AT_ONCE)
        self._last: GuardsCaseRun | None = None

    def run_all(self, wanted: Iterable[GuardsCase]) -> Iterator[GuardsResult]:
        """Run every case, those that did not happen as they were meant to once more; no round begins after `until`."""
        again: list[GuardsCase] = []
        for result in self._rounds(wanted):
            if result.untried:
                self._tell(f"{result.case.name}: once more, {result.untried}")
                again.append(result.case)
            else:
                yield result
        yield from self._rounds(again)

    def _rounds(self, wanted: Iterable[GuardsCase]) -> Iterator[GuardsResult]:
        # a timed SELL falls due at its time, whichever other case has not had its instant yet
        in_order = sorted(wanted, key=lambda case: case.event is not Event.SOLD_ON_TIME)
        for first in range(0, len(in_order), len(SYMBOLS)):
            if time.monotonic() < self._until:
                yield from self._round(in_order[first : first + len(SYMBOLS)])

    def _round(self, cases: list[GuardsCase]) -> list[GuardsResult]:
        exchange = self._deployment.exchange
        exchange.clear_faults()
        self._await_the_streams()
        pairs = [
            (GuardsCaseRun(self._deployment, case, symbol, self._starting), GuardsResult(case))
            for case, symbol in zip(cases, SYMBOLS, strict=False)
        ]
        with ThreadPoolExecutor(len(pairs)) as pool:
            list(pool.map(lambda pair: _part(pair[0].prepare, pair[1]), pairs))
            for case_run, result in pairs:
                if result.passed:
                    _part(partial(case_run.strike, self._last), result)
                    exchange.clear_faults()
                    self._last = case_run
            list(pool.map(_end, pairs))
        return [result for _, result in pairs]

    def _await_the_streams(self) -> None:
        """Without a stream the last price is that of the round before, and nothing is bought below a stop."""
        if self._last is not None and self._last.noticed_at is not None:
            time.sleep(max(0.0, (self._last.noticed_at - self._deployment.now()).total_seconds()))


def _part(work: Callable[[], None], result: GuardsResult) -> None:
    """A part of a case."""
    try:
        work()
    except NotTried as reason:
        result.untried = str(reason)
    except AssertionError as error:
        result.problems.append(f"stuck: {error}")


def _end(pair: tuple[GuardsCaseRun, GuardsResult]) -> None:
    case_run, result = pair
    if hasattr(case_run, "strategy"):
        _part(case_run.finish, result)
    result.problems += case_run.verdict()
    result.unguarded_s = case_run.unguarded_s


def run_guards(cases: list[GuardsCase], until: float, tell: Callable[[str], None]) -> Iterator[GuardsResult]:
    """Run every case on a stack of its own."""
    if cases:
        with running_session(api_rate_per_minute=0, api_requests_at_once=0, auth_rate_per_minute=0) as (_, deployment):
            warm_up(deployment)
            yield from GuardsFlow(deployment, until, tell).run_all(cases)


# --- the report ---------------------------------------------------------------------------------------------------


def report(results: list[GuardsResult], *, sittings: bool) -> str:
    """The report as Markdown. `sittings`: whether the cases were run in more than one."""
    several = " They were run in several sittings." if sittings else ""
    lines = ["# Two guards", "", *_EXPLAINED, "", *wrap(summary(results) + several, 110), ""]
    lines += ["| killed, or what happens | cases | median | worst | bound |", "|---|---|---|---|---|"]
    lines += [_row(kind, [r for r in results if r.case.kind == kind]) for kind in _kinds(results)]
    lines += ["", "## Every case", "", "| case | unguarded | |", "|---|---|---|"]
    for result in results:
        took = "" if result.unguarded_s is None else _ms(result.unguarded_s)
        lines.append(f"| {result.case.name} | {took} | {'' if result.passed else f'**{result.words}**'} |")
    return "\n".join(lines) + "\n"


def _kinds(results: list[GuardsResult]) -> list[str]:
    return list(dict.fromkeys(result.case.kind for result in sorted(results, key=lambda r: len(r.case.killed) or 9)))


def _row(kind: str, results: list[GuardsResult]) -> str:
    times = [result.unguarded_s for result in results if result.unguarded_s is not None]
    within_s = results[0].case.within_s
    figures = [_ms(median(times)), _ms(max(times))] if times else ["", ""]
    bound = "none" if within_s is None else f"{within_s:g} s"
    return f"| {kind}{' killed' if results[0].case.killed else ''} | {len(results)} | {' | '.join(figures)} | {bound} |"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def summary(results: list[GuardsResult]) -> str:
    """The totals in one line."""
    wrong = [problem.partition(":")[0] for result in results for problem in result.problems]
    names = {"duplicate": "duplicate orders", "short": "shorts", "unguarded": "positions unguarded for too long"}
    told = ", ".join(f"{wrong.count(kind)} {name}" for kind, name in names.items())
    others, untried = sum(kind not in names for kind in wrong), sum(bool(result.untried) for result in results)
    return f"{len(results)} cases: {told}, {others} other problems; {untried} not as they were meant to be."


def passed_before(journal: Path | None) -> list[GuardsResult]:
    """What passed in earlier sittings."""
    if journal is None or not journal.exists():
        return []
    rows = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return [GuardsResult(guards_case(row["case"]), unguarded_s=row["unguarded_s"]) for row in rows]


def note(journal: Path | None, result: GuardsResult) -> None:
    """Remember a case that passed."""
    if journal is not None and result.passed:
        with journal.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"case": result.case.name, "unguarded_s": result.unguarded_s}) + "\n")


def main() -> int:
    """Exit code 1 if any case failed or could not be tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cut", action="store_true", help="only the cut that `make test` runs")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--journal", type=Path, help="note what was run; what passed is not run again")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round after so many minutes")
    parser.add_argument("--report", type=Path, help="write the report to this file")
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    chosen = [guards_case(name) for name in GUARDS_CUT] if options.cut else guards_cases()
    wanted = [case for case in chosen if options.only in case.name]
    results = [result for result in passed_before(options.journal) if result.case in wanted]
    done = {result.case for result in results}
    missing = [case for case in wanted if case not in done]
    say = partial(Console().print, highlight=False, markup=False)
    say(f"{len(wanted)} cases, {len(missing)} to be run")
    for result in run_guards(missing, until, say):
        results.append(result)
        note(options.journal, result)
        say(f"{len(results)}/{len(wanted)} {result.case.name}: {result.words}")
    say(summary(results))
    if options.report is not None:
        in_order = sorted(results, key=lambda result: wanted.index(result.case))
        options.report.write_text(report(in_order, sittings=bool(done)), encoding="utf-8")
    return int(len(results) < len(wanted) or any(not result.passed for result in results))


if __name__ == "__main__":
    sys.exit(main())
