"""What a driver of a cluster puts into its environment before Ray is imported."""

import os
import subprocess
import sys

import pytest

from config.ray_settings import LOOPBACK_ONLY

PRINT = f"""
import os, sys
from types import SimpleNamespace
from pathlib import Path
from actors.runtime.driver import cluster
cluster.prepare(SimpleNamespace(ray_address=sys.argv[1], data_dir=Path("/nowhere")))
print(os.environ.get("{LOOPBACK_ONLY}"), os.environ["RAY_AUTH_MODE"])
"""


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "0 token"),
        ("127.0.0.1:6379", "0 token"),
        ("localhost:6379", "0 token"),
        ("10.0.0.4:6379", "None token"),  # it would look for its node at 127.0.0.1, and find none
        ("head.internal:6379", "None token"),
    ],
)
def test_only_a_ray_of_this_machine_is_told_to_stay_on_it(address: str, said: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    argv = [sys.executable, "-c", PRINT, address]
    answer = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == said.split()
