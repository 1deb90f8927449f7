"""How many strategies a deployment may run at once: set by the operator, or taken from cores and memory.

The figures are those of docs/operations.md, Capacity.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings

STRATEGIES_PER_CORE = 50
PROCESS_MB = 51
"""Memory of a strategy's process, and of a router's: one for each symbol that is followed."""
BASE_MB = 2048
"""Databases, Ray, API, and the actors that serve all strategies."""
USED_SHARE = (3, 4)
"""Of the memory; the rest stays free: where it is short, Ray ends strategies (docs/operations.md)."""
TENANTS_AT_LEAST = 4
"""Without MAX_RUNNING, one user may take this part of all places."""

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """What this process may use: whole or part cores, and MB of memory."""

    cores: float
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """The most running strategies, of all users and of one, and the most symbols that they trade."""

    running: int
    symbols: int
    running_of_user: int


def capacity_of(settings: Settings, machine: Machine | None = None) -> Capacity:
    """The limits of the settings; what they leave open is taken from the machine (the one we run on, if not given)."""
    running = settings.max_running_total or _running_on(machine or this_machine(), settings.max_symbols)
    return Capacity(
        running=running,
        symbols=settings.max_symbols or running,
        running_of_user=settings.max_running or max(1, running // TENANTS_AT_LEAST),
    )


def this_machine(cgroup: Path = _CGROUP) -> Machine:
    """Cores and memory of the machine, or of the container around us if those are fewer."""
    cores: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = min(cores, int(quota) / int(period))
    limit = _read(cgroup / "memory.max")
    if limit.isdigit():
        memory = min(memory, int(limit))
    return Machine(cores, memory // 2**20)


def available_memory(cgroup: Path = _CGROUP, meminfo: Path = _MEMINFO) -> int:
    """Bytes that more processes could take, of the machine or of the container around us; 0 if it does not tell."""
    lines = (line.split() for line in _read(meminfo).splitlines())
    available = next((int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:"), 0)
    limit, used = _read(cgroup / "memory.max"), _read(cgroup / "memory.current")
    if limit.isdigit() and used.isdigit():
        available = min(available, max(int(limit) - int(used), 0))
    return available


def _running_on(machine: Machine, symbols: int) -> int:
    used, of = USED_SHARE
    processes = max(0, machine.memory_mb * used // of - BASE_MB) // PROCESS_MB
    # Without a limit of symbols, each strategy may need a router of its own.
    by_memory = processes - symbols if symbols else processes // 2
    return max(1, min(int(STRATEGIES_PER_CORE * machine.cores), by_memory))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:  # no cgroup of version 2: the machine itself is the limit
        return ""
