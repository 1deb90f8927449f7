"""How many idle workers a node should have: a pure decision, which `warm_workers` carries out."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_AT_REST = 8
MOST_WHEN_NEEDED = 32

AT_ONCE = 1
"""Workers beyond those at rest that are begun together: each start takes half a second of a core."""

WORKER_BYTES = 54 * 2**20
_SHARE = 0.25
"""Of the memory that is available; idle workers must not take the place of strategies."""

EXPECTED_S = 300.0
"""How long a strategy that was just made, or STARTs that came one after another, keep more workers ready."""

BUSY_S = 30.0
"""How many seconds of STARTs count as one burst."""


@dataclass(frozen=True)
class Fill:
    """Workers to begin now: those kept for a session of the exchange, and those that Ray ends after EXPECTED_S."""

    lasting: int
    passing: int


def wanted(at_rest: int, expected: int, recent: int, available: int) -> int:
    """The idle workers that a node should have.

    Args:
        at_rest: those of a node at rest.
        expected: strategies that were made lately and have not been started; this node's part of them.
        recent: STARTs of the last seconds. All but the first ask for one more, until the pool is twice that at rest.
        available: memory in bytes that is free or that idle workers have already.
    """
    more = max(expected, min(recent - 1, at_rest), 0)
    if not more:
        return at_rest
    affordable = int(available * _SHARE) // WORKER_BYTES
    return max(at_rest, min(at_rest + more, MOST_WHEN_NEEDED, affordable))


def fill(idle: int, at_rest: int, wanted: int) -> Fill:
    """What to begin now: what is missing of the pool at rest in one go, and the rest one after another.

    Ray has a bound of workers that start at once (`worker_maximum_startup_concurrency`), and a START waits behind them.
    """
    lasting = max(at_rest - max(idle, 0), 0)  # a count that is taken while actors begin or end may be below none
    return Fill(lasting, 0 if lasting else min(max(wanted - idle, 0), AT_ONCE))


def still(times: Iterable[float], now: float, seconds: float) -> int:
    """How many of these times lie within the last seconds."""
    return sum(now - time < seconds for time in times)
