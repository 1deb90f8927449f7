"""POST /strategy/start -> running, warm and cold, beside the creation of a bare Ray actor."""

import time
from typing import Any

from benchmarks.empty import Empty
from benchmarks.figures import Figure, Row, met, percentile, ratio
from tests.kit.trader import Deployment

REFILL_S = 6.0
"""What the pool of warm workers gets between two STARTs."""


def start(deployment: Deployment, runs: int) -> Figure:
    """Warm: one after the other, the pool full. Cold: several at once, more than there are warm workers."""
    import ray

    from actors.runtime.warm_pool import prestart

    trader = deployment.trader()
    trader.strategy(
        "TCS", buy_in=600, sell_in=1200
    ).stop()  # the router of the symbol comes to life with its first strategy
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
    ids = [_created(trader) for _ in range(14)]
    cold = []
    for strategy_id in ids:  # without a pause: the pool is empty after the first few
        begun = time.monotonic()
        trader.ok("POST", "/strategy/start", {"strategy_id": strategy_id})
        cold.append((time.monotonic() - begun) * 1e3)
    for strategy_id in ids:
        trader.call("POST", "/strategy/stop", {"strategy_id": strategy_id})
    cold = sorted(cold)[-8:]
    p50, worst = percentile(warm, 0.5), max(cold)
    return Figure(
        "POST /strategy/start until running",
        "< 100 ms with a warm worker, < 2.5 s cold",
        [Row("ours, warm", warm), Row("ours, pool empty", cold), Row("bare Ray actor, warm pool", bare)],
        met(ok=p50 < 100 and worst < 2500, said=f"warm p50 {p50:.0f} ms, with an empty pool {worst:.0f} ms"),
        [f"ours / bare actor: {ratio(warm, bare)} (medians). Beyond the actor, START asks the broker for the price, "
         "writes run, intent and mirror, and loads the run."],
    )  # fmt: skip


def _created(trader: Any) -> int:
    body = {"symbol": "TCS", "buy_time": "23:59:00", "sell_time": "23:59:59", "stop_loss": 1.0, "quantity": 1}
    return int(trader.ok("POST", "/strategy/create", body)["strategy_id"])
