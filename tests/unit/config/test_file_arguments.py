"""Names of files as people give them to a command: what is no name of a file is refused with what to write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.commands.cli import app

RUNNER = CliRunner(env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})


def said(*arguments: str) -> str:
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code in {1, 2}, done.output
    return " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize("command", ["backup", "restore"])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("-x.tar", "if -x.tar is the name of a file, write ./-x.tar"),
        ("--x.tar", "if --x.tar is the name of a file, write ./--x.tar"),
        ("/mnt/usb/", "/mnt/usb/ names no file; add the name of one, such as backup.tar"),
        ("", "an empty name names no file; add the name of one"),
        ("two\nlines.tar", "two\ufffdlines.tar has a line break or another letter that cannot be seen; rename it"),
        ("\x1b[2J.tar", "\ufffd[2J.tar has a line break or another letter that cannot be seen; rename it"),
    ],
)
def test_what_is_no_name_of_a_file_is_refused(command: str, name: str, sentence: str) -> None:
    assert sentence in said(command, name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "an empty name names no file; add the name of one, or - for the standard input"),
        ("https://example.com/bars.csv", "it is an address, and no file; download it first, or pipe it to"),
    ],
)
def test_what_is_no_recording_to_replay_is_refused(name: str, sentence: str) -> None:
    assert sentence in said("replay", name, "--buy", "09:20", "--sell", "15:10", "--stop", "90", "--qty", "1")


@pytest.mark.parametrize("command", [("up",), ("backup", "b.tar"), ("restore", "b.tar"), ("status",), ("prune",)])
def test_a_data_directory_without_a_name_is_not_the_current_one(command: tuple[str, ...]) -> None:
    assert "an empty name names no directory; name one, or leave the option out" in said(*command, "--data-dir", "")


def test_an_option_that_there_is_not_is_no_file() -> None:
    assert "No such option: --forse" in said("backup", "--forse", "b.tar")


def test_a_name_of_another_encoding_is_one(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tar")
    assert "there is no such file" in said("restore", "--yes", name)


def test_a_directory_is_no_place_for_a_backup(tmp_path: Path) -> None:
    assert "is a directory; name a file in it, such as" in said("backup", str(tmp_path))


def test_links_in_a_circle_are_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    line = ("backup", str(tmp_path / "loop" / "b.tar"), "--data-dir", str(tmp_path / "none"))
    assert "correct the links, which lead in a circle" in said(*line)


@pytest.mark.parametrize("stdin", ["<&-", "</dev/null"])
def test_where_nobody_can_be_asked_yes_is_to_be_said_beforehand(tmp_path: Path, stdin: str) -> None:
    line = (sys.executable, "-m", "config.commands.cli", "restore", "b.tar", "--data-dir", str(tmp_path))
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {stdin}', "sh", *line], capture_output=True, text=True, check=False
    )
    assert done.stderr == "Nobody is here to say yes: run it at a terminal, or with --yes.\n"
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (("replay", "day.csv", "—buy", "09:30"), "buy"),
        (("backup", "b.tar", "–force"), "force"),
        (("up", "–-data-dir", "/srv"), "data-dir"),
        (("—help",), "help"),
    ],
)
def test_a_dash_in_place_of_two_hyphens_is_said(line: tuple[str, ...], name: str) -> None:
    assert f"before {name} stands a dash, as word processors make of two hyphens: write --{name}" in said(*line)


def test_a_current_directory_that_is_gone_is_said(tmp_path: Path) -> None:
    script = 'cd "$0" && rmdir "$0" && exec "$@"'
    line = (sys.executable, "-m", "config.commands.cli", "backup", "b.tar")
    (tmp_path / "gone").mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        ["/bin/sh", "-c", script, str(tmp_path / "gone"), *line],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.stderr == "The directory in which this runs has been removed; change into another one.\n"
