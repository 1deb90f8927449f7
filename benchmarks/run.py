"""All figures of the design, each with what stands beside it.

python -m benchmarks.run [--quick] [--shots N] [--only TEXT] [--write]

`--write` writes RESULTS.md; `--quick` takes few samples, to see that everything runs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks import floor as trading_floor
from benchmarks.figures import RESULTS, Figure, report
from tests.kit.session import running_session


@dataclass(frozen=True)
class Size:
    """How many samples."""

    shots: int
    volleys: int
    seats: int
    runs: int
    starts: int
    kills: int


FULL = Size(shots=100, volleys=8, seats=50, runs=10, starts=6, kills=8)
QUICK = Size(shots=5, volleys=2, seats=4, runs=2, starts=2, kills=2)


def figures(size: Size, only: str) -> Iterator[Figure]:
    """Every figure, on a stack around the stamping exchange, or on one with the paper exchange."""
    if only in {"", "floor", "stop-loss", "timed"}:
        yield from _on_the_floor(size, only)
    if only in {"", "session", "order-id", "start", "footprint", "polls", "router", "kill"}:
        yield from _in_a_session(size, only)
    if only in {"", "stack"}:
        from benchmarks.recovery import whole_stack

        yield whole_stack()


def _on_the_floor(size: Size, only: str) -> Iterator[Figure]:
    from benchmarks.stop_loss import all_breached, one_breached
    from benchmarks.timed_buy import timed_buy

    with trading_floor.open_floor(max_running=1000, max_running_total=1000) as floor:
        floor.take_seats(1)
        if only == "timed":
            quiet = [shot for _ in range(size.shots) for shot in floor.shoot(floor.seats)]
        else:
            figure, quiet = one_breached(floor, 1, size.shots)
            yield figure
        floor.take_seats(size.seats - 1)
        yield timed_buy(floor, quiet, size.volleys)
        if only != "timed":
            yield all_breached(floor, size.volleys)
            yield one_breached(floor, size.seats, size.shots)[0]


def _in_a_session(size: Size, only: str) -> Iterator[Figure]:
    from benchmarks.footprint import footprint
    from benchmarks.order_id import order_id
    from benchmarks.recovery import guarded_again
    from benchmarks.router_ticks import router_ticks
    from benchmarks.start import start
    from benchmarks.status_polls import status_polls

    with running_session(api_rate_per_minute=0, auth_rate_per_minute=0, failpoints="") as (_, deployment):
        parts: dict[str, Callable[[], Figure | list[Figure]]] = {
            "order-id": lambda: order_id(deployment, size.runs),
            "start": lambda: start(deployment, size.starts),
            "footprint": lambda: footprint(deployment),
            "polls": lambda: status_polls(deployment),
            "router": lambda: router_ticks(deployment.settings.redis_url),
            "kill": lambda: guarded_again(deployment, size.kills),
        }
        for name, part in parts.items():
            if only in {"", "session", name}:
                taken = part()
                yield from taken if isinstance(taken, list) else [taken]


GROUPS = ("floor", "session", "stack")
"""Each in a process of its own: Ray cannot be joined twice from one."""


def main() -> int:
    """Exit code 1 if a figure missed its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--shots", type=int, default=FULL.shots, help="samples of each stop-loss figure")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--append", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        size = QUICK if options.quick else replace(FULL, shots=options.shots)
        missed = [_told(figure, options.append) for figure in figures(size, options.only)]
        sys.stdout.flush()
        os._exit(int(any(missed)))  # clients that are still open do not matter
    sections = [_in_a_process(group, options.shots, quick=options.quick) for group in GROUPS]
    if options.write:
        RESULTS.write_text(report(sections, datetime.now(ZoneInfo("Asia/Kolkata"))), encoding="utf-8")
    return int(any("MISSED" in section for section in sections))


def _told(figure: Figure, append: Path | None) -> bool:
    print(figure.markdown(), flush=True)
    if append is not None:  # Ray says things on standard output, too
        with append.open("a", encoding="utf-8") as sections:
            sections.write(figure.markdown() + "\n")
    return figure.verdict.startswith("MISSED")


def _in_a_process(group: str, shots: int, *, quick: bool) -> str:
    with tempfile.TemporaryDirectory() as folder:
        sections = Path(folder, "sections.md")
        argv = [sys.executable, "-m", "benchmarks.run", "--only", group, "--shots", str(shots)]
        argv += ["--append", str(sections)] + (["--quick"] if quick else [])
        if (code := subprocess.run(argv, check=False).returncode) not in {0, 1}:
            raise RuntimeError(f"the figures of {group} ended with {code}")
        return sections.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
