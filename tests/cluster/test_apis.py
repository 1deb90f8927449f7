"""Several API processes against one cluster: the same commands at both at once, and one that dies in the middle."""

import functools
import signal
from typing import Any

import httpx

from tests.cluster.test_nodes import PRICE, STOP, wanted
from tests.kit.cluster import Cluster
from tests.kit.paper import eventually
from tests.kit.trader import Trader, at_once


def test_starts_and_stops_at_two_apis_make_one_run_and_sell_once(cluster: Cluster, trader: Trader) -> None:
    cluster.deployment.exchange.set_price("NSE:SBIN", PRICE)
    first, second = both(cluster, trader)
    strategy = trader.strategy("SBIN", buy_in=8, stop_loss=STOP)
    again = {"strategy_id": strategy.id}
    apis = [first, second] * 5
    answers = at_once(lambda: apis.pop().post("/strategy/start", json=again), 10)
    assert {(answer.status_code, answer.json()["buy_at"]) for answer in answers} == {(200, strategy.started["buy_at"])}
    assert len(cluster.deployment.query("select id from runs where strategy_id = %s", strategy.id)) == 1
    strategy.until_position("bought")
    apis = [first, second] * 5
    stopped = at_once(lambda: apis.pop().post("/strategy/stop", json=again), 10)
    assert {answer.status_code for answer in stopped} <= {200, 202}
    strategy.until_stopped()
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)


def test_a_start_whose_api_is_killed_is_finished_by_the_other(cluster: Cluster, trader: Trader) -> None:
    cluster.deployment.exchange.set_price("NSE:SBIN", PRICE)
    _, second = both(cluster, trader)
    cluster.start_api("gateway")
    doomed, process = httpx.Client(base_url=cluster.api_urls.pop(), timeout=30), cluster.apis.pop()
    doomed.headers.update(second.headers)
    body = wanted("SBIN") | {"stop_loss": STOP}
    ids = [int(trader.ok("POST", "/strategy/create", body)["strategy_id"]) for _ in range(4)]

    def start(strategy_id: int) -> None:
        try:
            doomed.post("/strategy/start", json={"strategy_id": strategy_id})
        except httpx.TransportError:
            return

    def kill_when_one_is_written() -> None:
        eventually(lambda: open_runs(cluster, ids), 20, "a START is written down")
        process.signal(signal.SIGKILL)

    work: list[Any] = [*(functools.partial(start, s) for s in ids), kill_when_one_is_written]

    def next_work() -> None:
        work.pop()()

    at_once(next_work, len(work))
    written = open_runs(cluster, ids)
    assert written
    actors = {f"strategy:{strategy_id}" for strategy_id in written}
    eventually(lambda: actors <= cluster.deployment.actors(), 30, "their actors live")
    for strategy_id in ids:
        assert second.post("/strategy/stop", json={"strategy_id": strategy_id}).status_code == 200
    eventually(lambda: not open_runs(cluster, ids), 30, "all are stopped")


def both(cluster: Cluster, trader: Trader) -> list[httpx.Client]:
    """The trader's app at each of the APIs."""
    headers: dict[str, Any] = {"Authorization": trader.http.headers["Authorization"]}
    return [httpx.Client(base_url=url, headers=headers, timeout=45) for url in cluster.api_urls]


def open_runs(cluster: Cluster, strategy_ids: list[int]) -> list[int]:
    rows = cluster.deployment.query(
        "select strategy_id from runs where ended_at is null and strategy_id = any(%s)", strategy_ids
    )
    return [row["strategy_id"] for row in rows]
