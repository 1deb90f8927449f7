"""The actors of the engine as the driver makes them, each under its name."""

from typing import Any

from actors.runtime import names, node_marks
from actors.runtime.hosts.actor_options import actor_of, environment_of
from actors.runtime.hosts.remote_classes import ExecutionActor, Ledger, MarketListener
from actors.runtime.hosts.strategy import StrategyActor
from actors.runtime.names import Pools

_CONCURRENT_CALLS = 100_000
"""An execution actor holds one call open per live order: a STOPLOSS must not queue behind Ray's default of 1000."""

EXECUTION_HOST = "actors.runtime.hosts.execution"
"""What a process of execution has imported before it is one."""

ORDER_GATEWAY = "order_gateway"
"""The Ray resource of nodes whose address is registered with the broker (ruling 8)."""


def create_strategy(run_id: int, strategy_id: int, pools: Pools, label: str = "") -> Any:
    """The actor of a running strategy, or the one that exists already under its name (row D2).

    `label`: see `StrategyActor`.
    """
    name = names.strategy_name(strategy_id)
    return actor_of(StrategyActor, name, run_id, strategy_id, pools, label, scheduling_strategy="SPREAD")


def create_pools(pools: Pools, rather_on: str = "") -> list[Any]:
    """The actors that every strategy relies on: execution, ledgers, and the feed of each broker.

    `rather_on`: the id of the node that is to have those which are not there.
    """
    where = node_marks.rather_on(rather_on) if rather_on else {}
    execution, ledgers = names.pool_names(pools)
    feeds = [(names.feed_name(pools.suffix(broker)), broker) for broker in pools.brokers]
    gateway = {
        "resources": {ORDER_GATEWAY: 0.001},
        "max_concurrency": _CONCURRENT_CALLS,
        "runtime_env": environment_of(EXECUTION_HOST),
    }
    return [
        *(actor_of(Ledger, name, max_concurrency=_CONCURRENT_CALLS, **where) for name in ledgers),
        *(actor_of(ExecutionActor, name, pools, **gateway, **where) for name in execution),
        *(actor_of(MarketListener, name, pools, broker, **where) for name, broker in feeds),
    ]
