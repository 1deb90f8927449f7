"""Ending what a process of the API does beside its requests."""

import asyncio
from typing import Any

import structlog

log = structlog.stdlib.get_logger(__name__)

AGAIN_S = 0.1
"""How long a task that was cancelled may go on before it is cancelled again."""


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended: libraries, and Python 3.11 itself, lose a cancellation now and then.

    Raises:
        BaseException: what a task has ended with, when all have ended.
    """
    while going_on := [task for task in tasks if not task.done()]:
        for task in going_on:
            task.cancel()
        _, late = await asyncio.wait(going_on, timeout=AGAIN_S)
        for task in late:
            log.warning("task_ends_late", task=task.get_name())
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
