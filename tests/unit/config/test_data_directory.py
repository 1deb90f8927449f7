"""What another process may learn from a data directory."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.stack.data_directory import AlreadyRunningError, DataDirectoryLock, find_running_stack


def test_the_places_of_a_running_stack_are_found_until_it_ends(tmp_path: Path) -> None:
    lock = DataDirectoryLock(tmp_path)
    lock.publish({"API": "http://127.0.0.1:1"}, {})
    running = find_running_stack(tmp_path)
    assert running is not None
    assert (running.pid, running.urls) == (os.getpid(), {"API": "http://127.0.0.1:1"})
    lock.release()
    assert find_running_stack(tmp_path) is None


def test_the_places_of_a_stack_that_was_killed_are_not_those_of_its_successor(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    lock = DataDirectoryLock(tmp_path)
    lock.publish({"API": "http://127.0.0.1:1"}, {})
    # what a successor finds that has the lock and has not written anything yet
    line = (tmp_path / "stack.lock").read_text().replace(str(os.getpid()), str(killed.pid), 1)
    (tmp_path / "stack.lock").write_text(line)
    running = find_running_stack(tmp_path)
    assert running is not None
    assert running.urls == {}
    lock.release()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"7",
        b"[" * 9000,
        b"\0" * 400,
        b'{"pid": "one"}',
        b'{"pid": -1}',
        b'{"pid": 99999999999999999999}',
        b'{"pid": 1, "urls": []}',
        b'{"pid": 1, "urls": {}, "environment": {}, "socket": "of another version"}',
    ],
)
def test_a_lock_that_is_held_and_says_nonsense_is_a_stack_without_places(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stack.lock").write_bytes(content)
    with (tmp_path / "stack.lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert find_running_stack(tmp_path) is None
        with pytest.raises(AlreadyRunningError, match="already running"):
            DataDirectoryLock(tmp_path)
