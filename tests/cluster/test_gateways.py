"""Two order gateways: one is emptied while positions are guarded, and the other one dies in the middle of an order."""

import os
import re
from datetime import UTC, datetime

import pytest

from actors.runtime import node_marks
from config.settings import PREFIX
from tests.cluster.test_drain import BOTH, drain, drain_begun, guard_of, guarded_twice, guards_seen, still_there
from tests.cluster.test_nodes import FALLEN, holding, sold_once
from tests.kit.cluster import Cluster
from tests.kit.paper import eventually
from tests.kit.trader import Trader

ROLLED = int(os.environ.get("ROLLED_POSITIONS", "8"))
"""Positions under which the nodes are started again: eight are what two cores carry in a minute; `make rolling` has
thirty."""

TOUCHED = max(2, ROLLED // 5)
KEPT = ROLLED - TOUCHED
"""How many of them are sold in the middle, and how many are guarded throughout."""

ROLL_WITHIN_S = 60 + 15 * ROLLED

pytestmark = pytest.mark.timeout(600 + 120 * ROLLED)

HANGS_S = 4
"""How long the exchange keeps the answer to an order that it has: longer than its gateway needs to die."""


def test_a_gateway_is_emptied_and_the_other_one_dies_in_the_middle_of_an_order(
    cluster: Cluster, trader: Trader
) -> None:
    cluster.start_node("other", gateway=True)
    try:
        cluster.await_node("other")
        strategies = holding(trader, 3)
        guarded_twice(strategies)
        emptied = drain(cluster, "gateway")
        assert still_there(emptied) == set(), emptied.stdout + emptied.stderr
        assert cluster.node_of("execution:0") == "other"
        assert all(guard_of(strategy) >= BOTH for strategy in strategies)
        assert drain(cluster, "gateway", "--back").returncode == 0
        match = {"user_id": trader.account.user_id, "transaction_type": "SELL"}
        cluster.deployment.exchange.fault("accepted-hang", match, seconds=HANGS_S)
        cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
        eventually(lambda: strategies[0].requests_of("SELL"), 10, "an exit is at the exchange")
        cluster.nodes["other"].kill()
        for strategy in strategies:
            assert strategy.until_stopped(90)["position"] == "exited_by_sl"
            orders = {line["order_id"] for line in strategy.log() if line["order_id"]}
            assert len(orders) == 2, "the BUY, and the one exit, which the next execution has found in the book"
        assert cluster.node_of("execution:0") == "gateway"
        assert (strategies[0].sides().count("SELL"), strategies[0].net()) == (len(strategies), 0)
    finally:
        cluster.nodes.pop("other").kill()
        cluster.deployment.exchange.clear_faults()


def test_a_part_that_begins_on_no_other_gateway_begins_where_it_was_and_the_mark_is_taken_off(
    cluster: Cluster, trader: Trader
) -> None:
    cluster.start_node("other", gateway=True, **{f"{PREFIX}EXECUTION_ACTORS": "none"})  # no actor of it can begin there
    try:
        cluster.await_node("other")
        strategies = holding(trader, 2)
        guarded_twice(strategies)
        with guards_seen(strategies) as seen:
            stopped = drain(cluster, "gateway")
        assert stopped.returncode == 1, stopped.stdout + stopped.stderr
        # the feed comes first, if execution hears every price by the accounts' own streams in that moment
        tried = re.search(r"(feed|execution):0 has not begun elsewhere", stopped.stderr)
        assert tried is not None, stopped.stderr
        assert "it has begun there again" in stopped.stderr
        assert "No actor begins there" not in stopped.stderr
        parts = {cluster.node_of("execution:0"), cluster.node_of(f"{tried[1]}:0")}
        assert (parts, node_marks.marked()) == ({"gateway"}, frozenset())
        guarded_twice(strategies)
        assert not seen.bare, "a moment without any guard"
        cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
        for strategy in strategies:
            sold_once(strategy)
    finally:
        cluster.nodes.pop("other").kill()


def test_nodes_are_started_again_one_by_one_under_positions_and_a_stop_is_touched_in_the_middle(
    cluster: Cluster, trader: Trader
) -> None:
    touched_price, touched_stop = 4000.00, 3900.00
    cluster.deployment.exchange.set_price("NSE:TCS", touched_price)
    touched = [trader.strategy("TCS", buy_in=12 + TOUCHED, stop_loss=touched_stop) for _ in range(TOUCHED)]
    kept = holding(trader, KEPT)
    for strategy in touched:
        strategy.until_position("bought", 60)
    guarded_twice([*touched, *kept])
    steps: list[str] = []
    with guards_seen(kept) as seen:
        for name in ("one", "two"):
            with drain_begun(cluster, name) as draining:
                if name == "two":
                    cluster.deployment.exchange.set_price("NSE:TCS", touched_stop - 1)
                output, errors = draining.communicate(timeout=ROLL_WITHIN_S)
            assert (draining.returncode, errors) == (0, ""), output + errors
            steps.append(f"{datetime.now(UTC):%H:%M:%S} {name} is emptied: {output}{errors}")
            cluster.nodes[name].kill()
            cluster.start_node(name)
            cluster.await_node(name)
            steps.append(f"{datetime.now(UTC):%H:%M:%S} {name} is up")
            guarded_twice(kept)
    for strategy in touched:
        sold_once(strategy)
    assert not seen.bare, "\n".join([*steps, "a position without any guard"])
    assert [strategy.status()["position"] for strategy in kept] == ["bought"] * KEPT
    cluster.deployment.exchange.set_price("NSE:SBIN", FALLEN)
    for strategy in kept:
        sold_once(strategy)
    assert len(kept[0].requests_of("SELL")) == TOUCHED + KEPT
