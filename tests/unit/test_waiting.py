"""Waiting for an event for a limited time, and for an answer without limit."""

import asyncio
import contextlib

import pytest

from actors.ports.common import PeerUnavailable
from actors.waiting import end_tasks, until_answered, within
from tests.kit.virtual_time import in_virtual_time


@in_virtual_time
async def test_it_is_said_whether_it_happened_in_time() -> None:
    happened, loop = asyncio.Event(), asyncio.get_running_loop()
    begun = loop.time()
    assert not await within(happened, 2.0)
    assert loop.time() - begun == pytest.approx(2.0)
    loop.call_later(1.0, happened.set)
    assert await within(happened, 2.0)
    assert loop.time() - begun == pytest.approx(3.0)


@in_virtual_time
async def test_nothing_is_waited_for_without_time_and_anything_without_limit() -> None:
    happened, loop = asyncio.Event(), asyncio.get_running_loop()
    begun = loop.time()
    assert not await within(happened, -1.0)
    loop.call_later(3600.0, happened.set)
    assert await within(happened, None)
    assert loop.time() - begun == pytest.approx(3600.0)
    assert await within(happened, 0)


@pytest.mark.parametrize("seconds", [None, 5.0])
def test_who_waits_can_be_cancelled_in_the_moment_in_which_it_happens(seconds: float | None) -> None:
    @in_virtual_time
    async def scenario() -> None:
        happened = asyncio.Event()
        waiting = asyncio.create_task(within(happened, seconds))
        await asyncio.sleep(0)
        happened.set()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    scenario()


@in_virtual_time
async def test_tasks_end_although_one_of_them_swallows_a_cancellation() -> None:
    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def failing() -> None:
        raise RuntimeError("of no interest by now")

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(failing()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    await end_tasks(tasks)
    assert all(task.done() for task in tasks)
    await end_tasks([])


@in_virtual_time
async def test_a_peer_is_asked_until_it_answers() -> None:
    answers: list[PeerUnavailable | int] = [PeerUnavailable("one"), PeerUnavailable("two"), 42]
    said, loop = list[str](), asyncio.get_running_loop()
    begun = loop.time()

    async def call() -> int:
        answer = answers.pop(0)
        if isinstance(answer, PeerUnavailable):
            raise answer
        return answer

    assert await until_answered(call, 0.5, lambda error: said.append(str(error))) == 42
    assert said == ["one", "two"]
    assert loop.time() - begun == pytest.approx(1.0)


@in_virtual_time
async def test_any_other_error_ends_the_asking() -> None:
    async def call() -> int:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await until_answered(call, 0.5)
