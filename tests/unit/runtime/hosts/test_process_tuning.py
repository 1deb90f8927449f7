"""A process that started with a low priority takes its own back, all threads of it."""

import os
import subprocess
import sys

import pytest

from actors.runtime.hosts.process_tuning import set_niceness
from config.ray_settings import may_take_priority_back

PROGRAM = """
import os, threading
from actors.runtime.hosts.process_tuning import set_niceness
os.nice(10)
ended = threading.Event()
threading.Thread(target=ended.wait).start()
set_niceness({wanted})
print(sorted({{os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in os.listdir("/proc/self/task")}}))
ended.set()
"""


def niceness_after(wanted: int) -> str:
    program = [sys.executable, "-c", PROGRAM.format(wanted=wanted)]
    return subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.mark.skipif(not may_take_priority_back(), reason="only root and few others may take a priority back")
@pytest.mark.parametrize("wanted", [0, 5])
def test_a_worker_that_started_behind_all_others_takes_its_priority_back_with_all_threads(wanted: int) -> None:
    assert niceness_after(wanted) == f"[{wanted}]"


def test_a_process_that_may_not_have_more_priority_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def refuse(_which: int, _thread: int, niceness: int) -> None:
        asked.append(niceness)
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    set_niceness(0)
    assert asked
    assert set(asked) == {0}
