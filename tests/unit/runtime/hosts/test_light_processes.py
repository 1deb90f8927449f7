"""What a strategy's process imports costs memory as many times as there are strategies."""

import inspect
import os
import subprocess
import sys
from types import ModuleType

import pytest

from actors.runtime.hosts import execution, feed, ledger, remote_classes
from actors.runtime.hosts.actor_options import environment_of

OURS = """
actors actors.domain actors.domain.errors actors.domain.identifiers actors.domain.instrument_list_day
actors.domain.market_hours actors.domain.money
actors.domain.orders actors.domain.orders.cover actors.domain.orders.log_events actors.domain.orders.order
actors.domain.orders.placement_policy actors.domain.orders.position actors.domain.orders.price_band
actors.domain.prices actors.domain.prices.fanout actors.domain.prices.stop_levels actors.domain.prices.stop_loss
actors.domain.prices.stop_move_log actors.domain.prices.stop_share actors.domain.prices.tick actors.domain.session
actors.domain.strategy actors.domain.strategy.decisions actors.domain.strategy.entries actors.domain.strategy.events
actors.domain.strategy.exit_retries actors.domain.strategy.exits actors.domain.strategy.machine
actors.domain.strategy.outcomes actors.domain.strategy.reconciliation actors.domain.strategy.recovery
actors.domain.strategy.snapshot actors.domain.strategy.spec actors.domain.strategy.state
actors.failpoints actors.log_lines actors.ports actors.ports.common actors.ports.engine actors.ports.execution
actors.ports.prices actors.ports.strategy actors.prices actors.prices.price_mirroring actors.prices.router_shell
actors.prices.stream_judge
actors.runtime actors.runtime.clock actors.runtime.handles actors.runtime.hosts actors.runtime.hosts.actor_classes
actors.runtime.hosts.actor_options actors.runtime.hosts.crash_guard actors.runtime.hosts.light_logging
actors.runtime.hosts.process_tuning actors.runtime.hosts.remote_classes actors.runtime.hosts.router
actors.runtime.hosts.strategy actors.runtime.names actors.runtime.node_marks actors.runtime.peers actors.runtime.plane
actors.runtime.plane.frames actors.runtime.plane.invitations actors.runtime.plane.link
actors.runtime.plane.linked_orders actors.runtime.plane.linked_ticks actors.runtime.plane.orders
actors.runtime.plane.ticks actors.runtime.ray_ports actors.strategy actors.strategy.decision_lines
actors.strategy.execution_calls actors.strategy.holding_reports actors.strategy.leaving actors.strategy.moving
actors.strategy.order_first actors.strategy.price_subscription
actors.strategy.price_trouble actors.strategy.recorder actors.strategy.shell actors.strategy.timers actors.waiting
""".split()  # noqa: SIM905 - read more easily as a paragraph
"""Everything of ours that a strategy or a router loads. A developer who adds a line pays for it once per strategy."""


def test_a_strategys_process_imports_ray_and_these_modules_and_nothing_else() -> None:
    script = (
        "import sys, ray; before = set(sys.modules); import actors.runtime.hosts.actor_classes;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == sorted(OURS)


def test_an_idle_worker_imports_ahead_what_its_environment_names() -> None:
    environment = environment_of("actors.runtime.hosts.execution")["env_vars"]
    script = "import sys, actors.runtime.hosts.actor_classes; print('actors.execution.shell' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ) | environment,
    )  # fmt: skip
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize(
    ("name", "module"), [("Ledger", ledger), ("ExecutionActor", execution), ("MarketListener", feed)]
)
def test_remote_classes_have_every_method_of_the_hosts(name: str, module: ModuleType) -> None:
    assert public_methods(getattr(remote_classes, name)) == public_methods(getattr(module, name))


def public_methods(host: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(host, inspect.iscoroutinefunction) if not name.startswith("_")}
