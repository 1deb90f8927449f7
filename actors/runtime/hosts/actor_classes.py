"""The Ray actor classes: plain hosts, and the options that make them actors, argued.

All are detached (they outlive the API process that made them) and named (the name makes START idempotent).
`max_restarts=-1`: a crashed actor comes back and recovers. `max_task_retries=0`: Ray must never repeat a call that may
trade; the caller decides. Next to no CPU: they wait most of the time, the machine's cores bound them anyway; but
not none, so that a head node with `--num-cpus 0` carries none of them and its death harms no strategy.
"""

import functools
from typing import Any

import ray

from actors.domain.identifiers import Instrument
from actors.runtime import names
from actors.runtime.hosts.remote_classes import ExecutionActor, Ledger, MarketListener
from actors.runtime.hosts.router import TickRouter
from actors.runtime.hosts.strategy import StrategyActor
from actors.runtime.names import NAMESPACE, Pools

_COMMON: dict[str, Any] = {
    "namespace": NAMESPACE,
    "lifetime": "detached",
    "get_if_exists": True,
    "max_restarts": -1,
    "max_task_retries": 0,
    "num_cpus": 0.001,
}
_CONCURRENT_CALLS = 100_000
"""An execution actor holds one call open per live order: a STOPLOSS must not queue behind Ray's default of 1000."""

ORDER_GATEWAY = "order_gateway"
"""The Ray resource of nodes whose address is registered with the broker (ruling 8)."""


_remote_class = functools.cache(ray.remote)  # each new one would be exported to the cluster again


def _actor(host: type, name: str, *arguments: Any, **options: Any) -> Any:
    return _remote_class(host).options(name=name, **(_COMMON | options)).remote(*arguments)


def create_strategy(run_id: int, strategy_id: int, pools: Pools) -> Any:
    """The actor of a running strategy, or the one that exists already under its name (row D2)."""
    name = names.strategy_name(strategy_id)
    return _actor(StrategyActor, name, run_id, strategy_id, pools, scheduling_strategy="SPREAD")


def create_router(instrument: Instrument, pools: Pools, broker: str) -> Any:
    """The router of an instrument at a broker, or the one that exists already."""
    name = names.router_name(instrument.key, pools.suffix(broker))
    return _actor(TickRouter, name, instrument, pools, broker, scheduling_strategy="SPREAD")


def create_pools(pools: Pools) -> list[Any]:
    """The actors that every strategy relies on: execution, ledgers, and the feed of each broker."""
    execution, ledgers = names.pool_names(pools)
    gateway = {"resources": {ORDER_GATEWAY: 0.001}, "max_concurrency": _CONCURRENT_CALLS}
    return [
        *(_actor(Ledger, name, max_concurrency=_CONCURRENT_CALLS) for name in ledgers),
        *(_actor(ExecutionActor, name, pools, **gateway) for name in execution),
        *(_actor(MarketListener, names.feed_name(pools.suffix(broker)), pools, broker) for broker in pools.brokers),
    ]
