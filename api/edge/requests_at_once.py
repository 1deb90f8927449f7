"""How many requests of one user are in work at the same time. The others wait in line: an app opens many at once."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from api.base.errors import ApiError
from api.edge.rate_limit import rate_limited

LINE = 100
"""How many requests of a user may wait."""

PATIENCE_S = 10.0
"""How long a request waits; STARTs in front of it may be waiting for their broker."""

_RETRY_S = 1.0


@dataclass(slots=True)
class _User:
    in_work: int = 0
    line: deque[asyncio.Future[None]] = field(default_factory=deque)


class RequestsAtOnce:
    """Lets so many requests of each user in, the others in their order; a limit of 0 lets any number in."""

    def __init__(self, limit: int, line: int = LINE, patience_s: float = PATIENCE_S) -> None:
        self._limit, self._line, self._patience_s = limit, line, patience_s
        self._users: dict[int, _User] = {}

    async def enter(self, user_id: int) -> Callable[[], None]:
        """Wait for a turn; call what is returned, once, when the request has ended.

        Raises:
            ApiError: 429 `rate_limited`: too many wait already, or it took too long.
        """
        if not self._limit:
            return _nothing
        user = self._users.setdefault(user_id, _User())
        if user.in_work < self._limit:
            user.in_work += 1
        elif len(user.line) >= self._line:
            raise _too_many()
        else:
            await self._wait(user_id, user)
        return lambda: self._leave(user_id, user)

    async def _wait(self, user_id: int, user: _User) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        user.line.append(turn)
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except BaseException as error:
            if turn.cancelled():
                with suppress(ValueError):  # it was passed over meanwhile
                    user.line.remove(turn)
            else:  # the turn came in the same instant as the end: the next in line has it
                self._leave(user_id, user)
            if isinstance(error, TimeoutError):
                raise _too_many() from error
            raise

    def _leave(self, user_id: int, user: _User) -> None:
        while user.line:
            turn = user.line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        user.in_work -= 1
        if not user.in_work:
            del self._users[user_id]


def _nothing() -> None:
    return


def _too_many() -> ApiError:
    return rate_limited("Too many requests at once. Please wait.", _RETRY_S)
