"""How a part waits for another: for an event for a limited time, for an answer without limit, for the end of tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from actors.ports.common import PeerUnavailable

T = TypeVar("T")

_CANCEL_AGAIN_S = 5.0


async def within(happened: asyncio.Event, seconds: float | None) -> bool:
    """Whether it happens within `seconds`, None for without limit. Returns when it has happened, and at once if
    there is no time left.
    """
    if seconds is not None and seconds <= 0:
        return happened.is_set()
    try:
        async with asyncio.timeout(seconds):
            return await happened.wait()
    except TimeoutError:
        return happened.is_set()


async def end_tasks(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel them until all have ended: a library can swallow a cancellation that comes together with an answer."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)
        for task in ended:
            if not task.cancelled():
                task.exception()  # looked at: it ends in any case


async def every_second_or_when(changed: asyncio.Event, seconds: float = 1.0) -> None:
    """Return when the event is set, which clears it, or after a second."""
    await within(changed, seconds)
    changed.clear()


async def until_answered(
    call: Callable[[], Awaitable[T]], every_s: float, say: Callable[[PeerUnavailable], None] | None = None
) -> T:
    """What the peer answers, however often it must be asked; `say` is called whenever it does not."""
    while True:
        try:
            return await call()
        except PeerUnavailable as error:
            if say is not None:
                say(error)
            await asyncio.sleep(every_s)
