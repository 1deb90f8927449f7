"""Emptying a node: one strategy at a time, the next one when the last is guarded twice again, and nothing by force."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from actors.runtime.driver.drain import Drained, MoveFailed, NodeDrain
from actors.strategy.moving import Standing
from tests.kit.virtual_time import in_virtual_time

HERE, THERE = "a" * 56, "b" * 56
TAKES_S = 1.5


@dataclass
class Strategies:
    """Strategies on two nodes; one that has moved needs `TAKES_S` seconds until it is well."""

    holds: dict[int, bool]
    homes: dict[int, str] = field(default_factory=dict)
    hindered: dict[int, list[str]] = field(default_factory=dict)
    """What each says when it is asked, first to last; then nothing hinders it."""
    without_actor: list[int] = field(default_factory=list)
    fails: str = ""
    never_well: bool = False
    stays: bool = False
    trace: list[str] = field(default_factory=list)
    well_at: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.homes |= {one: HERE for one in self.holds if one not in self.homes}

    async def here(self) -> Sequence[int]:
        return [one for one, home in self.homes.items() if home == HERE]

    async def away(self) -> Sequence[tuple[int, int]]:
        return [(one * 10, one) for one in self.without_actor]

    async def standing(self, strategy_id: int) -> Standing | None:
        if strategy_id not in self.homes:
            return None
        well = asyncio.get_running_loop().time() >= self.well_at.get(strategy_id, 0.0)
        home = self.homes[strategy_id]
        if well and home == THERE:
            self.trace.append(f"well {strategy_id}")
        return Standing(strategy_id * 10, home, self.holds[strategy_id], well, None)

    async def leave(self, run_id: int, strategy_id: int) -> str | None:
        assert run_id == strategy_id * 10
        if hindered := self.hindered.get(strategy_id):
            return hindered.pop(0)
        self.trace.append(f"leave {strategy_id}")
        return None

    async def bring_up(self, run_id: int, strategy_id: int) -> None:
        assert run_id == strategy_id * 10
        if self.fails:
            raise MoveFailed(self.fails)
        self.homes[strategy_id] = HERE if self.stays else THERE
        now = asyncio.get_running_loop().time()
        self.well_at[strategy_id] = float("inf") if self.never_well else now + TAKES_S


async def drained(strategies: Strategies, within_s: float = 60) -> tuple[Drained, list[str]]:
    said: list[str] = []
    return await NodeDrain(strategies, HERE, said.append).run(within_s), said


@in_virtual_time
async def test_they_move_one_by_one_those_without_a_position_first() -> None:
    strategies = Strategies({1: True, 2: True, 3: False, 4: True}, homes={4: THERE})
    result, said = await drained(strategies)
    assert (result.done, result.moved) == (True, 3)
    assert strategies.trace == ["leave 3", "well 3", "leave 1", "well 1", "leave 2", "well 2"]
    assert said[1] == f"strategy:1 has moved in {TAKES_S + 0.1:.1f} s, guarded twice again."


@in_virtual_time
async def test_one_that_cannot_leave_yet_is_asked_again_while_the_others_move() -> None:
    strategies = Strategies({1: True, 2: True}, hindered={1: ["its SELL is at 15:00:00"] * 3})
    result, _ = await drained(strategies)
    assert result.done
    assert strategies.trace == ["leave 2", "well 2", "leave 1", "well 1"]


@in_virtual_time
async def test_one_that_cannot_leave_in_time_is_named_and_stays() -> None:
    strategies = Strategies({1: True, 2: False}, hindered={1: ["its exit fails and is tried again"] * 99})
    result, _ = await drained(strategies, within_s=20)
    assert (result.done, result.moved, dict(result.left)) == (
        False,
        1,
        {"strategy:1": "its exit fails and is tried again"},
    )
    assert strategies.homes[1] == HERE


@in_virtual_time
async def test_if_one_cannot_be_brought_up_no_other_is_moved() -> None:
    strategies = Strategies({1: True, 2: True, 3: True}, fails="strategy:1 has left.")
    result, _ = await drained(strategies)
    assert (result.done, result.failed) == (False, "strategy:1 has left.")
    assert strategies.trace == ["leave 1"]


@in_virtual_time
async def test_if_one_is_not_guarded_twice_again_no_other_is_moved() -> None:
    strategies = Strategies({1: True, 2: True}, never_well=True)
    result, _ = await drained(strategies)
    assert "not guarded twice" in result.failed
    assert strategies.trace == ["leave 1"]


@in_virtual_time
async def test_if_one_comes_back_on_the_same_node_no_other_is_moved() -> None:
    strategies = Strategies({1: True, 2: True}, stays=True)
    result, _ = await drained(strategies)
    assert "very node" in result.failed
    assert strategies.trace == ["leave 1"]


@in_virtual_time
async def test_one_whose_run_ends_meanwhile_is_waited_for_no_longer() -> None:
    class Ending(Strategies):
        async def bring_up(self, run_id: int, strategy_id: int) -> None:
            del self.homes[strategy_id]

    result, _ = await drained(Ending({1: True}))
    assert result.done


@in_virtual_time
async def test_one_that_a_killed_drain_has_let_go_of_is_brought_up_before_another_leaves() -> None:
    strategies = Strategies({1: True, 2: True}, homes={2: ""}, without_actor=[2])
    result, _ = await drained(strategies)
    assert (result.done, result.moved) == (True, 2)
    assert strategies.trace == ["well 2", "leave 1", "well 1"]


@in_virtual_time
async def test_an_empty_node_is_not_called_done_while_one_is_nowhere() -> None:
    strategies = Strategies({1: True}, homes={1: ""}, without_actor=[1], fails="strategy:1 has left.")
    result, _ = await drained(strategies)
    assert (result.done, result.failed) == (False, "strategy:1 has left.")


@in_virtual_time
async def test_an_empty_node_is_done_at_once() -> None:
    result, said = await drained(Strategies({1: True}, homes={1: THERE}))
    assert (result.done, result.moved, said) == (True, 0, [])
