"""Limits of processes, an umask and directories of others: commands say what is wrong before they make anything."""

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.commands.limits import EARLIEST, TO_ASK, TO_KEEP, TO_RUN, clock_refusals, refuse_limits
from config.stack.data_directory import LOCK_FILE, refuse_what_is_hidden
from config.stack.guarded_process import StackError
from tests.kit.stack import temporary_data_dir
from tests.unit.config.test_machines import said

RUN, KEEP, ASK = ("up", "demo"), ("backup", "restore"), ("doctor",)
FILES = (
    "The limit of open files is 512 here, and at least 1024 are needed: run `ulimit -n 1024` before, or set "
    "LimitNOFILE=1024 in the unit of a service."
)
SIZE = (
    "The limit of the bytes of a file is 100000000 here, and databases grow beyond any: run `ulimit -f unlimited` "
    "before, or set LimitFSIZE=infinity in the unit of a service."
)
TIME = (
    "The limit of a process's seconds of CPU time is 86400 here, and strategies would be killed when they are used up: "
    "run `ulimit -t unlimited` before, or set LimitCPU=infinity in the unit of a service."
)
SPACE = (
    "The limit of the bytes of a process's address space is 100000000000 here, and Ray reserves far more than it uses: "
    "run `ulimit -v unlimited` before, or set LimitAS=infinity in the unit of a service."
)
UMASK = (
    "The umask is 0777, with which nobody may read what is written, not even its owner: run `umask 077` before, or set "
    "UMask=0077 in the unit of a service."
)


@contextmanager
def limited(number: int, limit: int) -> Iterator[None]:
    given, hard = resource.getrlimit(number)
    resource.setrlimit(number, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(number, (given, hard))


@contextmanager
def masked(mask: int) -> Iterator[None]:
    given = os.umask(mask)
    try:
        yield
    finally:
        os.umask(given)


def command_of(name: str, folder: Path) -> list[str]:
    file = [str(folder / "backup.tar")] if name in KEEP else []
    return [name, *file, *(["--data-dir", str(folder / "data")] if name != "demo" else [])]


@pytest.mark.parametrize(
    ("number", "limit", "why", "commands"),
    [
        (resource.RLIMIT_NOFILE, 512, FILES, (*RUN, *KEEP, *ASK)),
        (resource.RLIMIT_FSIZE, 100_000_000, SIZE, (*RUN, *KEEP)),
        (resource.RLIMIT_CPU, 86400, TIME, RUN),
        (resource.RLIMIT_AS, 100_000_000_000, SPACE, RUN),
    ],
)
def test_a_limit_that_is_too_low_is_said_before_anything_is_made(
    tmp_path: Path, number: int, limit: int, why: str, commands: tuple[str, ...]
) -> None:
    for name in commands:
        with limited(number, limit):
            assert said(tmp_path, *command_of(name, tmp_path)) == why
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*RUN, *KEEP, *ASK])
def test_an_umask_that_closes_files_to_their_owner_is_said_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with masked(0o777):
        assert said(tmp_path, *command_of(name, tmp_path)) == UMASK
    assert list(tmp_path.iterdir()) == []


def test_all_limits_that_are_too_low_are_said_at_once() -> None:
    files, size = limited(resource.RLIMIT_NOFILE, 512), limited(resource.RLIMIT_FSIZE, 100_000_000)
    with files, size, masked(0o700), pytest.raises(StackError) as refused:
        refuse_limits(TO_KEEP)
    assert str(refused.value).splitlines() == [FILES, SIZE, UMASK.replace("0777", "0700")]


@pytest.mark.parametrize("limits", [TO_ASK, TO_KEEP, TO_RUN])
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_usual_limits_and_umasks_are_good(limits: tuple[object, ...], mask: int) -> None:
    with limited(resource.RLIMIT_NOFILE, 1024), masked(mask):
        refuse_limits(limits)  # type: ignore[arg-type]


def test_a_directory_that_is_not_there_or_has_no_lock_hides_nothing(tmp_path: Path) -> None:
    refuse_what_is_hidden(tmp_path)
    refuse_what_is_hidden(tmp_path / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_closed_directory_above_is_not_taken_for_one_where_nothing_runs(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert hidden_from_nobody(tmp_path / "data").endswith("run this command as the user who runs `up`.")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (1, r"it belongs to the user daemon; run this command as that user \(sudo -u daemon \.\.\.\)\.$"),
        (54321, r"it belongs to the user with the id 54321; run this command as that user\.$"),
        (65534, "though it is yours: chmod -R u\\+rwX '.*'$"),
    ],
)
def test_a_directory_of_another_user_is_said_with_its_owner(owner: int, why: str) -> None:
    with temporary_data_dir() as home:
        home.chmod(0o755)
        data = home / "data"
        data.mkdir()
        (data / LOCK_FILE).touch(mode=0o000)
        os.chown(data, owner, owner)
        assert re.search(why, hidden_from_nobody(data))


def hidden_from_nobody(data_dir: Path) -> str:
    """What the user `nobody` hears of a directory."""
    os.seteuid(65534)
    try:
        refuse_what_is_hidden(data_dir)
    except StackError as refused:
        return str(refused)
    finally:
        os.seteuid(0)
    return ""


def test_a_clock_that_was_never_set_is_said() -> None:
    (said,) = clock_refusals(datetime(1970, 1, 1, 0, 7, tzinfo=UTC))
    assert said.startswith("The clock of this machine says 1970-01-01 00:07 UTC, and by it everything is timed: set it")
    assert clock_refusals(EARLIEST) == []
