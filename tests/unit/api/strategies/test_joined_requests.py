"""Requests about the same thing at the same time: one at a time, or all in one."""

import asyncio

import pytest

from api.strategies.joined_requests import KeyedLocks, SharedCalls


class Work:
    """Takes until it is released; counts how often it is done, and how many do it at once."""

    def __init__(self, error: Exception | None = None) -> None:
        self.done = self.at_once = self.most = 0
        self.begun, self.release = asyncio.Event(), asyncio.Event()
        self._error = error

    async def __call__(self) -> int:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.begun.set()
        await self.release.wait()
        self.at_once -= 1
        self.done += 1
        if self._error:
            raise self._error
        return self.done


async def test_a_keyed_lock_lets_one_in_at_a_time_and_other_keys_pass() -> None:
    locks, work = KeyedLocks[str](), Work()

    async def locked(key: str) -> None:
        async with locks.of(key):
            await work()

    same = [asyncio.create_task(locked("a")) for _ in range(3)]
    await work.begun.wait()
    work.begun.clear()
    other = asyncio.create_task(locked("b"))
    await work.begun.wait()
    assert work.most == 2
    work.release.set()
    await asyncio.gather(*same, other)
    assert (work.done, work.most) == (4, 2)
    assert len(locks._locks) == 0


async def test_a_keyed_lock_may_have_several_holders_and_no_more() -> None:
    locks, work = KeyedLocks[str](2), Work()

    async def locked() -> None:
        async with locks.of("a"):
            await work()

    tasks = [asyncio.create_task(locked()) for _ in range(5)]
    await work.begun.wait()
    await asyncio.sleep(0)
    work.release.set()
    await asyncio.gather(*tasks)
    assert (work.done, work.most) == (5, 2)


async def test_callers_share_a_call_and_the_next_one_begins_again() -> None:
    calls, work = SharedCalls[str, int](), Work()
    callers = [asyncio.create_task(calls.run("a", work)) for _ in range(100)]
    await work.begun.wait()
    work.release.set()
    assert await asyncio.gather(*callers) == [1] * 100
    assert await calls.run("a", work) == 2


async def test_callers_share_an_error_too() -> None:
    calls, work = SharedCalls[str, int](), Work(ValueError("no"))
    callers = [asyncio.create_task(calls.run("a", work)) for _ in range(3)]
    work.release.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3
    assert work.done == 1


async def test_a_call_goes_on_when_its_callers_have_gone() -> None:
    calls, work = SharedCalls[str, int](), Work()
    gone = asyncio.create_task(calls.run("a", work))
    await work.begun.wait()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    joined = asyncio.create_task(calls.run("a", work))
    await asyncio.sleep(0)
    work.release.set()
    assert await joined == 1
