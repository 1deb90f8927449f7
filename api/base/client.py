"""The client behind a request, as far as logins and passwords go."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

HasLeft = Callable[[], Awaitable[bool]]


async def stays() -> bool:
    """Say of a client that it still waits for its answer: of a command, which has no connection."""
    return False


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from, with which program, and whether its connection has ended meanwhile."""

    address: str
    user_agent: str = ""
    has_left: HasLeft = stays
