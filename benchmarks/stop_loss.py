"""Tick received -> stop-loss order on the wire, for one who is breached, and for many at once.

All of it is cold, as in life: the market ticks once a second, the tick that counts is one of those, and the benchmark
asks no process anything meanwhile. What stands beside it is shot the same way.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from statistics import median

from benchmarks.baselines import PlainScript, firsts, lasts, shots
from benchmarks.chains import Chain
from benchmarks.exchange_control import Control
from benchmarks.figures import Figure, Row, met, percentile, ratio
from benchmarks.floor import KEY, ApiLoad, Floor, Shot

POLLS, NOISE = 50, 200
"""Status polls a second, and what a noisy tenant asks for beside them."""

LOADED, WARM = "API load", "warm, API load"
LOADS = {LOADED: (POLLS,), "quiet": (), "API load and a noisy tenant": (POLLS, NOISE), WARM: (POLLS,)}
WIRE = "sent by the exchange → arrived there"
SCRIPT, REDIS, RAY = "plain pykiteconnect script", "Redis pub/sub chain", "plain Ray calls"

Taken = dict[str, list[list[float]]]
"""By name: of each fall, the milliseconds of its orders."""


def one_breached(floor: Floor, subscribers: int, count: int) -> Figure:
    """One stop-loss of a symbol on which `subscribers` strategies hold a position: our rows.

    `count` shots under load, a third as many of each other kind. `floor` has a seat for each subscriber.
    """
    seat, *others = floor.seats[:subscribers]
    if others:
        floor.hold(others)
    ours: dict[str, list[Shot]] = {}
    for name, rates in LOADS.items():
        with _load(floor, rates):
            number = count if name == LOADED else max(1, count // 3)
            ours[name] = [shot for _ in range(number) for shot in floor.shoot([seat], warm=name == WARM)]
    floor.release(others)
    figure = Figure(
        f"Stop-loss, cold: tick received to order on the wire, {subscribers} on the symbol",
        "p50 < 1.5 ms, p99 < 4 ms with the API under load, ahead of the plain script and of the Redis chain",
    )
    steps = floor.attempts()
    for name, taken in ours.items():
        received = [shot.sold_ns / 1e6 - steps[shot.run_id][0].timestamp() * 1e3 for shot in taken]
        figure.rows.append(Row(f"ours, {name}: received → arrived at the exchange", received))
        figure.rows.append(Row(f"ours, {name}: {WIRE}", [shot.stop_ms for shot in taken]))
    figure.notes.append(_steps(ours[LOADED], steps))
    return figure


def beside_one(figure: Figure, taken: Taken) -> Figure:
    """The figure with the rows of others, and its verdict. Only the script and the Redis chain are to be beaten."""
    received, ours = figure.rows[0].values, figure.rows[1].values
    ahead = True
    for name, falls in taken.items():
        theirs = [latency for latencies in falls for latency in latencies]
        figure.rows.append(Row(f"{name}: {WIRE}", theirs))
        figure.notes.append(f"{name} / ours: {ratio(theirs, ours)} (medians).")
        ahead = ahead and (not name.startswith((SCRIPT, REDIS)) or median(theirs) > median(ours))
    p50, p99 = percentile(received, 0.5), percentile(received, 0.99)
    beaten = "ahead of both" if ahead else "not ahead of both"
    figure.verdict = met(ok=p50 < 1.5 and p99 < 4 and ahead, said=f"p50 {p50:.2f}, p99 {p99:.2f} ms, {beaten}")
    return figure


def all_breached(volleys: Sequence[Sequence[Shot]], p50_ms: float, p99_ms: float | None = None) -> Figure:
    """All positions of a symbol stopped out by one tick: until the last order has left."""
    taken = [[shot.stop_ms for shot in volley] for volley in volleys]
    last = lasts(taken)
    figure = Figure(
        f"Stop-loss, cold: {len(volleys[0])} breached by one tick, until the last order is on the wire",
        f"p50 < {p50_ms:g} ms" + (f", p99 < {p99_ms:g} ms" if p99_ms else ""),
        [Row("ours: the last", last), Row("ours: the first", firsts(taken))],
    )
    p50, p99 = percentile(last, 0.5), percentile(last, 0.99)
    ok = p50 < p50_ms and (p99_ms is None or p99 < p99_ms)
    figure.verdict = met(ok=ok, said=f"p50 {p50:.1f}, p99 {p99:.1f} ms from the exchange's tick to the exchange")
    figure.notes.append("Each is of an account of its own.")
    return figure


def beside_all(figure: Figure, taken: Taken) -> Figure:
    """The figure with the rows of others."""
    for name, falls in taken.items():
        figure.rows.append(Row(f"{name}: the last", lasts(falls)))
        figure.notes.append(f"{name} / ours: {ratio(lasts(falls), figure.rows[0].values)} (medians).")
    return figure


def script_alone(exchange: Control, count: int) -> Taken:
    """The plain script with nothing else on the machine: nothing of ours has been started yet."""
    with PlainScript(exchange, 1, 1) as script:
        return {f"{SCRIPT}, nothing else on the machine": shots(exchange, script, count)}


def others_with_one(floor: Floor, count: int) -> Taken:
    """What stands beside one position, under the load that ours is under."""
    exchange, taken = floor.exchange, {}
    exchange.close_market(KEY)
    with _load(floor, (POLLS,)):
        with PlainScript(exchange, 1, 1) as script:
            taken[f"{SCRIPT}, {LOADED}"] = shots(exchange, script, count)
        for name, kind in ((REDIS, "redis"), (RAY, "ray")):
            chain = Chain(kind, exchange, 1)
            taken[f"{name}, {LOADED}"] = shots(exchange, chain, count if kind == "redis" else max(1, count // 2))
            chain.close()
    return taken


def others_with_many(floor: Floor, positions: int, count: int, volleys: int) -> tuple[Taken, Taken]:
    """The same for `positions` positions, of which one is breached, under load; and of which all are, without."""
    exchange, one, every = floor.exchange, {}, {}
    with PlainScript(exchange, positions, 1) as script, _load(floor, (POLLS,)):
        one[f"{SCRIPT}, {LOADED}"] = shots(exchange, script, count)
    with PlainScript(exchange, positions, positions) as script:
        every[f"{SCRIPT}, one process for all"] = shots(exchange, script, volleys)
    chain = Chain("redis", exchange, positions)
    with _load(floor, (POLLS,)):
        one[f"{REDIS}, {LOADED}"] = shots(exchange, chain, count)
    chain.breach(positions)
    every[REDIS] = shots(exchange, chain, volleys)
    chain.close()
    return one, every


@contextmanager
def _load(floor: Floor, rates: Sequence[int]) -> Iterator[None]:
    with ExitStack() as load:
        for rate in rates:
            load.enter_context(ApiLoad(floor.stack.urls["API"], floor.polled.headers, floor.polled.strategy_id, rate))
        yield


def _steps(ours: Sequence[Shot], steps: dict[int, tuple[datetime, datetime]]) -> str:
    stamps = [(shot.ticked_ns / 1e6, *(at.timestamp() * 1e3 for at in steps[shot.run_id]), shot.sold_ns / 1e6)
              for shot in ours]  # fmt: skip
    heard, decided, out = (median(s[n + 1] - s[n] for s in stamps) for n in range(3))
    return (
        f"The steps, medians under API load: exchange → received by whoever decided {heard:.2f} ms, → handed to the "
        f"HTTP client in execution {decided:.2f} ms, → arrived {out:.2f} ms. The exchange wrote the tick to "
        f"{median(shot.sockets for shot in ours):.0f} of our WebSockets. Warm: after twenty ticks in 0.2 s."
    )
