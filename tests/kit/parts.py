"""Parts of an embedded stack that are killed or frozen under it, and brought back where they were.

A stack watches its parts and ends with the first that dies (`Stack.watch`); that of a test is not watched.
"""

import os
import pwd
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import psutil

from config.stack.postgres import PostgresPlan, await_postgres, initialise_postgres, postgres_command
from config.stack.stack import Part, Stack
from config.stack.valkey import await_valkey, valkey_command

Away = Callable[[Stack, Part], AbstractContextManager[None]]

_GONE_S = 30.0


@contextmanager
def killed(stack: Stack, part: Part) -> Iterator[None]:
    """It is killed, with all that it has started, and started again after the block."""
    kill(stack, part)
    try:
        yield
    finally:
        start_again(stack, part)


@contextmanager
def frozen(stack: Stack, part: Part) -> Iterator[None]:
    """It takes connections and answers none, as a machine that is cut off, and goes on after the block."""
    stopped: list[psutil.Process] = []
    while fresh := [process for process in _processes(stack, part) if process not in stopped]:
        for process in fresh:  # the server first, so that it makes no process while the others are stopped
            with suppress(psutil.NoSuchProcess):
                process.suspend()
            stopped.append(process)
    try:
        yield
    finally:
        for process in reversed(stopped):
            with suppress(psutil.NoSuchProcess):
                process.resume()


def kill(stack: Stack, part: Part) -> None:
    """SIGKILL, and wait until nothing of it is left."""
    guardian = stack._processes[part]
    os.kill(_processes(stack, part)[0].pid, signal.SIGKILL)
    guardian.wait(_GONE_S)


def start_again(stack: Stack, part: Part) -> None:
    """Start a part that has died, at the same address and on the same data, and wait until it answers."""
    del stack._processes[part]
    if part is Part.API:
        stack._start_api()
    elif part is Part.POSTGRES:
        plan = stack._postgres
        assert plan is not None
        _make_again(plan.sockets, plan)
        stack._let_go_of_the_database()
        stack._database_in_use = initialise_postgres(plan, (stack._lock.descriptor,))
        await_postgres(plan, stack._launch(part, postgres_command(plan)), stack._stopping)
    else:
        assert part is Part.VALKEY, f"with the {part} everything on it ends: a test begins a new stack"
        valkey = stack._valkey
        assert valkey is not None
        valkey.sockets.mkdir(mode=0o700, exist_ok=True)
        await_valkey(valkey, stack._launch(part, valkey_command(valkey)), stack._stopping)


def _make_again(sockets: Path, plan: PostgresPlan) -> None:
    """The directory of the socket, which its guardian has removed."""
    sockets.mkdir(mode=0o700, exist_ok=True)
    if plan.user:
        shutil.chown(sockets, plan.user, pwd.getpwnam(plan.user).pw_gid)


def _processes(stack: Stack, part: Part) -> list[psutil.Process]:
    """Those of the part, the one that was started first."""
    guardian = psutil.Process(stack._processes[part]._guardian.pid)
    return sorted(guardian.children(recursive=True), key=lambda process: process.create_time())
