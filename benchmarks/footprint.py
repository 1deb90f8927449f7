"""Memory and idle CPU of a strategy's actor, beside an empty Ray actor started with the same settings."""

import statistics
import time
from typing import Any

import psutil

from benchmarks.empty import Empty
from benchmarks.figures import Figure, met
from tests.kit.trader import Deployment

COUNT, WATCH_S = 8, 40.0


def footprint(deployment: Deployment) -> list[Figure]:
    """`COUNT` strategies that wait for their buy time, and as many empty actors, at the same time."""
    import ray

    trader = deployment.trader()
    running = [trader.strategy("TCS", buy_in=3000, sell_in=3600) for _ in range(COUNT)]
    empty = [ray.remote(num_cpus=0)(Empty).remote() for _ in range(COUNT)]
    ours = [psutil.Process(deployment.actor_pid(strategy.actor)) for strategy in running]
    theirs = [psutil.Process(ray.get(actor.process_id.remote())) for actor in empty]
    time.sleep(5)
    before = [_cpu(process) for process in (*ours, *theirs)]
    time.sleep(WATCH_S)
    used = [(_cpu(p) - b) / WATCH_S * 100 for p, b in zip((*ours, *theirs), before, strict=True)]
    uss = [p.memory_full_info().uss / 2**20 for p in (*ours, *theirs)]
    for strategy in running:
        strategy.stop()
    for actor in empty:
        ray.kill(actor)
    return [
        _compared("Memory of an idle StrategyActor (USS)", "≤ 1.10 × an empty Ray actor", uss, "MB", 1.10),
        _compared("Idle CPU of a StrategyActor", "≤ 1.1 × an empty Ray actor", used, "% of a core", 1.1),
    ]


def _compared(title: str, target: str, values: list[float], unit: str, limit: float) -> Figure:
    ours, theirs = statistics.median(values[:COUNT]), statistics.median(values[COUNT:])
    figure = Figure(title, target, verdict=met(ok=ours / theirs <= limit, said=f"{ours / theirs:.2f} ×"))
    figure.plain = [
        (f"StrategyActor, median of {COUNT}", f"{ours:.2f} {unit}"),
        (f"empty Ray actor, median of {COUNT}", f"{theirs:.2f} {unit}"),
    ]
    return figure


def _cpu(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
