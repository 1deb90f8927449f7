"""Runs the matrix on one real stack, several cases at a time, prints a table, and writes the report.

python -m tests.chaos.run [--cut] [--only TEXT] [--report docs/chaos-report.md]
"""

import argparse
import itertools
import json
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap

from rich.console import Console
from rich.table import Table

from tests.chaos import judge
from tests.chaos.case_run import FALLING, QUIET, CaseRun, Market, NotTried
from tests.chaos.catalogue import Action, Case, Fault, cases, cut
from tests.chaos.sections import with_first
from tests.chaos.surge import SIXTY, NotCrowded, Surge
from tests.kit.session import running_session
from tests.kit.trader import Deployment

TOGETHER, STARTING_AT_ONCE = 5, 2
"""Cases under way, and STARTs: more of either, and two cores do not have a strategy ready for its buy time."""

_EXPLAINED = (
    "Written by `make chaos`. Every case is one strategy on the real stack, from START to its end. The exchange's own",
    "ledger judges it against `order_logs`: at most one live or filled order per tag, never short, flat at the end,",
    "every accepted order logged, the run's record as the ledger has it. Cells are passed of tried. *Killed*: the same",
    "with a process killed (`kill -9`) at a failpoint. The row 'no fault' has every failpoint. Faults after which the",
    "answer is missing or the order is not final have the four around a request (decide.after, claim.after,",
    "send.after, reply.after), or the two before it if the order is found and done before its answer comes.",
)


@dataclass
class Result:
    """The result of a case: nothing in `problems` is a pass; `untried` says why it proves nothing."""

    case: Case
    seconds: float
    problems: list[str] = field(default_factory=list)
    untried: str = ""


def run_all(
    deployment: Deployment, wanted: Iterable[Case], console: Console | None = None, journal: Path | None = None
) -> list[Result]:
    """Run every case, those that did not happen as they were meant to once more."""
    results = {result.case.name: result for result in _run_cases(deployment, list(wanted), console, journal)}
    again = [result.case for result in results.values() if result.untried]
    if again:
        results |= {result.case.name: result for result in _run_cases(deployment, again, console, journal)}
    return list(results.values())


def _run_cases(
    deployment: Deployment, wanted: list[Case], console: Console | None, journal: Path | None
) -> Iterator[Result]:
    alone = [case for case in wanted if (case.fault and case.fault.alone) or _must_be_back_in_time(case)]
    others = [case for case in wanted if case not in alone]
    flow, done = _Flow(deployment), 0
    for cases_, together in ((alone, 1), (others, TOGETHER)):
        deployment.exchange.clear_faults()
        with ThreadPoolExecutor(together) as pool:
            for result in pool.map(flow.run, _mixed(cases_)):
                done += 1
                _note(journal, result)
                if console is not None:
                    words = result.problems or result.untried or "ok"
                    console.print(f"{done}/{len(wanted)} {result.case.name}: {words}", highlight=False, markup=False)
                yield result


def _must_be_back_in_time(case: Case) -> bool:
    """What is killed as it decides to buy, or claims the BUY, must be back within the grace of five seconds, or nothing
    is bought.
    """
    return case.action is Action.BUY and case.failpoint in {"decide.before", "decide.after", "claim.after"}


def _mixed(wanted: list[Case]) -> list[Case]:
    """Cases that need a market to themselves, spread among those that do not."""
    by_action = [[case for case in wanted if case.action is action] for action in Action]
    return [case for row in itertools.zip_longest(*by_action) for case in row if case is not None]


class _Flow:
    """Runs cases, as many at a time as there are threads; a few start at once, since a START costs both cores."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._starting = threading.Semaphore(STARTING_AT_ONCE)
        self._falling: queue.Queue[Market] = queue.Queue()
        for market in FALLING:
            self._falling.put(market)

    def run(self, case: Case) -> Result:
        """Run one case, in a market of its own if the price is to fall there."""
        if case.action is not Action.STOPLOSS:
            return self._run(case, QUIET)
        market = self._falling.get()
        try:
            return self._run(case, market)
        finally:
            self._falling.put(market)

    def _run(self, case: Case, market: Market) -> Result:
        directory = self._deployment.settings.failpoints or Path()
        return result_of(CaseRun(case, self._deployment, directory, market, self._starting))


def result_of(case_run: CaseRun) -> Result:
    """Run it, and have it judged."""
    begun = time.monotonic()
    result = Result(case_run.case, 0.0)
    try:
        case_run.run()
    except NotTried as reason:
        result.untried = str(reason)
        case_run.abandon()
    except AssertionError as error:
        result.problems.append(f"stuck: {error}")
    if hasattr(case_run, "strategy"):
        result.problems += judge.verdict(case_run)
    result.seconds = time.monotonic() - begun
    return result


def run_sixty(deployment: Deployment) -> Result:
    """Sixty stop-losses of one account in one instant: all get out within the budget, and the log of each says when."""
    surge, begun = Surge(deployment, stops=SIXTY, buys=0), time.monotonic()
    result = Result(Case(Action.STOPLOSS, Fault(f"{SIXTY} stop-losses of one account at once")), 0.0)
    deployment.exchange.clear_faults()
    try:
        surge.run()
        result.problems += surge.verdict()
    except NotCrowded as reason:
        result.untried = str(reason)
    except AssertionError as error:
        result.problems.append(f"stuck: {error}")
    result.seconds = time.monotonic() - begun
    return result


def warm_up(deployment: Deployment) -> None:
    """The first strategy of a symbol pays for what all others find ready."""
    for market in (QUIET, *FALLING):
        deployment.trader().strategy(market.symbol, buy_in=600, sell_in=1200).stop()


def table_of(results: list[Result]) -> Table:
    """Passed of those run, by fault and action; kills in columns of their own."""
    table = Table("fault", *(str(action) for action in Action), *(f"{action} killed" for action in Action))
    for name, row in _rows(results):
        table.add_row(name, *row)
    return table


def _rows(results: list[Result]) -> Iterator[tuple[str, list[str]]]:
    names = dict.fromkeys(r.case.fault.name if r.case.fault else "no fault" for r in results)
    for name in names:
        cells: Counter[tuple[Action, bool]] = Counter()
        passed: Counter[tuple[Action, bool]] = Counter()
        for result in results:
            if (result.case.fault.name if result.case.fault else "no fault") == name:
                key = (result.case.action, result.case.failpoint is not None)
                cells[key] += 1
                passed[key] += not result.problems and not result.untried
        keys = [(action, kills) for kills in (False, True) for action in Action]
        yield name, [f"{passed[key]}/{cells[key]}" if cells[key] else "" for key in keys]


def summary(results: list[Result]) -> str:
    """The totals in one line."""
    broken = Counter(problem.partition(":")[0] for result in results for problem in result.problems)
    untried = sum(bool(result.untried) for result in results)
    return (
        f"{len(results)} cases, of the matrix's {len(list(cases()))} and of special ones: "
        f"{broken['duplicate']} duplicate orders, {broken['short']} shorts, "
        f"{broken['unguarded']} positions left unguarded, {broken['unlogged']} orders not logged, "
        f"{sum(broken.values()) - sum(broken[k] for k in ('duplicate', 'short', 'unguarded', 'unlogged'))} other "
        f"problems; {untried} not as they were meant to be."
    )


def report(results: list[Result], seconds: float) -> str:
    """The report as Markdown."""
    actions = [str(action) for action in Action]
    head = ["fault", *actions, *(f"{action}, killed" for action in actions)]
    lines = [
        "# Chaos report",
        "",
        *_EXPLAINED,
        "",
        *wrap(f"{summary(results)} The last sitting took {seconds / 60:.0f} minutes.", 110),
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join([name, *row]) + " |" for name, row in _rows(results)),
        "",
    ]
    broken = [r for r in results if r.problems or r.untried]
    if broken:
        lines += ["## What failed", ""]
        lines += [f"- {r.case.name}: {'; '.join(r.problems) or f'not tried, {r.untried}'}" for r in broken]
        lines.append("")
    return "\n".join(lines)


def _passed(journal: Path | None, wanted: list[Case]) -> dict[str, Result]:
    """What passed in earlier sittings."""
    if journal is None or not journal.exists():
        return {}
    seconds = {entry["case"]: entry["seconds"] for entry in map(json.loads, journal.read_text().splitlines())}
    return {case.name: Result(case, seconds[case.name]) for case in wanted if case.name in seconds}


def _note(journal: Path | None, result: Result) -> None:
    """Remember a case that passed."""
    if journal is not None and not result.problems and not result.untried:
        with journal.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"case": result.case.name, "seconds": round(result.seconds, 1)}) + "\n")


def main() -> int:
    """Exit code 1 if any case failed or could not be tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cut", action="store_true", help="only the cut that `make test` runs")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--journal", type=Path, default=None, help="note what was run; what passed is not run again")
    parser.add_argument("--report", type=Path, default=None, help="write the report to this file")
    options = parser.parse_args()
    chosen = cut() if options.cut else list(cases())
    wanted = [case for case in chosen if options.only in case.name]
    console, begun = Console(), time.monotonic()
    passed = _passed(options.journal, wanted)
    missing = [case for case in wanted if case.name not in passed]
    console.print(f"{len(wanted)} cases, {len(missing)} to be run")
    with running_session(api_rate_per_minute=0, api_requests_at_once=0, auth_rate_per_minute=0) as (_, deployment):
        warm_up(deployment)
        done = run_all(deployment, missing, console, options.journal)
        if not options.cut and options.only in {"", "sixty"}:
            done.append(run_sixty(deployment))
    results = [*passed.values(), *done]
    console.print(table_of(results))
    console.print(summary(results))
    if options.report is not None:
        with_first(options.report, report(results, time.monotonic() - begun))
    return int(any(result.problems or result.untried for result in results))


if __name__ == "__main__":
    sys.exit(main())
