"""Tasks that are ended."""

import asyncio

import pytest

from api.base import background


async def _forgets_once() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def test_a_task_that_forgets_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN_S", 0.01)
    forgetful, ordinary = asyncio.create_task(_forgets_once()), asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await background.end(forgetful, ordinary)
    assert (forgetful.cancelled(), ordinary.cancelled()) == (True, True)


async def test_what_a_task_had_broken_on_is_not_lost() -> None:
    async def breaks() -> None:
        raise RuntimeError("broken")

    broken = asyncio.create_task(breaks())
    await asyncio.wait([broken])
    with pytest.raises(RuntimeError, match="broken"):
        await background.end(broken)
