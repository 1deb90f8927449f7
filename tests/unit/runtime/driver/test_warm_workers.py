"""The pool of warm workers over a raylet that only writes down what it is asked for."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from actors.runtime.driver import pool_size, warm_workers
from actors.runtime.driver.warm_workers import WarmPool

GB = 2**30
AT_REST = 6
NODE: dict[str, Any] = {"NodeID": "n", "Alive": True, "Resources": {"CPU": AT_REST, "memory": 16 * GB}}
LASTING, PASSING = 8 * 3600, int(pool_size.EXPECTED_S)


class Raylet:
    """Begins what it is asked for at once, unless it is down."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.down = False
        self.idle = 0

    def prestart(self, _node: dict[str, Any], count: int, keep_s: int) -> None:
        if self.down:
            raise grpc.RpcError
        self.asked.append((count, keep_s))
        self.idle += count


@pytest.fixture
def raylet(monkeypatch: pytest.MonkeyPatch) -> Raylet:
    raylet = Raylet()
    monkeypatch.setattr(warm_workers, "prestart", raylet.prestart)
    monkeypatch.setattr(warm_workers, "idle_workers", lambda: Counter({"n": raylet.idle}))
    monkeypatch.setattr(warm_workers, "_available", lambda _node, _idle: 16 * GB)
    monkeypatch.setattr("ray.nodes", lambda: [NODE])
    monkeypatch.setattr("actors.runtime.node_marks.marked", frozenset)
    for name in ("SETTLE_S", "_PACE_S", "_COUNT_S"):
        monkeypatch.setattr(warm_workers, name, 0.01)
    return raylet


async def until(said: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not said():  # noqa: ASYNC110 - the raylet is called in other threads
            await asyncio.sleep(0.005)


async def test_it_fills_the_pool_at_rest_and_replaces_what_a_start_takes(raylet: Raylet) -> None:
    pool = WarmPool()
    pool.open()
    await until(lambda: raylet.asked == [(AT_REST, LASTING)])
    raylet.idle -= 1
    pool.taken("n", 1)
    await until(lambda: raylet.asked == [(AT_REST, LASTING), (1, LASTING)])
    await pool.close()


async def test_strategies_that_were_made_get_workers_one_after_another_for_a_while(raylet: Raylet) -> None:
    pool = WarmPool()
    pool.open()
    for strategy_id in range(5):
        pool.expect(strategy_id)
    await until(lambda: raylet.idle == AT_REST + 5)
    assert raylet.asked == [(AT_REST, LASTING)] + 5 * [(1, PASSING)]
    await pool.close()


async def test_a_strategy_that_was_started_is_expected_no_more(raylet: Raylet) -> None:
    pool = WarmPool()
    pool.open()
    pool.expect(1)
    await until(lambda: raylet.idle == AT_REST + 1)
    raylet.idle -= 1
    pool.taken("n", 1)
    raylet.idle -= 1  # one that no process reports: a router, say. It is found when the workers are counted.
    await until(lambda: raylet.asked[-1] == (1, LASTING))
    assert raylet.idle == AT_REST
    await pool.close()


async def test_a_raylet_that_does_not_answer_is_asked_again(raylet: Raylet) -> None:
    raylet.down = True
    pool = WarmPool()
    pool.open()
    pool.expect(1)
    raylet.down = False
    await until(lambda: raylet.idle == AT_REST + 1)
    await pool.close()
