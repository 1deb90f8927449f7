"""Rows J1-J3 and ruling 8 on several nodes: placement, ticks between nodes, nodes and heads that die or are cut off."""

import signal
import time
from datetime import UTC, datetime

import psutil

from tests.kit.cluster import HOSTS, Cluster
from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader

PRICE, STOP, FALLEN = 800.00, 790.00, 789.00
GUARDED_WITHIN_S = 15.0
"""A lost node is noticed in two seconds; its actors start cold on nodes with two busy cores between them."""

STOPPED_WITHIN_S = 12.0
"""Without the head no process can tell whether the actor's process has ended, and STOP waits a moment for that."""


def test_orders_leave_from_the_gateway_node_only_and_ticks_cross_nodes(cluster: Cluster, trader: Trader) -> None:
    strategies = holding(trader, 4)
    assert cluster.node_of("execution:0") == "gateway"
    homes = {strategy.actor: cluster.node_of(strategy.actor) for strategy in strategies}
    assert len(set(homes.values())) >= 2, homes
    router = cluster.node_of("router:NSE:SBIN")
    away = next(actor for actor, home in homes.items() if home != router)
    assert address_of(cluster, router) in peers_of(cluster.deployment.actor_pid(away)), "its ticks come over TCP"
    cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
    for strategy in strategies:
        sold_once(strategy)


def test_strategies_of_a_lost_node_are_guarded_by_another(cluster: Cluster, trader: Trader) -> None:
    strategies = holding(trader, 3)
    lost = next(home for home in map(cluster.node_of, actors_of(strategies)) if home in {"one", "two"})
    cluster.nodes[lost].kill()
    killed_at = datetime.now(UTC)
    cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
    for strategy in strategies:
        sold_once(strategy)
    assert unguarded_s(strategies, killed_at) < GUARDED_WITHIN_S
    cluster.start_node(lost)
    cluster.await_node(lost)


def test_a_node_that_was_cut_off_and_comes_back_sells_nothing_twice(cluster: Cluster, trader: Trader) -> None:
    strategies = holding(trader, 3)
    homes = {strategy.actor: cluster.node_of(strategy.actor) for strategy in strategies}
    cut_off = next(home for home in homes.values() if home in {"one", "two"})
    moved = [actor for actor, home in homes.items() if home == cut_off]
    cluster.nodes[cut_off].signal(signal.SIGSTOP)
    eventually(lambda: not {cluster.home_now(actor) for actor in moved} & {None, cut_off}, 60, "they live elsewhere")
    cluster.nodes[cut_off].signal(signal.SIGCONT)  # from now on both incarnations run
    cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
    for strategy in strategies:
        sold_once(strategy)
    cluster.nodes[cut_off].kill()
    cluster.start_node(cut_off)
    cluster.await_node(cut_off)
    assert len(strategies[0].requests_of("SELL")) == len(strategies)


def test_strategies_trade_on_and_a_panic_sells_without_the_head_and_starts_work_again_with_it(
    cluster: Cluster, deployment: Deployment, trader: Trader
) -> None:
    first, second, third = holding(trader, 3)
    kept = trader.strategy("TCS", buy_in=4)
    kept.until_position("bought", 60)
    cluster.nodes["head"].kill()
    begun = time.monotonic()
    answer = third.stop()
    assert answer.is_success, answer.text
    assert time.monotonic() - begun < STOPPED_WITHIN_S
    assert third.until_stopped(5)["position"] == "sold"
    deployment.exchange.set_price("NSE:SBIN", FALLEN)
    sold_once(first)
    sold_once(second)
    created = trader.ok("POST", "/strategy/create", wanted("TCS"))
    refused = trader.call("POST", "/strategy/start", {"strategy_id": created["strategy_id"]})
    assert (refused.status_code, refused.json()["code"]) == (503, "engine_unavailable"), refused.text
    panic = trader.ok("POST", "/panic")["panic_id"]
    assert kept.until_stopped(30)["position"] == "sold"
    cluster.start_head()
    # the run of the refused START has no actor that could be asked before
    eventually(lambda: trader.ok("GET", f"/panic/{panic}")["state"] == "finished", 90, "the panic is finished")
    trader.ok("POST", "/auth/confirm", {"password": trader.password})
    trader.ok("POST", "/risk/unlock")
    begin = {"strategy_id": created["strategy_id"]}
    eventually(lambda: trader.call("POST", "/strategy/start", begin).is_success, 90, "START works again")
    assert trader.call("POST", "/strategy/stop", begin).is_success


def holding(trader: Trader, count: int) -> list[Running]:
    """Strategies of one account, all with a position in SBIN."""
    trader.deployment.exchange.set_price("NSE:SBIN", PRICE)
    strategies = [trader.strategy("SBIN", buy_in=4 + count, stop_loss=STOP) for _ in range(count)]
    for strategy in strategies:
        strategy.until_position("bought", 60)
    return strategies


def wanted(symbol: str) -> dict[str, object]:
    return {"symbol": symbol, "buy_time": "23:59:00", "sell_time": "23:59:59", "stop_loss": 1.0, "quantity": 1}


def actors_of(strategies: list[Running]) -> list[str]:
    return [strategy.actor for strategy in strategies]


def sold_once(strategy: Running) -> None:
    assert strategy.until_stopped(90)["position"] == "exited_by_sl"
    legs = [line for line in strategy.log() if line["event"] == "STOPLOSS" and line["order_id"]]
    assert len({line["order_id"] for line in legs}) == 1


def unguarded_s(strategies: list[Running], since: datetime) -> float:
    """Seconds until the last stop-loss order reached the exchange."""
    last = max(int(request["received_ns"]) for request in strategies[0].requests_of("SELL"))
    return last / 1e9 - since.timestamp()


def address_of(cluster: Cluster, node: str) -> str:
    return HOSTS.get(node) or cluster.head_address.rpartition(":")[0]


def peers_of(pid: int) -> set[str]:
    """The addresses that a process has TCP connections to."""
    return {link.raddr.ip for link in psutil.Process(pid).net_connections("tcp") if link.raddr}
