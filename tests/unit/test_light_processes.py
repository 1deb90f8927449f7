"""What a strategy's process imports costs memory as many times as there are strategies."""

import subprocess
import sys

HEAVY = (
    "pydantic",
    "fastapi",
    "sqlmodel",
    "sqlalchemy",
    "redis",
    "kiteconnect",
    "pandas",
    "structlog",
    "rich",
    "httpx",
)


def test_strategy_process_imports_nothing_beyond_ray_and_our_own_modules() -> None:
    script = (
        "import sys, ray; before = set(sys.modules); import actors.runtime.actor_classes;"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('actors')));"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    ours, heavy = done.stdout.split("\n")[:2]
    assert (ours, heavy) == ("", "")
