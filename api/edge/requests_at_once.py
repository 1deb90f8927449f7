"""How many requests are served at the same time. The others wait in line: a well-behaved app sends several at once."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field

from api.base.errors import ApiError
from api.base.leaky_buckets import rate_limited

LINE = 100
"""How many requests may wait."""

PATIENCE_S = 10.0
"""How long a request waits; STARTs in front of it may be waiting for their broker."""

_RETRY_S = 1.0


def _too_many() -> ApiError:
    return rate_limited("Too many requests at once. Please wait.", _RETRY_S)


@dataclass(slots=True)
class _Served:
    in_work: int = 0
    line: deque[asyncio.Future[None]] = field(default_factory=deque)


class RequestsAtOnce:
    """For each key, such as a user, lets some requests in, the others in their order; a limit of 0 lets all in."""

    def __init__(
        self,
        limit: int,
        line: int = LINE,
        patience_s: float = PATIENCE_S,
        refusal: Callable[[], ApiError] = _too_many,
    ) -> None:
        """`limit` are served at a time and `line` wait, none of them longer than `patience_s` seconds."""
        self._limit, self._line, self._patience_s, self._refusal = limit, line, patience_s, refusal
        self._served: dict[Hashable, _Served] = {}

    async def enter(self, key: Hashable) -> Callable[[], None]:
        """Wait for a turn; call what is returned, once, when the request has been served.

        Raises:
            ApiError: the `refusal`, by default 429 `rate_limited`: too many wait already, or it took too long.
        """
        if not self._limit:
            return _nothing
        served = self._served.setdefault(key, _Served())
        if served.in_work < self._limit:
            served.in_work += 1
        elif len(served.line) >= self._line:
            raise self._refusal()
        else:
            await self._wait(key, served)
        return lambda: self._leave(key, served)

    async def _wait(self, key: Hashable, served: _Served) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        served.line.append(turn)
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except BaseException as error:
            if turn.cancelled():
                with suppress(ValueError):  # it was passed over meanwhile
                    served.line.remove(turn)
            else:  # the turn came in the same instant as the end: the next in line has it
                self._leave(key, served)
            if isinstance(error, TimeoutError):
                raise self._refusal() from error
            raise

    def _leave(self, key: Hashable, served: _Served) -> None:
        while served.line:
            turn = served.line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        served.in_work -= 1
        if not served.in_work:
            del self._served[key]


def _nothing() -> None:
    return
