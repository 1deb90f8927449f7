"""The beginning of the command: another project's packages of our names are said, and never a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


INTERRUPTED = """
import os, signal, types
from actors import entry
def load(name):
    os.kill(os.getpid(), signal.SIGINT)
    return types.SimpleNamespace(app=lambda: print("begun"))
entry.import_module = load
entry.main()
"""
"""Ctrl-C while the command's modules are loaded."""


def begun(*pythonpath: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-P", "-c", "from actors.entry import main; main()", "replay", "--help"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, pythonpath))}
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("package", ["config.py", "api/__init__.py", "broker/__init__.py"])
def test_another_package_of_our_name_is_said(tmp_path: Path, package: str) -> None:
    other = tmp_path / package
    other.parent.mkdir(exist_ok=True)
    other.write_text("DEBUG = True\n", encoding="utf-8")
    done = begun(tmp_path, REPOSITORY)
    name = package.partition("/")[0].removesuffix(".py")
    assert done.stderr.startswith(f"Python finds another package called {name}, {other}, before that of TradeActors: ")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_other_packages_are_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "configuration.py").write_text("", encoding="utf-8")
    (tmp_path / "config").mkdir()  # without __init__.py, it is no package while ours is one
    done = begun(tmp_path, REPOSITORY)
    assert done.returncode == 0, done.stderr


HEARD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""As in a terminal: what began the tests in the background ignores it."""


def interrupted(before: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-P", "-c", before + INTERRUPTED]
    return subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_an_interrupt_before_anything_has_begun_ends_it_without_a_traceback() -> None:
    done = interrupted(HEARD)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    done = interrupted("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "begun\n", "")
