"""What another process may learn from a data directory."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.commands.base.deployment import joined_settings, require
from config.secret_store import create_secrets
from config.settings import Settings, SettingsError
from config.stack.data_directory import (
    AlreadyRunningError,
    DataDirectoryLock,
    RunningStack,
    find_running_stack,
)
from config.stack.guarded_process import StackError
from tests.kit.stack import no_settings_in_environment


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


@contextmanager
def held_lock(data_dir: Path) -> Iterator[DataDirectoryLock]:
    lock = DataDirectoryLock(data_dir)
    try:
        yield lock
    finally:
        lock.release()


def test_a_lock_whose_file_was_removed_comes_back_and_keeps_others_off(tmp_path: Path) -> None:
    with held_lock(tmp_path) as lock:
        lock.publish({"API": "http://127.0.0.1:1"}, {"TRADEACTORS_DATABASE_URL": "postgresql://x"})
        for _ in range(3):  # as often as a person takes it for one that was left over
            (tmp_path / "stack.lock").unlink()
            assert find_running_stack(tmp_path) is None
            lock.put_back()
            assert (tmp_path / "stack.lock").stat().st_mode & 0o777 == 0o600
            running = find_running_stack(tmp_path)
            assert running is not None
            assert running.urls == {"API": "http://127.0.0.1:1"}
            with pytest.raises(AlreadyRunningError):
                DataDirectoryLock(tmp_path)
        before = (tmp_path / "stack.lock").stat().st_ino
        lock.put_back()
        assert (tmp_path / "stack.lock").stat().st_ino == before
    assert find_running_stack(tmp_path) is None


def test_a_lock_that_another_process_has_made_meanwhile_is_waited_for(tmp_path: Path) -> None:
    with held_lock(tmp_path) as lock:
        (tmp_path / "stack.lock").unlink()
        with held_lock(tmp_path):
            lock.put_back()
            (tmp_path / "stack.lock").write_text("theirs")
        lock.put_back()
        assert find_running_stack(tmp_path) == RunningStack(os.getpid(), {}, {})


def test_a_directory_that_has_gone_as_a_whole_breaks_nothing(tmp_path: Path) -> None:
    with held_lock(tmp_path / "data") as lock:
        shutil.rmtree(tmp_path / "data")
        lock.put_back()
        assert not (tmp_path / "data").exists()


def test_a_second_stack_hears_what_to_do_and_that_the_first_stands_still() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        said = str(AlreadyRunningError(RunningStack(process.pid, {"API": "http://127.0.0.1:1"})))
        assert said == (
            f"A stack is already running: pid {process.pid}, API http://127.0.0.1:1. Use it, or stop it first (Ctrl-C, "
            f"or `kill {process.pid}`); a second one needs another directory (--data-dir) and other ports."
        )
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        still = f"It stands still, as after Ctrl-Z: `kill -CONT {process.pid}` lets it go on."
        assert still in str(AlreadyRunningError(RunningStack(process.pid)))
    finally:
        process.kill()
        process.wait()


def test_a_command_that_comes_while_the_stack_starts_is_asked_to_come_again(tmp_path: Path) -> None:
    with no_settings_in_environment(), held_lock(tmp_path):
        settings = joined_settings_of(tmp_path)
        with pytest.raises(SettingsError, match=rf"is starting or ending \(process {os.getpid()}\): try again when"):
            require(settings, "database_url", "redis_url")
    with no_settings_in_environment(), pytest.raises(SettingsError, match=r"no `tradeactors up` runs here: set it,"):
        require(settings, "database_url")


def test_a_stack_whose_sockets_were_removed_is_told_from_one_that_does_not_answer(tmp_path: Path) -> None:
    sockets = [tmp_path / "ta-pg-a", tmp_path / "ta-vk-b"]
    variables = {
        "TRADEACTORS_DATABASE_URL": f"postgresql+psycopg://postgres@/tradeactors?host={sockets[0]}",
        "TRADEACTORS_REDIS_URL": f"unix://default@{sockets[1]}/valkey.sock",
        "TRADEACTORS_PAPER_ROOT": "http://127.0.0.1:8085",
    }
    running = RunningStack(os.getpid(), {}, variables)
    assert running.lost_sockets == [str(directory) for directory in sockets]
    with no_settings_in_environment(), held_lock(tmp_path) as lock:
        lock.publish({}, variables)
        with pytest.raises(StackError, match=rf"are gone, as after a clean-up of /tmp; .* `kill {os.getpid()}`"):
            joined_settings_of(tmp_path)
    for directory in sockets:
        directory.mkdir()
    assert running.lost_sockets == []
    RunningStack(
        1, {}, {"TRADEACTORS_DATABASE_URL": "postgresql://db.example.com/ta?host=/run/pg"}
    ).refuse_lost_sockets()


def joined_settings_of(data_dir: Path) -> Settings:
    create_secrets(data_dir)
    return joined_settings(data_dir)
