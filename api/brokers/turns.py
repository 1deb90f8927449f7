"""Turns at the brokers: how many calls of one user may be under way, so that no user has all threads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.errors import TooManyCalls


class Turns:
    """Gives each user the same number of turns at once. For one event loop; forgets users who ask nothing."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._users: dict[int, _Line] = {}

    @asynccontextmanager
    async def turn(self, user_id: int, patience_s: float) -> AsyncIterator[None]:
        """One turn, for the block; those of a user come in the order in which they were asked for.

        Raises:
            TooManyCalls: there was none within `patience_s` seconds.
        """
        line = self._users.setdefault(user_id, _Line(self._at_once))
        line.length += 1
        try:
            try:
                async with asyncio.timeout(patience_s):
                    await line.places.acquire()
            except TimeoutError as error:
                raise TooManyCalls from error
            try:
                yield
            finally:
                line.places.release()
        finally:
            line.length -= 1
            if not line.length:
                del self._users[user_id]

    def __len__(self) -> int:
        """Users who have a turn or wait for one."""
        return len(self._users)


class _Line:
    """`length`: those who have a turn, and those who wait for one."""

    def __init__(self, at_once: int) -> None:
        self.places = asyncio.Semaphore(at_once)
        self.length = 0
