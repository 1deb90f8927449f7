"""Who takes the processors: CPU time of the stack's processes by group, read from /proc twice a second."""

import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LOOK_S = 0.5
TICKS = os.sysconf("SC_CLK_TCK")

GROUPS = (
    ("strategies", ("ray::StrategyActor",)),
    ("routers", ("ray::TickRouter",)),
    ("execution", ("ray::ExecutionActor",)),
    ("ledger", ("ray::Ledger",)),
    ("feed", ("ray::MarketListener",)),
    ("workers that start or wait", ("ray::IDLE", "default_worker.py", "setup_worker.py")),
    ("raylet", ("raylet/raylet",)),
    ("gcs", ("gcs_server",)),
    ("Ray's other processes", ("ray-dashboard", "dashboard", "log_monitor", "runtime_env", "ray::", "/ray/")),
    ("paper exchange", ("broker.paper",)),
    ("API", ("config.commands.cli api",)),
    ("noise client", ("tests.neighbours.noise",)),
    ("postgres", ("postgres",)),
    ("valkey", ("valkey", "redis-server")),
    ("this test", ("tests.neighbours.run",)),
)
"""The first group of which a part stands in the command line."""

OTHERS = "guardians and others"


@dataclass(frozen=True)
class Seen:
    """One process at one instant. `cpu_s`: what it has used since its start."""

    pid: int
    parent: int
    started: int
    cpu_s: float
    command: str


def group_of(command: str) -> str:
    """The group of a command line."""
    return next((name for name, parts in GROUPS if any(part in command for part in parts)), OTHERS)


def family(processes: Iterable[Seen], mark: str, root: int) -> list[Seen]:
    """The process `root`, those whose command line has `mark`, and all of their descendants."""
    known = {one.pid: one for one in processes}
    mine = {pid for pid, one in known.items() if pid == root or mark in one.command}

    def belongs(one: Seen) -> bool:
        trail, pid = set[int](), one.pid
        while pid in known and pid not in trail:
            if pid in mine:
                return True
            trail.add(pid)
            pid = known[pid].parent
        return False

    return [one for one in known.values() if belongs(one)]


def used_s(before: Mapping[tuple[int, int], float], now: Iterable[Seen]) -> dict[str, float]:
    """CPU seconds by group since `before`, which has them by pid and start. A process that is new began at nothing."""
    used: dict[str, float] = {}
    for one in now:
        group, seconds = group_of(one.command), one.cpu_s - before.get((one.pid, one.started), 0.0)
        used[group] = used.get(group, 0.0) + max(0.0, seconds)
    return used


def processes() -> list[Seen]:
    """All processes of the machine that can be read."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:  # it has just ended
                continue
            name, _, rest = stat.partition("(")[2].rpartition(")")
            values = rest.split()
            found.append(
                Seen(
                    int(folder.name),
                    int(values[1]),
                    int(values[19]),
                    (int(values[11]) + int(values[12])) / TICKS,
                    command or name,
                )
            )
    return found


class CpuByGroup:
    """Adds up, while the block runs, what each group uses: `used`, in seconds, and `wall_s`.

    A process that ends between two looks loses what it used after the last one.
    """

    def __init__(self, mark: str) -> None:
        """`mark` stands in the command lines of processes of the stack that were not started by this process."""
        self._mark, self._ended = mark, threading.Event()
        self.used: dict[str, float] = {}
        self.wall_s = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True, name="cpu by group")

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        self._before = {(one.pid, one.started): one.cpu_s for one in processes()}
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self.wall_s = time.monotonic() - self._begun

    def _run(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._look()
        self._look()

    def _look(self) -> None:
        everything = processes()
        for group, seconds in used_s(self._before, family(everything, self._mark, os.getpid())).items():
            self.used[group] = self.used.get(group, 0.0) + seconds
        self._before = {(one.pid, one.started): one.cpu_s for one in everything}
