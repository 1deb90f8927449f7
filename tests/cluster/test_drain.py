"""`tradeactors drain`: a node is emptied one strategy at a time; each position has a guard at every moment (row J1)."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from actors.runtime import node_marks
from tests.cluster.test_nodes import FALLEN, PRICE, STOP, actors_of, holding, sold_once
from tests.kit.cluster import HOSTS, Cluster
from tests.kit.paper import eventually
from tests.kit.trader import Running, Trader

pytestmark = pytest.mark.timeout(600)

BOTH = {"strategy", "execution"}
WITHIN_S = 120
"""How long a drain may take on two busy cores, on which each new process starts cold."""


def test_a_node_is_emptied_while_execution_guards_and_then_gets_no_new_strategy(
    cluster: Cluster, trader: Trader
) -> None:
    strategies = holding(trader, 4)
    waits = trader.strategy("SBIN", buy_in=300, stop_loss=STOP)
    guarded_twice(strategies)
    emptied = busy_node(cluster, strategies)
    with guards_seen(strategies) as seen:
        done = drain(cluster, emptied)
    assert still_there(done) == set(), done.stdout + done.stderr
    assert {cluster.node_of(actor) for actor in actors_of([*strategies, waits])}.isdisjoint({emptied})
    assert seen.taken
    assert not seen.bare, "a moment without any guard"
    assert all(guard_of(strategy) >= BOTH for strategy in strategies)
    shown_as_emptied(cluster, [emptied])
    later = [trader.strategy("SBIN", buy_in=300, stop_loss=STOP) for _ in range(4)]
    assert emptied not in {cluster.node_of(actor) for actor in actors_of(later)}
    again = drain(cluster, emptied)
    assert still_there(again) == set(), again.stdout + again.stderr
    back = drain(cluster, emptied, "--back")
    assert (back.returncode, node_marks.marked()) == (0, frozenset()), back.stdout + back.stderr
    cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
    for strategy in strategies:
        sold_once(strategy)
    assert [strategy.stop().status_code for strategy in [waits, *later]] == [200] * 5
    assert len(strategies[0].requests_of("SELL")) == len(strategies)


def test_a_stop_that_is_touched_in_the_middle_is_sold_once_for_each(cluster: Cluster, trader: Trader) -> None:
    strategies, emptied, there = held_on_a_node(cluster, trader, 4)
    with drain_begun(cluster, emptied) as draining:
        eventually(lambda: any(is_away(cluster, one, emptied) for one in there), WITHIN_S, "the first has left")
        cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
        for strategy in strategies:
            sold_once(strategy)
        output, errors = draining.communicate(timeout=WITHIN_S)
        assert "strategy:" not in errors, output + errors
    assert len(strategies[0].requests_of("SELL")) == len(strategies)
    assert drain(cluster, emptied, "--back").returncode == 0


def test_what_cannot_move_is_named_and_stays(cluster: Cluster, trader: Trader) -> None:
    cluster.deployment.exchange.set_price("NSE:SBIN", PRICE)
    strategy = trader.strategy("SBIN", buy_in=5, sell_in=30, stop_loss=STOP)
    strategy.until_position("bought", 60)
    home, pid = cluster.node_of(strategy.actor), cluster.deployment.actor_pid(strategy.actor)
    refused = drain(cluster, home, "--within", "0")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert f"{strategy.actor} is still there: its SELL is at {strategy.sell_at:%H:%M:%S}." in refused.stderr
    assert cluster.deployment.actor_pid(strategy.actor) == pid
    assert drain(cluster, home, "--back").returncode == 0
    assert strategy.until_stopped(60)["position"] == "sold"
    unknown = subprocess.run(command("nowhere"), env=variables(cluster), capture_output=True, text=True, check=False)
    assert (unknown.returncode, HOSTS["one"] in unknown.stderr) == (2, True), unknown.stderr


def test_what_a_drain_that_is_killed_has_moved_goes_on_and_the_next_drain_ends_its_work(
    cluster: Cluster, trader: Trader
) -> None:
    strategies, emptied, there = held_on_a_node(cluster, trader, 3)
    with guards_seen(strategies) as seen, drain_begun(cluster, emptied) as draining:
        eventually(lambda: any(is_away(cluster, one, emptied) for one in there), WITHIN_S, "the first has left")
        draining.send_signal(signal.SIGSTOP)  # on an idle machine it is over before another command has begun
        second = drain(cluster, emptied)
        assert second.returncode == 1, second.stdout + second.stderr
        assert "Another `tradeactors drain` is emptying" in second.stderr
        draining.kill()
        guarded_twice(strategies)
    assert not seen.bare, "a moment without any guard"
    again = drain(cluster, emptied)
    assert still_there(again) == set(), again.stdout + again.stderr
    assert emptied not in {cluster.node_of(actor) for actor in actors_of(strategies)}
    assert drain(cluster, emptied, "--back").returncode == 0
    cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
    for strategy in strategies:
        sold_once(strategy)


def test_a_node_that_dies_while_it_is_emptied_costs_no_position_its_guard(cluster: Cluster, trader: Trader) -> None:
    strategies, emptied, there = held_on_a_node(cluster, trader, 4)
    with guards_seen(strategies) as seen, drain_begun(cluster, emptied) as draining:
        eventually(lambda: any(is_away(cluster, one, emptied) for one in there), WITHIN_S, "the first has left")
        cluster.nodes[emptied].kill()
        output, errors = draining.communicate(timeout=WITHIN_S)
        guarded_twice(strategies)
    assert draining.returncode in {0, 1}, output + errors
    assert not seen.bare, "a moment without any guard"
    cluster.start_node(emptied)
    cluster.await_node(emptied)
    shown_as_emptied(cluster, [])
    cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
    for strategy in strategies:
        sold_once(strategy)
    assert len(strategies[0].requests_of("SELL")) == len(strategies)


def test_without_another_node_it_is_refused(cluster: Cluster) -> None:
    assert drain(cluster, "one", "--within", "0").returncode == 0
    assert drain(cluster, "two", "--within", "0").returncode == 0
    refused = drain(cluster, "gateway")
    assert (refused.returncode, "No other node could take" in refused.stderr) == (1, True), refused.stderr
    shown_as_emptied(cluster, ["one", "two"])
    assert [drain(cluster, node, "--back").returncode for node in ("one", "two")] == [0, 0]
    shown_as_emptied(cluster, [])


def shown_as_emptied(cluster: Cluster, nodes: list[str]) -> None:
    """As operators see it: by the API's processes, within ten seconds."""
    expected = sorted(HOSTS[node] for node in nodes)
    redis = cluster.deployment.redis
    eventually(lambda: sorted(json.loads(redis.get("nodes:emptied") or "[]")) == expected, 30, f"{nodes} are shown")


def command(node: str, *options: str) -> list[str]:
    return [sys.executable, "-P", "-m", "config.commands.cli", "drain", HOSTS.get(node, node), *options]


def variables(cluster: Cluster) -> dict[str, str]:
    return cluster.variables_at("gateway")


def drain(cluster: Cluster, node: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator gives it on the gateway's machine."""
    return subprocess.run(
        command(node, *options),
        env=variables(cluster),
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )


def still_there(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The actors that the command names as not moved."""
    assert "Stopped" not in done.stderr, done.stdout + done.stderr
    return {line.partition(" ")[0] for line in done.stderr.splitlines() if " is still there: " in line}


@contextmanager
def drain_begun(cluster: Cluster, node: str) -> Iterator[subprocess.Popen[str]]:
    """The same, while it runs."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command(node), env=variables(cluster), stdout=pipe, stderr=pipe, text=True) as draining:
        try:
            yield draining
        finally:
            draining.kill()


def busy_node(cluster: Cluster, strategies: list[Running]) -> str:
    """The node without the gateway on which most of these run."""
    homes = [cluster.node_of(actor) for actor in actors_of(strategies)]
    return max(("one", "two"), key=homes.count)


def held_on_a_node(cluster: Cluster, trader: Trader, count: int) -> tuple[list[Running], str, list[Running]]:
    """Positions that are guarded twice, the node that is to be emptied, and those of them that are there."""
    strategies = holding(trader, count)
    guarded_twice(strategies)
    node = busy_node(cluster, strategies)
    return strategies, node, [strategy for strategy in strategies if cluster.node_of(strategy.actor) == node]


def is_away(cluster: Cluster, strategy: Running, node: str) -> bool:
    """Whether its process is no longer on this node, wherever it is."""
    return cluster.home_now(strategy.actor) != node


def guard_of(strategy: Running) -> set[str]:
    return {guard for guard in strategy.runtime().get("guard_by", "").split(",") if guard}


def guarded_twice(strategies: list[Running]) -> None:
    eventually(lambda: all(guard_of(strategy) >= BOTH for strategy in strategies), 60, "all are guarded twice")


@dataclass
class Looks:
    """What Redis showed as the guards of some strategies, looked at again and again."""

    taken: int = 0
    bare: list[str] = field(default_factory=list)
    """Each look at which a strategy had no guard: when, and what stood there."""

    def take(self, strategy: Running) -> None:
        """Look at one."""
        runtime = strategy.runtime()
        self.taken += 1
        if not runtime.get("guard_by"):
            self.bare.append(f"{datetime.now(UTC):%H:%M:%S.%f} {strategy.actor}: {runtime}")


@contextmanager
def guards_seen(strategies: list[Running]) -> Iterator[Looks]:
    """Looks at all of them, many times a second."""
    looks, over = Looks(), threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for strategy in strategies:
                looks.take(strategy)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield looks
    finally:
        over.set()
        looking.join()
