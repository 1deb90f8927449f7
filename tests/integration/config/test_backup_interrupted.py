"""`backup` and `restore` that are killed in the middle, and commands of a user whose stack it is not."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.backup.archive import TEMPORARY
from config.secret_store import UNFINISHED_RESTORE
from config.settings import PREFIX
from config.stack.data_directory import find_running_stack
from tests.integration.config.test_backup import Operator, add_user, emails
from tests.kit.paper import eventually
from tests.kit.stack import temporary_data_dir

pytestmark = pytest.mark.stack

AS_ANOTHER = """
import contextlib, os, sys
from pathlib import Path
import psycopg
import config.backup.create, config.commands.doctor, config.stack.postgres, rich.console, rich.traceback
from config.commands.cli import app
from config.commands.base.deployment import joined_settings
from config.settings import SettingsError
with contextlib.suppress(SettingsError):
    joined_settings(Path("/does/not/exist"))  # imports all that it needs, which another user may not read
os.setgroups([])
os.setgid(54321)
os.setuid(54321)
app([*sys.argv[2:], "--data-dir", sys.argv[1]])
"""


@pytest.fixture
def user() -> Iterator[Operator]:
    with temporary_data_dir() as home:
        home.chmod(0o755)
        yield Operator((), home)


def killed(user: Operator, is_in_the_middle: Path, *arguments: str) -> None:
    """Run a command until something of this name is there, and kill it."""
    line = [sys.executable, "-P", "-m", "config.commands.cli", *arguments]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: any(user.home.glob(str(is_in_the_middle))), 60, "the command is in the middle")
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL


def test_a_backup_that_was_killed_looks_like_none_and_its_secrets_go_with_the_next(user: Operator) -> None:
    with user.stack() as url:
        add_user(url, "asha@example.com")
        line = ("backup", str(user.file), "--data-dir", str(user.data_dir))
        killed(user, Path(f"{TEMPORARY}*/database.dump"), *line)
        assert not user.file.exists()
        assert len(list(user.home.glob(f"{TEMPORARY}*"))) == 1
        user.backup()
    assert sorted(path.name for path in user.home.iterdir()) == ["backup.tar", "data"]


def test_a_running_stack_whose_lock_was_removed_is_neither_moved_aside_nor_stopped(user: Operator) -> None:
    with user.stack() as url:
        add_user(url, "asha@example.com")
        user.backup()
        running = find_running_stack(user.data_dir)
        assert running is not None
        os.kill(running.pid, signal.SIGSTOP)  # or it would put its lock back at once
        (user.data_dir / "stack.lock").unlink()
        for line in (("restore", str(user.file), "--yes", "--force"), ("backup", str(user.file), "--force")):
            said = user.refused(*line, "--data-dir", str(user.data_dir))
            assert "though the file of its lock, stack.lock, was removed: nothing was touched" in said
        assert emails(url) == ["asha@example.com"]
        os.kill(running.pid, signal.SIGCONT)
        eventually(lambda: find_running_stack(user.data_dir) == running, 20, "the lock is back")


def test_a_directory_that_is_a_link_to_another_disk_is_restored_on_that_disk(user: Operator) -> None:
    with user.stack() as url:
        add_user(url, "asha@example.com")
        user.backup()
    link = user.home / "link"
    link.symlink_to(user.data_dir)
    user.restore(link, "--force")
    assert link.readlink() == user.data_dir
    assert len(list(user.home.glob("data.before-restore-*"))) == 1
    with user.stack(user.data_dir) as url:
        assert emails(url) == ["asha@example.com"]


def test_the_parts_of_a_backup_that_is_being_made_are_left_alone(user: Operator) -> None:
    with user.stack():
        user.backup()
        theirs = user.home / f"{TEMPORARY}theirs"
        theirs.mkdir(mode=0o700)
        held = os.open(theirs, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        user.backup("--force")
        assert theirs.exists()
        os.close(held)
        user.backup("--force")
        assert not theirs.exists()


def test_a_restore_that_was_killed_starts_nothing(user: Operator) -> None:
    with user.stack() as url:
        add_user(url, "asha@example.com")
        user.backup()
    other = user.home / "other"
    killed(user, Path("other") / UNFINISHED_RESTORE, "restore", str(user.file), "--yes", "--data-dir", str(other))
    assert "was interrupted" in user.start_refused(other)
    user.restore(other, "--force")
    with user.stack(other) as url:
        assert emails(url) == ["asha@example.com"]


def test_a_restore_that_was_killed_after_it_had_moved_the_directory_aside_starts_nothing(user: Operator) -> None:
    with user.stack():
        user.backup()
    aside = user.data_dir.rename(user.home / "data.before-restore-20261127T123000Z")
    said = user.start_refused(user.data_dir)
    assert f"a restore has moved {aside} aside, so it was interrupted" in said
    user.restore(user.data_dir, "--force")
    with user.stack():
        pass


@pytest.mark.parametrize("mode", [0o700, 0o755])
@pytest.mark.parametrize("command", ["doctor", "backup"])
def test_another_user_is_told_whose_stack_it_is(user: Operator, mode: int, command: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    with user.stack():
        user.data_dir.chmod(mode)
        if mode == 0o755:
            (user.data_dir / "stack.lock").chmod(0o644)
        clean = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "RAY_"))}
        arguments = [command, *([str(user.file)] if command == "backup" else [])]
        line = [sys.executable, "-c", AS_ANOTHER, str(user.data_dir), *arguments]
        done = subprocess.run(line, env=clean, cwd=Path.cwd(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "may not be read: it belongs to the user root; run this command as that user (sudo -u root" in done.stderr
