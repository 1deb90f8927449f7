"""Paper prices decide about paper positions alone, and Kite's about those at Kite."""

import subprocess
import sys

from tests.kit.paper import REPOSITORY


def test_each_run_hears_the_prices_of_its_own_broker() -> None:
    command = [sys.executable, "-m", "tests.kit.two_brokers"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)
    assert "two brokers, two prices" in ended.stdout, ended.stdout[-2000:] + ended.stderr[-4000:]
