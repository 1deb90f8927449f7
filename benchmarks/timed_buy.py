"""Wall-clock target -> BUY on the wire, beside APScheduler's AsyncIOScheduler with the same session to the broker."""

import json
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.figures import Figure, Row, met, percentile, ratio
from benchmarks.floor import Floor, Shot


def timed_buy(floor: Floor, alone: Sequence[Shot], together: Sequence[Sequence[Shot]]) -> Figure:
    """`alone`: shots of one seat, and `together`, volleys of all, that were taken for other figures."""
    figure = Figure(
        "Timed BUY: wall-clock target to order on the wire",
        "one strategy p99 < 2 ms; 50 in the same instant p99 < 10 ms; never early",
    )
    single = [shot.buy_ms for shot in alone]
    volleys = [shot.buy_ms for volley in together for shot in volley]
    count, rounds = len(together[0]), len(together)
    theirs = {n: _by_apscheduler(floor, n, r) for n, r in ((1, min(len(single), 100)), (count, rounds))}
    figure.rows = [
        Row("ours, one strategy", single),
        Row("APScheduler, one job", theirs[1]),
        Row(f"ours, {count} at one instant", volleys),
        Row(f"APScheduler, {count} jobs in one process", theirs[count]),
    ]
    figure.notes.append(
        f"APScheduler / ours: {ratio(theirs[1], single)} alone, {ratio(theirs[count], volleys)} for {count} (medians). "
        "Its jobs share one process and have no claim, journal or state; ours are one process each."
    )
    early = min(single + volleys)
    p99, p99_volley = percentile(single, 0.99), percentile(volleys, 0.99)
    figure.verdict = met(
        ok=p99 < 2 and p99_volley < 10 and early >= 0,
        said=f"p99 {p99:.1f} ms alone, {p99_volley:.1f} ms for {count}; the earliest {early:.2f} ms after its time",
    )
    return figure


def _by_apscheduler(floor: Floor, jobs: int, rounds: int) -> list[float]:
    argv = [sys.executable, "-m", "benchmarks.scheduled", floor.exchange.root, str(jobs), str(rounds)]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=600).stdout
    due: dict[str, int] = json.loads(said.splitlines()[-1])
    arrived = {tag: stamp for tag, _, _, stamp in floor.exchange.orders()}
    return [(arrived[tag] - at) / 1e6 for tag, at in due.items()]
