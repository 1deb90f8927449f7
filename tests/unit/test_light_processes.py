"""What a strategy's process imports costs memory as many times as there are strategies."""

import inspect
import subprocess
import sys
from types import ModuleType

import pytest

from actors.runtime import far_hosts, feed_host, heavy_hosts

OURS = """
actors actors.desk_calls actors.domain actors.domain.cover actors.domain.decisions actors.domain.entries
actors.domain.errors actors.domain.events actors.domain.exit_waits actors.domain.exits actors.domain.identifiers
actors.domain.market_hours actors.domain.money actors.domain.order actors.domain.position actors.domain.price_band
actors.domain.reconciliation actors.domain.recovery actors.domain.retry_policy actors.domain.session
actors.domain.snapshot actors.domain.stop_levels actors.domain.stop_loss actors.domain.strategy_machine
actors.domain.strategy_spec actors.domain.strategy_state actors.domain.tick_fanout actors.domain.token_day
actors.failpoints actors.guard_calls actors.ports actors.ports.broker actors.ports.common actors.ports.engine
actors.ports.prices actors.ports.strategy actors.runtime actors.runtime.actor_classes actors.runtime.clock
actors.runtime.crash_guard actors.runtime.far_hosts actors.runtime.handles actors.runtime.light_hosts
actors.runtime.light_logging actors.runtime.lines actors.runtime.names actors.runtime.plane
actors.runtime.plane.frames actors.runtime.plane.link actors.runtime.plane.orders actors.runtime.plane.ticks
actors.runtime.tuning actors.strategy_actor actors.tick_router actors.timers actors.watch_calls
""".split()  # noqa: SIM905 - read more easily as a paragraph
"""Everything of ours that a strategy or a router loads. Whoever adds a line pays for it once per strategy."""


def test_a_strategys_process_imports_ray_and_these_modules_and_nothing_else() -> None:
    script = (
        "import sys, ray; before = set(sys.modules); import actors.runtime.actor_classes;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == sorted(OURS)


@pytest.mark.parametrize(
    ("name", "module"), [("LedgerHost", heavy_hosts), ("ExecutionHost", heavy_hosts), ("FeedHost", feed_host)]
)
def test_far_hosts_have_every_method_of_the_hosts(name: str, module: ModuleType) -> None:
    assert public_methods(getattr(far_hosts, name)) == public_methods(getattr(module, name))


def public_methods(host: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(host, inspect.iscoroutinefunction) if not name.startswith("_")}
