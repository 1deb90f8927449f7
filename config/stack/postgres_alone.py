"""The embedded PostgreSQL without the rest of the stack, for as long as something is done to its data."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from config.stack.data_directory import DataDirectoryLock
from config.stack.guarded_process import GuardedProcess
from config.stack.postgres import (
    PostgresPlan,
    await_postgres,
    initialise_postgres,
    plan_postgres,
    postgres_command,
)


@contextmanager
def postgres_alone(data_dir: Path, held: DataDirectoryLock | None = None) -> Iterator[PostgresPlan]:
    """A server on the data directory, which no stack can start on meanwhile; a database is made if there is none.

    `held`: the lock of the directory, if the caller has it already, who removes everything if this fails.

    Raises:
        AlreadyRunningError: a stack runs there.
        StackError: the server cannot start.
    """
    lock = held or DataDirectoryLock(data_dir)
    try:
        logs = data_dir / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        plan = replace(plan_postgres(data_dir, logs), logs_stay=held is None)
        try:
            used = initialise_postgres(plan, (lock.descriptor,))
            try:
                server = GuardedProcess(postgres_command(plan), (lock.descriptor,))
                try:
                    await_postgres(plan, server, threading.Event())
                    yield plan
                finally:
                    server.stop()
            finally:
                os.close(used)
        finally:
            shutil.rmtree(plan.sockets, ignore_errors=True)
    finally:
        if held is None:
            lock.release()
