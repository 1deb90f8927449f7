"""Password hashing, kept off the event loop and off most of the machine."""

import asyncio
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_THREADS = 2
"""A storm of logins may use at most two cores for hashing: stop-losses share the machine."""


class Passwords:
    """Argon2id with OWASP's minimum (19 MiB, two passes, one lane)."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="password")
        self.decoy = self._hasher.hash("no user has this password")
        """What a password is compared with when the address is unknown."""

    async def hash(self, password: str) -> str:
        """The text to store for a password."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._hasher.hash, _composed(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one. Without a stored one: False, after the same time."""
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(self._pool, self._verify, stored or self.decoy, password)
        return right and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether the stored text was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str, password: str) -> bool:
        # As it was typed, too: what was stored before passwords were composed stays good.
        return any(self._is_of(stored, text) for text in dict.fromkeys((_composed(password), password)))

    def _is_of(self, stored: str, text: str) -> bool:
        try:
            return self._hasher.verify(stored, text)
        except (VerificationError, InvalidHashError):
            return False


def _composed(password: str) -> str:
    """One spelling for what looks the same: keyboards write an accent as one character or as two (RFC 8265 §4.2)."""
    return unicodedata.normalize("NFC", password)
