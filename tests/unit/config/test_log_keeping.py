"""What logs may take of the disk, however long a stack runs, and what is left of one that was killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.stack.log_keeping import LogKeeper, LogLimits, _turn_over
from config.stack.ray import SESSION_PREFIX, _make_way

LIMITS = LogLimits(part_bytes=1000, session_bytes=5000, session_files=20)


@pytest.fixture
def ended_pid() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def written(file: Path, size: int, at: float = 0.0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    os.utime(file, (at, at))
    return file


def total(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def test_a_year_of_starts_and_a_chatty_part_stay_below_the_limits(tmp_path: Path, ended_pid: int) -> None:
    keeper, session = LogKeeper(tmp_path, LIMITS), tmp_path / "ray"
    with (tmp_path / "api.log").open("ab") as api:
        for day in range(365):
            api.write(b"y" * 300)
            api.flush()
            for number in range(3):
                written(session / f"worker-{day:04}{number}-01000000-{ended_pid}.err", 200, at=day * 86400.0)
            keeper.keep()
            assert total(tmp_path) <= LIMITS.session_bytes + 2 * (LIMITS.part_bytes + 300)
            assert len(list(session.iterdir())) <= LIMITS.session_files
    assert written(tmp_path / "other.log", 10).stat().st_size == 10
    newest = max(session.iterdir(), key=lambda file: file.stat().st_mtime)
    assert newest.name.startswith("worker-0364")
    assert (tmp_path / "api.log").read_bytes().strip(b"y") == b"", "what is written after the turn is at the beginning"
    assert (tmp_path / "api.previous.log").exists()


def test_a_log_that_is_gone_or_may_not_be_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    _turn_over(tmp_path / "api.log")
    (tmp_path / "paper.log").symlink_to("/proc/version")
    _turn_over(tmp_path / "paper.log")
    assert not (tmp_path / "api.log").exists()


def test_the_log_of_a_process_that_runs_is_never_removed(tmp_path: Path, ended_pid: int) -> None:
    session = tmp_path / "ray"
    own = written(session / f"worker-a-01000000-{os.getpid()}.err", 6000)
    core = written(session / f"python-core-worker-b_{os.getpid()}.log", 6000)
    ended = written(session / f"worker-c-01000000-{ended_pid}.out", 10)
    raylet = written(session / "raylet.out", 6000)
    LogKeeper(tmp_path, LIMITS).keep()
    assert [file.exists() for file in (own, core, ended, raylet)] == [True, True, False, True]


def a_killed_session(tmp_path: Path) -> tuple[Path, Path]:
    session_root, kept = tmp_path / f"{SESSION_PREFIX}x", tmp_path / "logs" / "ray"
    written(session_root / "session_1" / "logs" / "worker-a-1-1.err", 10)
    (session_root / "session_latest").symlink_to(session_root / "session_1")
    kept.parent.mkdir()
    kept.symlink_to(session_root / "session_latest" / "logs")
    return session_root, kept


def test_the_session_of_a_run_that_was_killed_goes_and_its_logs_are_kept(tmp_path: Path) -> None:
    session_root, kept = a_killed_session(tmp_path)
    _make_way(kept)
    assert not session_root.exists()
    assert not kept.is_symlink()
    assert (kept.with_name("ray.previous") / "worker-a-1-1.err").exists()


def test_a_session_of_which_a_process_still_runs_is_left_alone(tmp_path: Path) -> None:
    session_root, kept = a_killed_session(tmp_path)
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()", f"--temp-dir={session_root}"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        _make_way(kept)
        assert session_root.exists()
        process.communicate(b"")
