"""How many strategies a deployment may run: the operator's word, else cores and memory."""

from pathlib import Path
from typing import Any

import pytest

from config.capacity import Capacity, Machine, available_memory, capacity_of, this_machine
from config.settings import Settings

GB = 1024


def capacity(cores: float, memory_gb: int, **chosen: Any) -> Capacity:
    return capacity_of(Settings(_env_file=None, **chosen), Machine(cores, memory_gb * GB))


@pytest.mark.parametrize(
    ("cores", "memory_gb", "running"),
    [
        (2, 64, 100),  # the cores limit before the memory
        (8, 16, 100),  # (12288 - 2048) / 51 processes, a strategy and a router each
        (0.5, 64, 25),
        (4, 2, 1),  # a machine that is too small still runs one
    ],
)
def test_cores_and_memory_give_the_places(cores: float, memory_gb: int, running: int) -> None:
    assert capacity(cores, memory_gb) == Capacity(running, running, max(1, running // 4))


def test_few_symbols_leave_memory_for_strategies() -> None:
    assert capacity(8, 16, max_symbols=20) == Capacity(180, 20, 45)


def test_what_the_operator_sets_is_taken() -> None:
    assert capacity(2, 4, max_running_total=500, max_symbols=30, max_running=7) == Capacity(500, 30, 7)
    assert capacity(2, 4, max_running_total=8) == Capacity(8, 8, 2)


def test_a_container_has_what_its_limits_say(tmp_path: Path) -> None:
    whole = this_machine(tmp_path)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert this_machine(tmp_path) == whole
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{256 * 2**20}\n")
    assert this_machine(tmp_path) == Machine(0.5, 256)


def test_memory_that_is_available_is_the_machine_s_or_what_the_container_leaves(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 4000 kB\nMemAvailable:    3000 kB\n")
    assert available_memory(tmp_path, meminfo) == 3000 * 1024
    (tmp_path / "memory.max").write_text("max")
    (tmp_path / "memory.current").write_text("1000")
    assert available_memory(tmp_path, meminfo) == 3000 * 1024
    (tmp_path / "memory.max").write_text("5000")
    assert available_memory(tmp_path, meminfo) == 4000
    (tmp_path / "memory.current").write_text("6000")
    assert available_memory(tmp_path, meminfo) == 0
    assert available_memory(tmp_path, tmp_path / "none") == 0
