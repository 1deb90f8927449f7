"""Tick received -> stop-loss order on the wire, for one who is breached, and for fifty at once."""

import time
from contextlib import ExitStack

from benchmarks.chains import Chain
from benchmarks.figures import Figure, Row, met, percentile, ratio
from benchmarks.floor import ALL_BUY_IN_S, ApiLoad, Floor, Shot

POLLS, NOISE = 50, 200
"""Status polls a second, and what a noisy tenant asks for beside them."""


def one_breached(floor: Floor, subscribers: int, shots: int) -> tuple[Figure, list[Shot]]:
    """One stop-loss on a symbol that so many follow, and the quiet shots. `floor` has as many seats."""
    seat, *others = floor.seats[:subscribers]
    if others:
        floor.begin(others, 36_000)  # they wait for their buy time, and follow the price
    figure = Figure(
        f"Stop-loss: tick received to order on the wire, {subscribers} on the symbol",
        "p50 < 1 ms, p99 < 3 ms, p99.9 < 5 ms, with the API under load",
    )
    ours: dict[str, list[Shot]] = {}
    for name, rates in (("quiet", ()), ("API load", (POLLS,)), ("API load and a noisy tenant", (POLLS, NOISE))):
        with ExitStack() as load:
            for rate in rates:
                load.enter_context(ApiLoad(floor.stack.urls["API"], seat.headers, seat.strategy_id, rate))
            ours[name] = [shot for _ in range(shots) for shot in floor.shoot([seat])]
    received = {run_id: due for run_id, (due, _) in floor.attempts().items()}
    whole: dict[str, list[float]] = {}
    for name, taken in ours.items():
        from_feed = [shot.sold_ns / 1e6 - received[shot.run_id].timestamp() * 1e3 for shot in taken]
        whole[name] = [shot.stop_ms for shot in taken]
        figure.rows.append(Row(f"ours, {name}: received by the feed → arrived at the exchange", from_feed))
        figure.rows.append(Row(f"ours, {name}: sent by the exchange → arrived there", whole[name]))
    verdict = figure.rows[2].values
    with ApiLoad(floor.stack.urls["API"], seat.headers, seat.strategy_id, POLLS):
        for kind, called in (("ray", "plain Ray calls"), ("redis", "Redis pub/sub")):
            chain = Chain(kind, floor, subscribers, 1)
            taken_by_chain = [latency for _ in range(shots) for latency in chain.shoot()]
            chain.close()
            figure.rows.append(Row(f"{called}, API load: sent by the exchange → arrived there", taken_by_chain))
            figure.notes.append(f"{called} / ours: {ratio(taken_by_chain, whole['API load'])} (medians, API load).")
    p50, p99, worst = (percentile(verdict, share) for share in (0.5, 0.99, 0.999))
    figure.verdict = met(
        ok=p50 < 1 and p99 < 3 and worst < 5, said=f"p50 {p50:.2f}, p99 {p99:.2f}, p99.9 {worst:.2f} ms under API load"
    )
    return figure, ours["quiet"]


def all_breached(floor: Floor, volleys: int) -> Figure:
    """All seats stopped out by one tick: until the last order has left."""
    count = len(floor.seats)
    figure = Figure(f"Stop-loss: {count} breached by one tick, until the last order is on the wire", "< 15 ms")
    last, first = [], []
    for _ in range(volleys):
        shots = floor.shoot(floor.seats, ALL_BUY_IN_S)
        last.append(max(shot.stop_ms for shot in shots))
        first.append(min(shot.stop_ms for shot in shots))
        time.sleep(1)
    figure.rows = [Row("ours: the last", last), Row("ours: the first", first)]
    chain = Chain("ray", floor, count, count)
    plain = [max(chain.shoot(0.5)) for _ in range(volleys)]
    chain.close()
    figure.rows.append(Row("plain Ray calls: the last", plain))
    figure.notes.append(f"plain Ray calls / ours: {ratio(plain, last)} (medians).")
    median = percentile(last, 0.5)
    figure.verdict = met(ok=median < 15, said=f"median {median:.1f} ms, from the exchange's tick to the exchange")
    return figure
