"""Failpoints kill the process that comes by, once, and nothing where they are off. Real processes, real signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actors import failpoints

COME_BY = "from actors import failpoints; failpoints.hit({name!r}, {strategy}); print('alive')"


def come_by(directory: Path | None, name: str = "claim.after", strategy: int = 3) -> int:
    environment = {k: v for k, v in os.environ.items() if k != failpoints.VARIABLE}
    if directory is not None:
        environment[failpoints.VARIABLE] = str(directory)
    code = COME_BY.format(name=name, strategy=strategy)
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False).returncode


def test_an_armed_failpoint_kills_the_first_that_comes_by_and_only_that_one(tmp_path: Path) -> None:
    armed = failpoints.arm(tmp_path, "claim.after", 3)
    assert come_by(tmp_path) == -signal.SIGKILL
    assert not armed.exists()
    assert come_by(tmp_path) == 0


def test_a_failpoint_is_aimed_at_one_strategy_or_at_any(tmp_path: Path) -> None:
    failpoints.arm(tmp_path, "claim.after", 4)
    assert come_by(tmp_path) == 0
    failpoints.arm(tmp_path, "claim.after")
    assert come_by(tmp_path) == -signal.SIGKILL


def test_without_a_directory_nothing_happens(tmp_path: Path) -> None:
    failpoints.arm(tmp_path, "claim.after")
    assert come_by(None) == 0


def test_beside_a_real_broker_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEACTORS_BROKERS", "kite,paper")
    failpoints.arm(tmp_path, "claim.after")
    assert come_by(tmp_path) == 0


def test_a_name_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    assert come_by(tmp_path, "claim.afterwards") == 1
    with pytest.raises(ValueError, match="not a failpoint"):
        failpoints.arm(tmp_path, "claim.afterwards")
