"""All figures, each with what stands beside it.

python -m benchmarks.run [--quick] [--shots N] [--only TEXT] [--write | --append FILE]

`--write` writes RESULTS.md; `--quick` takes few samples, to see that everything runs. `--only` takes a group (one,
many, killed, session, stack), or one figure of a session. Not among what runs without it: `--only two-hundred`, which
needs about 12 GB and six minutes, and can be added to a file with `--append`.
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
from benchmarks.exchange_control import running_exchange
from benchmarks.figures import RESULTS, Figure, report
from tests.kit.session import running_session


@dataclass(frozen=True)
class Size:
    """How many samples."""

    shots: int
    volleys: int
    seats: int
    crowd: int
    runs: int
    starts: int
    kills: int


FULL = Size(shots=24, volleys=8, seats=50, crowd=200, runs=10, starts=6, kills=8)
QUICK = Size(shots=3, volleys=2, seats=4, crowd=6, runs=2, starts=2, kills=1)
TAKEN_AT_ONCE = 25
"""Seats of a crowd whose processes start together."""


def figures(size: Size, only: str) -> Iterator[Figure]:
    """Every figure, on a stack around the stamping exchange, or on one with the paper exchange."""
    if only == "one":
        yield _of_one(size)
    elif only == "many":
        yield from _of_many(size)
    elif only == "killed":
        from benchmarks.killed import killed

        with running_exchange() as exchange, trading_floor.open_floor(exchange) as floor:
            yield killed(floor, size.kills)
    elif only == "two-hundred":
        yield _of_a_crowd(size)
    elif only == "stack":
        from benchmarks.recovery import whole_stack

        yield whole_stack()
    else:
        yield from _in_a_session(size, only)


def _of_one(size: Size) -> Figure:
    from benchmarks import stop_loss

    with running_exchange() as exchange:
        alone = stop_loss.script_alone(exchange, size.shots)
        with trading_floor.open_floor(exchange) as floor:
            floor.take_seats(1)
            figure = stop_loss.one_breached(floor, 1, size.shots)
            return stop_loss.beside_one(figure, {**stop_loss.others_with_one(floor, size.shots), **alone})


def _of_many(size: Size) -> Iterator[Figure]:
    from benchmarks import stop_loss
    from benchmarks.timed_buy import timed_buy

    with running_exchange() as exchange, trading_floor.open_floor(exchange) as floor:
        floor.take_seats(1)
        alone = [shot for _ in range(max(1, size.shots // 2)) for shot in floor.shoot(floor.seats)]
        floor.take_seats(size.seats - 1)
        volleys = [floor.shoot(floor.seats) for _ in range(size.volleys)]
        yield timed_buy(floor, alone, volleys)
        figure = stop_loss.one_breached(floor, size.seats, size.shots)
        floor.dismiss()
        one, every = stop_loss.others_with_many(floor, size.seats, size.shots, size.volleys)
        yield stop_loss.beside_one(figure, one)
        yield stop_loss.beside_all(stop_loss.all_breached(volleys, p50_ms=12, p99_ms=30), every)


def _of_a_crowd(size: Size) -> Figure:
    from benchmarks.stop_loss import all_breached

    with running_exchange() as exchange, trading_floor.open_floor(exchange) as floor:
        while missing := size.crowd - len(floor.seats):
            floor.take_seats(min(TAKEN_AT_ONCE, missing))
        buy_in = 20 + trading_floor.buy_in_s(size.crowd)  # the machine is full of them
        return all_breached([floor.shoot(floor.seats, buy_in) for _ in range(size.volleys)], p50_ms=60)


def _in_a_session(size: Size, only: str) -> Iterator[Figure]:
    from benchmarks.footprint import footprint
    from benchmarks.order_id import order_id
    from benchmarks.router_ticks import router_ticks
    from benchmarks.start import start
    from benchmarks.status_polls import status_polls

    unlimited = {"api_rate_per_minute": 0, "api_requests_at_once": 0, "auth_rate_per_minute": 0}
    with running_session(**unlimited, failpoints="") as (_, deployment):
        parts: dict[str, Callable[[], Figure | list[Figure]]] = {
            "order-id": lambda: order_id(deployment, size.runs),
            "start": lambda: start(deployment, size.starts),
            "footprint": lambda: footprint(deployment),
            "polls": lambda: status_polls(deployment),
            "router": lambda: router_ticks(deployment.settings.redis_url),
        }
        for name, part in parts.items():
            if only in {"session", name}:
                taken = part()
                yield from taken if isinstance(taken, list) else [taken]


GROUPS = ("one", "many", "killed", "session", "stack")
"""Each in a process of its own: Ray cannot be joined twice from one."""


def main() -> int:
    """Exit code 1 if a figure missed its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--shots", type=int, default=FULL.shots, help="samples of a stop-loss figure under load")
    parser.add_argument("--crowd", type=int, default=FULL.crowd, help="strategies of --only two-hundred")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder: groups whose figures are in it are not measured again")
    parser.add_argument("--append", type=Path, help="add the figures of --only to this file")
    options = parser.parse_args()
    if options.only:
        size = QUICK if options.quick else replace(FULL, shots=options.shots, crowd=options.crowd)
        missed = [_told(figure, options.append) for figure in figures(size, options.only)]
        sys.stdout.flush()
        os._exit(int(any(missed)))  # clients that are still open do not matter
    sections = [_kept(group, options) for group in GROUPS]
    if options.write:
        RESULTS.write_text(report(sections, datetime.now(ZoneInfo("Asia/Kolkata"))), encoding="utf-8")
    return int(any("MISSED" in section for section in sections))


def _told(figure: Figure, append: Path | None) -> bool:
    print(figure.markdown(), flush=True)
    if append is not None:  # Ray says things on standard output, too
        with append.open("a", encoding="utf-8") as sections:
            sections.write(figure.markdown() + "\n")
    return figure.verdict.startswith("MISSED")


def _kept(group: str, options: argparse.Namespace) -> str:
    """A run of half an hour that breaks off near its end goes on from there, if it was given a folder."""
    kept = options.keep and options.keep / f"{group}.md"
    if kept and kept.exists():
        return str(kept.read_text(encoding="utf-8"))
    section = _in_a_process(group, options.shots, quick=options.quick)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(section, encoding="utf-8")
    return section


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
