"""What a process of the engine does for its punctuality, once it has imported everything."""

import gc
import os
import sys
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

_SWITCH_S = 0.0005
"""How long a thread may keep the interpreter from another: Python's 5 ms would be the whole time an order may take."""


class Niceness(IntEnum):
    """Who gives way to whom while the cores are busy.

    A tick that breaches the stop-losses of fifty strategies wakes up fifty processes. At the niceness of execution,
    which guards them too and sends their orders, they took the cores from it: the last order left after 0.4 to 2.9 s
    instead of 40 to 150 ms with strategies at 5. They are before the API, since a STOP goes through them.
    """

    ORDERS = 0
    """Feeds, routers and execution."""

    STRATEGY = 3
    """And the ledger: an exit waits for its record, and a STOP for that of the end."""

    API = 5


def tune(niceness: Niceness = Niceness.ORDERS) -> None:
    """Keep what is there out of the garbage collector's way, and threads from waiting for each other."""
    gc.freeze()
    sys.setswitchinterval(_SWITCH_S)
    set_niceness(niceness)


def set_niceness(niceness: int) -> None:
    """Give all threads of this process this niceness, as far as it may: workers may have started at another one."""
    threads = Path("/proc/self/task")
    for thread in threads.iterdir() if threads.exists() else ():
        with suppress(PermissionError, ProcessLookupError):  # it may not have more than it has, or it has ended
            os.setpriority(os.PRIO_PROCESS, int(thread.name), niceness)


def end_own_actor() -> None:
    """End this actor for good, with its process; Ray will not restart it."""
    import ray

    ray.kill(ray.get_runtime_context().current_actor, no_restart=True)
