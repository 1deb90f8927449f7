"""Runs through November 2026, and writes its report.

python -m tests.month.run [--days N] [--report docs/month-report.md] [--logs DIRECTORY]
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tests.month.course import run_month
from tests.month.judge import judge, strays
from tests.month.plan import NOVEMBER
from tests.month.report import report


def main() -> int:
    """Exit code 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=len(NOVEMBER.days), help="the first so many of the month")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--logs", type=Path, help="leave the logs of the stack in this directory")
    options = parser.parse_args()
    console, begun = Console(width=160), time.monotonic()
    month = replace(NOVEMBER, days=NOVEMBER.days[: options.days])
    seen = run_month(month, lambda line: console.print(line, highlight=False, markup=False), options.logs)
    verdicts, unplanned = judge(month, seen), strays(month, seen)
    text = report(month, seen, verdicts, unplanned, time.monotonic() - begun)
    console.print(text, highlight=False, markup=False)
    if options.report is not None:
        options.report.write_text(text, encoding="utf-8")
    return int(bool(unplanned) or any(verdict.wrong for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
