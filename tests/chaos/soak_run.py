"""Runs the soak, and writes its report.

python -m tests.chaos.soak_run [--minutes M] [--strategies N] [--seed S] [--report docs/outside-report.md]
"""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from zoneinfo import ZoneInfo

from rich.console import Console

from tests.chaos.soak import PER_DAY, SHARE, Soak, soak

_VERDICTS = {
    "short": "shorts that an order of ours opened",
    "foreign": "sales of shares that were not the run's",
    "covered": "BUYs of ours into a short of the owner",
    "duplicate": "tags with two orders",
    "unlogged": "accepted orders that are not in `order_logs`",
    "budget": f"accounts above {SHARE:.0%} of their day's orders",
    "silent": "stops silently off",
    "unguarded": "shares of ended runs that are left",
    "stuck": "runs that did not end",
}


def report(seen: Soak, minutes: float, seed: int) -> str:
    """The report, as Markdown."""
    world = seen.world
    by_kind = Counter(sentence.partition(":")[0] for sentence in seen.wrong)
    others = {kind: count for kind, count in by_kind.items() if kind not in _VERDICTS}
    lines = [
        "# A day outside",
        "",
        *wrap(_explained(seen, minutes, seed), 110),
        "",
        "| what was done | |",
        "|---|---|",
        f"| strategies started; ended | {seen.started - sum(seen.refused.values())}; {seen.ended} |",
        f"| STARTs refused | {_counts(seen.refused) or 'none'} |",
        *(f"| {what} | {count} |" for what, count in sorted(world.did.items())),
        f"| killed with SIGKILL | {_counts(seen.killed)} |",
        "",
        "| how runs ended | |",
        "|---|---|",
        *(f"| {how} | {count} |" for how, count in seen.details.most_common()),
        "",
        "| verdict of the exchange's ledger | |",
        "|---|---|",
        *(f"| {what} | {by_kind[kind]} |" for kind, what in _VERDICTS.items()),
        f"| anything else | {_counts(others) or 0} |",
        f"| sales by hand that crossed an exit in the same moment (window W4) | {seen.crossed} |",
        f"| most of a day's orders that an account used, of {PER_DAY} | {max(seen.shares.values(), default=0):.0%} |",
        "",
        "| alerts | |",
        "|---|---|",
        *(f"| `{code}` | {count} |" for code, count in sorted(seen.alerts.items())),
    ]
    if seen.wrong:
        lines += ["", "## What failed", "", *(f"- {sentence}" for sentence in seen.wrong)]
    return "\n".join(lines) + "\n"


def _explained(seen: Soak, minutes: float, seed: int) -> str:
    today = datetime.now(ZoneInfo("Asia/Kolkata"))
    return (
        f"`make outside`, {today:%d %B %Y}: one trading day of the paper exchange, from 09:00 to 16:00 in {minutes:g} "
        f"minutes, with {seen.strategies} strategies at a time of {len(seen.world.accounts)} accounts, on one machine "
        f"(seed {seed}). Owners trade by hand, shares are locked at their lower circuit, the feed lags, actors are "
        "killed (`kill -9`), and the broker squares intraday positions off at the cut-off. The exchange's session has "
        "the fast clock; stamps, and the engine, have the machine's."
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {what}" for what, count in sorted(counts.items()))


def main() -> int:
    """Exit code 1 if anything was violated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--strategies", type=int, default=30)
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    seen = soak(options.minutes, options.strategies, options.seed)
    text = report(seen, options.minutes, options.seed)
    Console(width=160).print(text, highlight=False, markup=False)
    if options.report is not None:
        options.report.write_text(text, encoding="utf-8")
    return int(bool(seen.wrong))


if __name__ == "__main__":
    sys.exit(main())
