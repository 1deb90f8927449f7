"""POST /strategy/start -> running, one at a time and twenty without a pause, beside the creation of a bare actor."""

import time
from typing import Any

from benchmarks.empty import Empty
from benchmarks.figures import Figure, Row, met, percentile, ratio
from tests.kit.trader import Deployment

REFILL_S = 6.0
"""What the pool of warm workers gets between two STARTs."""

IN_A_ROW = 20


def start(deployment: Deployment, runs: int) -> Figure:
    """Warm: the pool full. In a row: each as soon as the one before it has answered, more than there are workers."""
    import ray

    from actors.runtime.driver.warm_workers import prestart

    trader = deployment.trader()
    trader.strategy("TCS", buy_in=600, sell_in=1200).stop()  # the router of the symbol starts with its first strategy
    time.sleep(REFILL_S)
    warm, bare = [], []
    for _ in range(runs):
        strategy_id = _created(trader)
        begun = time.monotonic()
        trader.ok("POST", "/strategy/start", {"strategy_id": strategy_id})
        warm.append((time.monotonic() - begun) * 1e3)
        prestart(ray.nodes()[0], 1)  # our own job's; the API's job has its pool
        time.sleep(REFILL_S)
        begun = time.monotonic()
        actor = ray.remote(num_cpus=0)(Empty).remote()
        ray.get(actor.ready.remote())
        bare.append((time.monotonic() - begun) * 1e3)
        trader.call("POST", "/strategy/stop", {"strategy_id": strategy_id})
        ray.kill(actor)
        time.sleep(REFILL_S / 2)
    ids = [_created(trader) for _ in range(IN_A_ROW)]
    time.sleep(REFILL_S)
    row = []
    for strategy_id in ids:
        begun = time.monotonic()
        trader.ok("POST", "/strategy/start", {"strategy_id": strategy_id})
        row.append((time.monotonic() - begun) * 1e3)
    for strategy_id in ids:
        trader.call("POST", "/strategy/stop", {"strategy_id": strategy_id})
    p50, slowest = percentile(warm, 0.5), max(row)
    return Figure(
        "POST /strategy/start until running",
        f"p50 < 80 ms with a warm worker; of {IN_A_ROW} in a row without a pause each < 500 ms",
        [Row("ours, warm", warm), Row(f"ours, {IN_A_ROW} in a row", row), Row("bare Ray actor, warm pool", bare)],
        met(ok=p50 < 80 and slowest < 500, said=f"warm p50 {p50:.0f} ms, the slowest in a row {slowest:.0f} ms"),
        [f"ours / bare actor: {ratio(warm, bare)} (medians). Beyond the actor, START asks the broker for the price, "
         "writes run, intent and mirror, and loads the run.",
         "In a row, one by one: " + ", ".join(f"{taken:.0f}" for taken in row) + " ms."],
    )  # fmt: skip


def _created(trader: Any) -> int:
    body = {"symbol": "TCS", "buy_time": "23:59:00", "sell_time": "23:59:59", "stop_loss": 1.0, "quantity": 1}
    return int(trader.ok("POST", "/strategy/create", body)["strategy_id"])
