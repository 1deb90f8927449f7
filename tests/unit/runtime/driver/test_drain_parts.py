"""What strategies rely on moves while none of them needs it, execution last, and nothing by force."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.runtime.driver.drain import Drained, MoveFailed
from actors.runtime.driver.drain_parts import PartsDrain, in_turn
from tests.kit.virtual_time import in_virtual_time

EXECUTION, FEED, ROUTER = "execution:0", "feed:0", "router:NSE:INFY"


@dataclass
class Parts:
    """The actors of a node, and what the strategies of the cluster say when they are asked, first to last."""

    names: list[str]
    not_ready: list[str] = field(default_factory=list)
    not_guarded: list[str] = field(default_factory=list)
    stays: dict[str, str] = field(default_factory=dict)
    fails: str = ""
    busy: list[str] = field(default_factory=list)
    """What an actor says when it is to end, first to last."""
    trace: list[str] = field(default_factory=list)
    prepared: list[str] = field(default_factory=list)

    async def here(self) -> Sequence[str]:
        return list(self.names)

    async def unready(self) -> str | None:
        said = self.not_ready.pop(0) if self.not_ready else None
        self.trace.append("not ready" if said else "ready")
        return said

    async def unguarded(self) -> str | None:
        said = self.not_guarded.pop(0) if self.not_guarded else None
        self.trace.append("not guarded" if said else "guarded")
        return said

    async def kept(self, name: str) -> str | None:
        return self.stays.get(name)

    async def prepare(self, name: str) -> None:
        self.prepared.append(name)

    async def replace(self, name: str) -> str | None:
        if self.busy:
            self.trace.append("busy")
            return self.busy.pop(0)
        self.trace.append(name)
        if self.fails:
            raise MoveFailed(self.fails)
        return None


async def drained(parts: Parts, within_s: float = 10) -> tuple[Drained, list[str]]:
    said: list[str] = []
    return await PartsDrain(parts, said.append).run(within_s), said


def test_execution_comes_last_and_routers_first() -> None:
    assert in_turn([EXECUTION, FEED, ROUTER]) == [ROUTER, FEED, EXECUTION]


@in_virtual_time
async def test_the_next_one_moves_when_all_are_guarded_twice_again() -> None:
    parts = Parts([EXECUTION, ROUTER], not_guarded=["strategy:1: it is not guarded twice"] * 2)
    result, said = await drained(parts)
    assert (result.done, result.moved, len(said)) == (True, 2, 2)
    assert parts.trace == [
        *("ready", ROUTER, "not guarded", "not guarded", "guarded"),
        *("ready", EXECUTION, "guarded"),
    ]


@in_virtual_time
async def test_none_moves_while_an_order_is_on_its_way_or_near() -> None:
    parts = Parts([EXECUTION], not_ready=["strategy:1: its exit is on its way"] * 3)
    result, _ = await drained(parts)
    assert result.done
    assert parts.trace == ["not ready", "not ready", "not ready", "ready", EXECUTION, "guarded"]


@in_virtual_time
async def test_what_is_needed_or_busy_all_the_time_stays_and_is_named() -> None:
    hindrance = "strategy:1: its exit fails and is tried again"
    for parts in (Parts([EXECUTION], not_ready=[hindrance] * 99), Parts([EXECUTION], busy=[hindrance] * 99)):
        result, _ = await drained(parts)
        assert (result.done, dict(result.left)) == (False, {EXECUTION: hindrance})
        assert EXECUTION not in parts.trace


@in_virtual_time
async def test_a_feed_that_execution_needs_for_a_moment_moves_after_it() -> None:
    parts = Parts([FEED], stays={FEED: "execution:0 guards by its prices alone"})
    asyncio.get_running_loop().call_later(5, parts.stays.clear)
    result, _ = await drained(parts, within_s=60)
    assert (result.done, result.moved) == (True, 1)


@in_virtual_time
async def test_what_cannot_move_stays_and_the_others_move() -> None:
    parts = Parts([EXECUTION, ROUTER], stays={EXECUTION: "there is no other order gateway"})
    result, _ = await drained(parts)
    assert (result.done, result.moved, dict(result.left)) == (False, 1, {EXECUTION: "there is no other order gateway"})


@in_virtual_time
async def test_after_one_that_did_not_come_back_no_other_moves() -> None:
    parts = Parts([EXECUTION, ROUTER], fails="router:NSE:INFY has not begun elsewhere.")
    result, _ = await drained(parts)
    assert (result.done, result.failed) == (False, "router:NSE:INFY has not begun elsewhere.")
    assert EXECUTION not in parts.trace


@in_virtual_time
async def test_after_one_that_left_a_position_with_one_guard_no_other_moves() -> None:
    parts = Parts([EXECUTION, ROUTER], not_guarded=["strategy:1: it is not guarded twice"] * 999)
    result, _ = await drained(parts)
    assert "it is not guarded twice" in result.failed
    assert EXECUTION not in parts.trace


@in_virtual_time
async def test_one_with_an_order_that_no_strategy_knows_of_yet_is_asked_again_when_all_are_ready() -> None:
    parts = Parts([EXECUTION], busy=["an order of its accounts is on its way"] * 2)
    result, _ = await drained(parts)
    assert (result.done, parts.prepared) == (True, [EXECUTION])
    assert parts.trace == ["ready", "busy", "ready", "busy", "ready", EXECUTION, "guarded"]
