"""What an operator has on a running stack: the doctor, and a pool of warm workers."""

import json
import subprocess
import sys
from pathlib import Path

from config.embedded import Stack
from tests.kit.paper import eventually
from tests.kit.trader import Trader


def test_the_doctor_finds_a_stack_that_we_started_sound(stack: Stack) -> None:
    argv = [sys.executable, "-P", "-m", "config.cli", "doctor", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    for subject in ("database", "Redis", "Ray node 127.0.0.1", "orders from 127.0.0.1", "broker paper", "calendar"):
        assert findings[subject]["level"] == "ok", findings


def test_a_worker_that_a_start_has_taken_is_replaced(stack: Stack, trader: Trader) -> None:
    full = 4  # of six warm workers; others may be on their way
    eventually(lambda: len(idle_workers(stack)) >= full, 60, "the pool is full")
    before = idle_workers(stack)
    taken = len(before) - full + 2  # so that the pool cannot be full again without new ones, however many were idle
    strategies = [trader.strategy("INFY", buy_in=600, sell_in=1200) for _ in range(taken)]
    eventually(lambda: len(idle_workers(stack) - before) >= 1, 60, "new workers")
    eventually(lambda: len(idle_workers(stack)) >= full, 60, "the pool is full again")
    for strategy in strategies:
        strategy.stop()


def idle_workers(stack: Stack) -> set[int]:
    """Pids of the workers of this stack's Ray that nobody uses."""
    data_dir, found = str(stack.settings.data_dir).encode(), set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                idle = (folder / "cmdline").read_bytes().startswith(b"ray::IDLE")
                if idle and data_dir in (folder / "environ").read_bytes():
                    found.add(int(folder.name))
            except OSError:
                continue
    return found
