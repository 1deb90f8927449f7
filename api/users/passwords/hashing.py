"""Password hashing, kept off the event loop and off most of the machine: a few at a time, behind a short queue."""

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.base.client import HasLeft, stays
from api.base.errors import ApiError, ClientLeft
from api.users.passwords.spelling import prepared, spellings

_Result = TypeVar("_Result")

_THREADS = 2
"""How many hashes are made at once: a storm of logins uses at most two cores, since stop-losses share the machine."""

SERVED = 2 * _THREADS
"""How many requests about passwords are served at once: two hash while two others ask the database, whose connections
are few."""

MOST_WAITING = 40
"""How many wait for that at most: about a second of work. A longer queue makes honest users wait for a flood."""

_RETRY_AFTER_S = range(2, 7)
"""How many seconds those are asked to wait who find no place: spread, so that they do not all come back at once."""

_NICENESS = 15


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether a password is the stored one; `outdated`: its hash is to be replaced, since it was made with weaker
    parameters than today's, or of the password in a spelling of before."""

    right: bool
    outdated: bool


_WRONG = Comparison(right=False, outdated=False)

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@cache
def _decoy() -> str:
    return _HASHER.hash("no user has this password")


class Passwords:
    """Argon2id with OWASP's minimum (19 MiB, two passes, one lane)."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._hasher = _HASHER
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="password", initializer=_yield_to_others)
        self._free_threads = asyncio.Semaphore(_THREADS)
        self._turns = asyncio.Semaphore(SERVED)
        self._places = most_waiting + SERVED
        self.decoy = _decoy()
        """What a password is compared with when the address is unknown."""

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the queue, and the turn to be served: before anything is done that a password decides about.

        Raises:
            ApiError: 503 `passwords_busy`, at once, when all places are taken.
        """
        self.check_place()
        self._places -= 1
        try:
            async with self._turns:
                yield
        finally:
            self._places += 1

    def check_place(self) -> None:
        """Whether there is a place now. Raises as `place` does when there is none."""
        if self._places == 0:
            sentence = "Too many are logging in at this moment. Please try again."
            raise ApiError(503, "passwords_busy", sentence, {"Retry-After": str(secrets.choice(_RETRY_AFTER_S))})

    async def hash(self, password: str, has_left: HasLeft = stays) -> str:
        """The text to store for a password. Raises ClientLeft if the client has left when its turn comes."""
        return await self._in_turn(lambda: self._hasher.hash(prepared(password)), has_left)

    async def compare(self, stored: str | None, password: str, has_left: HasLeft = stays) -> Comparison:
        """Compare a password with the stored one. Without a stored one it is wrong, after the same time.

        Raises:
            ClientLeft: the client has left when its turn comes: nothing is compared.
        """
        found = await self._in_turn(lambda: self._compare(stored or self.decoy, password), has_left)
        return found if stored is not None else _WRONG

    async def matches(self, stored: str | None, password: str, has_left: HasLeft = stays) -> bool:
        """Whether the password is the stored one. Raises as `compare` does."""
        return (await self.compare(stored, password, has_left)).right

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_turn(self, work: Callable[[], _Result], has_left: HasLeft) -> _Result:
        async with self._free_threads:
            if await has_left():
                raise ClientLeft
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _compare(self, stored: str, password: str) -> Comparison:
        # A spelling of before counts too. How many are tried depends on what is typed, and never on what is stored.
        for position, text in enumerate(spellings(password)):
            if self._is_of(stored, text):
                return Comparison(right=True, outdated=position > 0 or self._hasher.check_needs_rehash(stored))
        return _WRONG

    def _is_of(self, stored: str, text: str) -> bool:
        try:
            return self._hasher.verify(stored, text)
        except (VerificationError, InvalidHashError):
            return False


def _yield_to_others() -> None:
    """Let the event loop and the actors of this machine have the processor first. Linux has priorities of threads."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
