"""Runs the second table, what happens outside × step × kill, and writes it into the chaos report.

python -m tests.chaos.outside_run [--cut] [--only TEXT] [--journal FILE] [--minutes M] [--report docs/chaos-report.md]
"""

import argparse
import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import wrap
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from tests.chaos.case_run import NotTried
from tests.chaos.outside_case_run import SLOTS, SLOTS_WITHOUT_AUCTION, OutsideCaseRun
from tests.chaos.outside_catalogue import OUTSIDE_CUT, Happening, Kill, OutsideCase, Step, outside_case, outside_cases
from tests.chaos.outside_view import Closing
from tests.chaos.run import STARTING_AT_ONCE
from tests.chaos.sections import OUTSIDE, with_section
from tests.chaos.tables import CaseResult
from tests.kit.session import running_session
from tests.kit.trader import Deployment

_IST = ZoneInfo("Asia/Kolkata")

_UNLIMITED: dict[str, Any] = {"api_rate_per_minute": 0, "api_requests_at_once": 0, "auth_rate_per_minute": 0}
PATIENCE_S = 600.0

OPEN_FOR_S = 130.0
"""How long the market is open at least before it closes: a stack starts in it, and cases buy, and it is announced."""

BROKEN = {
    "short": "shorts",
    "foreign": "sales of foreign shares",
    "starved": "starved exits",
    "silent": "stops silently off",
    "duplicate": "duplicate orders",
    "unguarded": "positions left unguarded",
    "unlogged": "orders not logged",
}

_EXPLAINED = (
    "Written by `make chaos`. Every case is a strategy that holds, or is about to buy, ten shares with a stop-loss. At",
    "one of its steps something happens outside TradeActors, after a process was killed (`kill -9`); then its price",
    "falls below the stop. The exchange's own ledger judges it, trade by trade: a sale by hand or by the broker counts",
    "against the run first, and what is left of the run's shares is all that it may sell. There may be no short that",
    "an order of ours opened, and no sale of shares that were not the run's. No healthy position of the account may",
    "wait for a locked one (starved). A stop that was touched leads to an exit, or to a word in status or alerts",
    "(silent). No tag has two orders, every accepted order is in `order_logs`, and nothing is left at the end. Every",
    "happening is crossed with every step at which it can happen and with every kill that concerns it, and every step",
    "with every kill. Cells name the kills that were tried (*nobody*: none), and those that failed.",
)


OutsideResult = CaseResult[OutsideCase]


class OutsideFlow:
    """Runs cases on one stack, as many at a time as it has shares for; what dies is shared by those of one batch."""

    def __init__(self, deployment: Deployment, until: float = float("inf"), closing: Closing | None = None) -> None:
        self._deployment, self._until, self._closing = deployment, until, closing
        self._starting = threading.Semaphore(STARTING_AT_ONCE)
        self._slots = queue.SimpleQueue[Any]()
        for slot in SLOTS if closing is None else SLOTS_WITHOUT_AUCTION:
            self._slots.put(slot)

    def run_all(self, wanted: Iterable[OutsideCase]) -> Iterator[OutsideResult]:
        """Run every case, those that did not happen as they were meant to once more; none begins after `until`."""
        cases = list(wanted)
        again: list[OutsideCase] = []
        for result in self._run_once(cases):
            if result.untried:
                again.append(result.case)
            else:
                yield result
        yield from self._run_once(again)

    def _run_once(self, cases: list[OutsideCase]) -> Iterator[OutsideResult]:
        alone = [case for case in cases if case.alone]
        calm = [case for case in cases if not case.alone and not case.shakes]
        shaken = [case for case in cases if not case.alone and case.shakes]
        batches = [(calm, len(SLOTS)), (shaken, len(SLOTS) - 1), (alone, 1)]
        if self._closing is not None:  # the market closes once
            batches = [(cases, len(SLOTS_WITHOUT_AUCTION))]
        for batch, together in batches:
            self._deployment.exchange.clear_faults()
            with ThreadPoolExecutor(together) as pool:
                yield from (result for result in pool.map(self.run, batch) if result is not None)

    def run(self, case: OutsideCase) -> OutsideResult | None:
        """Run one case; None after `until`."""
        if time.monotonic() > self._until:
            return None
        slot = self._slots.get()
        try:
            return result_of(OutsideCaseRun(self._deployment, case, slot, self._starting, self._closing))
        finally:
            self._slots.put(slot)


def run_everywhere(
    cases: list[OutsideCase], until: float = float("inf"), when_up: Callable[[], None] = lambda: None
) -> Iterator[OutsideResult]:
    """Run every case on a stack that suits it. `when_up` is called once the stack of this process runs."""
    if usual := [case for case in cases if not case.needs_hours]:
        with running_session(**_UNLIMITED) as (_, deployment):
            when_up()
            yield from OutsideFlow(deployment, until).run_all(usual)
    closing = [case for case in cases if case.needs_hours]
    if closing and time.monotonic() < until:
        yield from _run_elsewhere(closing)


def _run_elsewhere(cases: list[OutsideCase]) -> list[OutsideResult]:
    """On a stack with hours, in another process: a process can join one Ray only."""
    with TemporaryDirectory() as directory:
        answer = Path(directory) / "results.json"
        chosen = [f"--with-hours={case.name}" for case in cases]
        argv = [sys.executable, "-m", "tests.chaos.outside_run", "--answer", str(answer), *chosen]
        subprocess.run(argv, check=True, timeout=PATIENCE_S)
        return [
            OutsideResult(outside_case(row["case"]), row["problems"], row["untried"], row["seconds"])
            for row in json.loads(answer.read_text(encoding="utf-8"))
        ]


def _run_with_hours(names: list[str], answer: Path) -> None:
    """What that other process does."""
    closing = _closing_soon(answer.parent)
    with running_session(calendar="XNSE", calendar_overrides=closing.calendar, **_UNLIMITED) as (_, deployment):
        results = list(OutsideFlow(deployment, closing=closing).run_all([outside_case(name) for name in names]))
    rows = [{"case": r.case.name, "problems": r.problems, "untried": r.untried, "seconds": r.seconds} for r in results]
    answer.write_text(json.dumps(rows), encoding="utf-8")


def _closing_soon(directory: Path) -> Closing:
    """A calendar of today, which will be open but for a minute."""
    now = datetime.now(_IST)
    closes = (now + timedelta(seconds=OPEN_FOR_S + 60)).replace(second=0, microsecond=0)
    opens = closes + timedelta(minutes=1)
    ends = min(opens + timedelta(hours=1), now.replace(hour=23, minute=59))
    closing = Closing(directory / "calendar.toml", now, closes, opens, ends)
    closing.open_throughout()
    return closing


def result_of(case_run: OutsideCaseRun) -> OutsideResult:
    """Run it, and have it judged."""
    begun = time.monotonic()
    result = OutsideResult(case_run.case)
    try:
        case_run.run()
    except NotTried as reason:
        result.untried = str(reason)
        case_run.abandon()
    except AssertionError as error:
        result.problems.append(f"stuck: {error}")
    result.problems += case_run.verdict()
    result.seconds = time.monotonic() - begun
    return result


def outside_section(results: list[OutsideResult]) -> str:
    """The second table as Markdown."""
    lines = [OUTSIDE, "", *_EXPLAINED, "", *wrap(outside_summary(results), 110), ""]
    lines += ["| happens | " + " | ".join(Step) + " |", "|" + "---|" * (len(Step) + 1)]
    for happening in Happening:
        cells = [_cell([r for r in results if (r.case.happening, r.case.step) == (happening, step)]) for step in Step]
        lines.append(f"| {happening} | " + " | ".join(cells) + " |")
    broken = [result for result in results if not result.passed]
    if broken:
        lines += ["", "### What failed", ""]
        lines += [f"- {r.case.name}: {'; '.join(r.problems) or f'not tried, {r.untried}'}" for r in broken]
    return "\n".join(lines) + "\n"


def _cell(results: list[OutsideResult]) -> str:
    done = sorted(results, key=lambda result: list(Kill).index(result.case.kill))
    return ", ".join(str(r.case.kill) if r.passed else f"**{r.case.kill}: failed**" for r in done)


def outside_summary(results: list[OutsideResult]) -> str:
    """The totals in one line."""
    broken = Counter(problem.partition(":")[0] for result in results for problem in result.problems)
    untried = sum(bool(result.untried) for result in results)
    others = sum(count for kind, count in broken.items() if kind not in BROKEN)
    told = ", ".join(f"{broken[kind]} {name}" for kind, name in BROKEN.items())
    return f"{len(results)} cases: {told}, {others} other problems; {untried} not as they were meant to be."


def passed_before(journal: Path | None) -> dict[str, float]:
    """What passed in earlier sittings: seconds by name."""
    if journal is None or not journal.exists():
        return {}
    return {entry["case"]: entry["seconds"] for entry in map(json.loads, journal.read_text().splitlines())}


def note(journal: Path | None, result: OutsideResult) -> None:
    """Remember a case that passed."""
    if journal is not None and result.passed:
        with journal.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"case": result.case.name, "seconds": round(result.seconds, 1)}) + "\n")


def main() -> int:
    """Exit code 1 if any case failed or could not be tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cut", action="store_true", help="only the cut that `make test` runs")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--journal", type=Path, help="note what was run; what passed is not run again")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no case after so many minutes")
    parser.add_argument("--report", type=Path, help="write the table into this report")
    parser.add_argument("--with-hours", action="append", help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer is not None:
        _run_with_hours(options.with_hours, options.answer)
        return 0
    until = time.monotonic() + options.minutes * 60
    chosen = [outside_case(name) for name in OUTSIDE_CUT] if options.cut else outside_cases()
    wanted = [case for case in chosen if options.only in case.name]
    before = passed_before(options.journal)
    results = [OutsideResult(case, seconds=before[case.name]) for case in wanted if case.name in before]
    missing = [case for case in wanted if case.name not in before]
    console = Console()
    console.print(f"{len(wanted)} cases, {len(missing)} to be run")
    if missing:
        for result in run_everywhere(missing, until):
            results.append(result)
            note(options.journal, result)
            words = result.problems or result.untried or "ok"
            line = f"{len(results)}/{len(wanted)} {result.seconds:3.0f} s {result.case.name}: {words}"
            console.print(line, highlight=False, markup=False)
    console.print(outside_summary(results))
    if options.report is not None:
        with_section(options.report, outside_section(results))
    return int(len(results) < len(wanted) or any(not result.passed for result in results))


if __name__ == "__main__":
    sys.exit(main())
