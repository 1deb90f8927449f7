"""Waiting for an event, at most for so many seconds."""

import asyncio
import contextlib


async def within(happened: asyncio.Event, seconds: float) -> None:
    """Return when it has happened, or after so many seconds."""
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(happened.wait(), seconds)


async def every_second_or_when(changed: asyncio.Event, seconds: float = 1.0) -> None:
    """Return when the event is set, which clears it, or after a second."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), seconds)
    changed.clear()
