"""A process is killed in the very instant of the breach -> the stop-loss order is at the exchange.

Real strategies, begun with START. The exchange kills (SIGKILL) and then writes the tick: who is killed does not see it.
The market goes on at the fallen price, one tick a second.
"""

import os
import random
import signal
import time
from datetime import datetime, timedelta
from typing import Any

import httpx

from actors.runtime import names
from actors.runtime.names import Pools
from benchmarks.baselines import FALLEN, PRICE, QUIET_S, STOP
from benchmarks.empty import Empty
from benchmarks.figures import Figure, Row, met, percentile
from benchmarks.floor import KEY, SYMBOL, Floor, Seat
from benchmarks.warm_workers import fill_pool, prestart

NOBODY, BYSTANDER = "nobody", "bystander"
"""A bystander is an actor that has no part in it: what a death and a restart cost this machine in any case."""

KINDS = (NOBODY, BYSTANDER, "strategy", "router", "execution", "feed", "ledger")
AS_WITHOUT = ("strategy", "router", "ledger")
"""The deaths of these may cost no more than a bystander's; those of the others may cost a second."""

_BUY_IN_S = 3
_ENOUGH_S = 40.0


def killed(floor: Floor, rounds: int) -> Figure:
    """Every kind of process in turn, so that what the machine does meanwhile hits all alike."""
    import ray

    seat = floor.sign_up(0)
    floor.exchange.open_market(KEY, PRICE)
    taken: dict[str, list[float]] = {}
    with httpx.Client(base_url=floor.stack.urls["API"], headers=seat.headers, timeout=60) as http:
        bystander: Any = ray.remote(num_cpus=0, max_restarts=-1)(Empty).options(name=BYSTANDER).remote()
        _shoot(floor, http, seat, NOBODY)  # pays for what all others find ready
        for _ in range(rounds):
            for kind in KINDS:
                taken.setdefault(kind, []).append(_shoot(floor, http, seat, kind))
        ray.kill(bystander)
    floor.exchange.close_market(KEY)
    figure = Figure(
        "A process killed in the instant of the breach, until the stop-loss order is at the exchange",
        "strategy, router, ledger: as without a kill (p50 at most 1.5 times, p99 at most twice that of a bystander's "
        "death); execution, feed: p99 < 1 s",
        [Row(f"ours, {kind} killed", values) for kind, values in taken.items()],
    )
    figure.rows.append(Row("bare Ray actor killed, until it answers", [_bare() for _ in range(rounds)]))
    missed = [kind for kind, values in taken.items() if not _good(kind, values, taken[BYSTANDER])]
    worst = ", ".join(f"{kind} {max(values):.0f}" for kind, values in taken.items())
    figure.verdict = met(ok=not missed, said=f"at most {worst} ms" + (f"; {', '.join(missed)} missed" * bool(missed)))
    figure.notes.append("A market of one tick a second, an exchange that sends the latest tick on a new subscription.")
    return figure


def victim(kind: str, seat: Seat, pools: Pools) -> str:
    """The name of the actor of a kind on which a position relies."""
    match kind:
        case "bystander":
            return BYSTANDER
        case "strategy":
            return names.strategy_name(seat.strategy_id)
        case "router":
            return names.router_name(KEY)
        case "execution":
            return names.execution_name(seat.account_id, pools)
        case "feed":
            return names.feed_name()
        case _:
            return names.ledger_name(seat.strategy_id, pools)


def _good(kind: str, values: list[float], bystander: list[float]) -> bool:
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    if kind in AS_WITHOUT:
        return p50 <= 1.5 * percentile(bystander, 0.5) and p99 <= 2 * percentile(bystander, 0.99)
    return p99 < 1000


def _shoot(floor: Floor, http: httpx.Client, seat: Seat, kind: str) -> float:
    """START, buy, guard; kill and breach. Milliseconds from the tick to the order."""
    floor.exchange.open_market(KEY, PRICE)
    floor.exchange.tick(KEY, PRICE)
    _start(floor, http, seat)
    _until(http, seat, "position", "bought")
    fill_pool(_handle(names.feed_name()))
    if kind == BYSTANDER:
        prestart(_handle(BYSTANDER), 1)  # the pool is the other job's
    pools = Pools(floor.settings.execution_actors, floor.settings.ledger_actors)
    pids = [_pid(victim(kind, seat, pools))] if kind != NOBODY else []
    time.sleep(random.uniform(*QUIET_S))
    breach = floor.exchange.fall(KEY, FALLEN, 1, kill=pids)
    _until(http, seat, "strategy_status", "stopped")
    _until_whole(floor)
    return breach.latencies_ms[0]


def _start(floor: Floor, http: httpx.Client, seat: Seat) -> None:
    buy_at = datetime.now(floor.settings.zone) + timedelta(seconds=_BUY_IN_S)
    body = {"symbol": SYMBOL, "buy_time": f"{buy_at:%H:%M:%S}", "sell_time": "23:59:58", "stop_loss": STOP / 100}
    created = http.post("/strategy/create", json={**body, "quantity": 1}).raise_for_status().json()
    seat.strategy_id = created["strategy_id"]
    http.post("/strategy/start", json={"strategy_id": seat.strategy_id}).raise_for_status()


def _until(http: httpx.Client, seat: Seat, field: str, wanted: str) -> None:
    until = time.monotonic() + _ENOUGH_S
    while (status := http.get(f"/strategy/status/{seat.strategy_id}").raise_for_status().json())[field] != wanted:
        assert time.monotonic() < until, status
        time.sleep(0.1)


def _until_whole(floor: Floor) -> None:
    """Wait until every killed process is back."""
    until = time.monotonic() + _ENOUGH_S
    for name in (names.execution_name(0, Pools()), names.feed_name(), names.ledger_name(0, Pools())):
        _pid(name)
    while not floor.exchange.listeners(KEY):
        assert time.monotonic() < until, "the feed does not come back"
        time.sleep(0.1)


def _handle(name: str) -> Any:
    import ray

    return ray.get_actor(name, namespace=names.NAMESPACE)


def _pid(name: str) -> int:
    """The pid of an actor, once it has one."""
    import ray

    until = time.monotonic() + _ENOUGH_S
    while True:
        try:
            pid: int = ray.get(_handle(name).process_id.remote(), timeout=_ENOUGH_S)
        except ray.exceptions.RayActorError:
            assert time.monotonic() < until, name
            time.sleep(0.1)
        else:
            return pid


def _bare() -> float:
    """An actor that does nothing, killed, until it answers again."""
    import ray

    actor: Any = ray.remote(num_cpus=0, max_restarts=-1)(Empty).remote()
    pid = ray.get(actor.process_id.remote())
    prestart(actor, 1)
    time.sleep(random.uniform(*QUIET_S))
    os.kill(pid, signal.SIGKILL)
    begun = time.monotonic()
    while True:
        try:
            ray.get(actor.process_id.remote())
        except ray.exceptions.RayActorError:
            continue
        break
    taken = (time.monotonic() - begun) * 1e3
    ray.kill(actor)
    return taken
