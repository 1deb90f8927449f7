"""What stands beside our stop-loss: each gets the ticks of a market of its own, so that ours do not wake with it."""

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Protocol, Self

from benchmarks.exchange_control import Control

BESIDE, TOKEN = "NSE:TCS", 2953217
PRICE, STOP, FALLEN, FAR_STOP = 150000, 145000, 144000, 100
"""Paise. `FAR_STOP` is never touched."""

QUIET_S = (0.6, 1.6)
"""From the moment at which all guard to the one from which the next regular tick may be the one that counts: at random,
so that it is in step with nothing."""

_CONNECTED_S = 20.0


class Baseline(Protocol):
    """Something that sells when the price of `BESIDE` falls through its stops."""

    breached: int
    """How many orders of it a fall sets off."""


def shots(exchange: Control, baseline: Baseline, count: int) -> list[list[float]]:
    """`count` falls of a market that ticks once a second: milliseconds from each tick to the arrival of its orders.

    One more comes before them, as before ours: the connection on which orders leave is open after it.
    """
    taken = []
    for _ in range(1 + count):
        exchange.open_market(BESIDE, PRICE)
        exchange.tick(BESIDE, PRICE)
        time.sleep(random.uniform(*QUIET_S))
        taken.append(exchange.fall(BESIDE, FALLEN, baseline.breached).latencies_ms)
    exchange.close_market(BESIDE)
    return taken[1:]


class PlainScript:
    """`benchmarks.plain_script` in a process of its own; those of its accounts from `breached` on never sell."""

    def __init__(self, exchange: Control, accounts: int, breached: int) -> None:
        self._exchange, self.breached = exchange, breached
        stops = [STOP if number < breached else FAR_STOP for number in range(accounts)]
        self._argv = [sys.executable, "-m", "benchmarks.plain_script", exchange.root, exchange.ws_root, str(TOKEN)]
        self._argv += [BESIDE.partition(":")[2], *(f"{stop / 100:.2f}" for stop in stops)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        before = self._exchange.listeners(BESIDE)
        self._process = subprocess.Popen(self._argv)
        until = time.monotonic() + _CONNECTED_S
        while self._exchange.listeners(BESIDE) == before:
            assert time.monotonic() < until, "the plain script does not connect"
            time.sleep(0.05)
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def firsts(taken: Sequence[Sequence[float]]) -> list[float]:
    """Of each fall, the first order."""
    return [min(latencies) for latencies in taken]


def lasts(taken: Sequence[Sequence[float]]) -> list[float]:
    """Of each fall, the last order."""
    return [max(latencies) for latencies in taken]
