"""Requests of one process that concern the same thing at the same time.

An order among the processes comes from the database and the engine; what is here only saves them the repetition.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class KeyedLocks(Generic[K]):
    """One lock for each key, for as long as anybody holds or awaits it; `holders` may have it at a time."""

    def __init__(self, holders: int = 1) -> None:
        self._holders = holders
        self._locks: WeakValueDictionary[K, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, key: K) -> asyncio.Semaphore:
        """The lock of a key; the caller must keep it while it uses it."""
        return self._locks.setdefault(key, asyncio.Semaphore(self._holders))


class SharedCalls(Generic[K, V]):
    """Callers with the same key share one call, and its result or its error."""

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[V]] = {}

    async def run(self, key: K, call: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The result of the call that is on its way for this key, or else of a new one.

        A call goes on to its end even if no caller waits for it any more.
        """
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(call(), name=f"shared call {key}")
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: K, done: asyncio.Task[V]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # looked at, even if every caller has gone
