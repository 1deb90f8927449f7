"""One connection to Redis for the one call that an order waits for: the claim.

`redis-py` is right for everything else; but its asyncio client takes about half a millisecond longer for a call on a
process that was idle (see `benchmarks/RESULTS.md`), and a stop-loss waits for exactly one such call. This speaks the
few words of RESP that an EVALSHA needs, pipelined over one connection, and knows nothing else: its user must
have `redis-py` to fall back to.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import cast
from urllib.parse import unquote, urlsplit

_RECONNECT_S = 1.0
_STALE_S = 1.0
"""An answer that is read this long after the patience is over may be about a lock that others have had since."""

_LONGEST_LINE = 1 << 16


class ScriptUnavailable(Exception):
    """There is no connection, it broke, or Redis said no; the script may have run or not."""


class ScriptConnection:
    """Runs a few scripts, over plain `redis://` or `unix://`; with other URLs each call says that it is unavailable."""

    def __init__(self, redis_url: str, scripts: Sequence[str], timeout_s: float) -> None:
        self._url, self._scripts, self._timeout_s = urlsplit(redis_url), scripts, timeout_s
        self._link: _Link | None = None
        self._shas: dict[str, bytes] = {}
        self._connecting: asyncio.Task[None] | None = None
        self._tried_at = 0.0

    def begin(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> "asyncio.Future[bytes] | None":
        """Ask in this very call; None if there is no connection. The future is for `settled`."""
        link = self._link
        if link is None or link.broken:
            self._connect_soon()
            return None
        return link.ask("EVALSHA", self._shas[script], str(len(keys)), *keys, *arguments)

    def rehearse(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> None:
        """What `begin` does before the wire."""
        packed("EVALSHA", self._shas.get(script, b""), str(len(keys)), *keys, *arguments)

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> str:
        """The script's answer, which must be a string.

        Raises:
            ScriptUnavailable: at once if there is no connection, which is then made in the background; or this process
                was held up until the answer is stale. To ask again shows what holds now.
            TimeoutError: Redis does not answer; there is no use in asking it in another way.
        """
        asked_at, answer = asyncio.get_running_loop().time(), self.begin(script, keys, arguments)
        if answer is None:
            raise ScriptUnavailable("no connection")
        return await self.settled(answer, asked_at)

    async def settled(self, answer: "asyncio.Future[bytes]", asked_at: float) -> str:
        """The answer to what was begun at this instant of the loop's clock. Raises what `run` raises."""
        loop, link = asyncio.get_running_loop(), self._link
        await asyncio.wait([answer], timeout=self._timeout_s)  # an answer that came while we were held up counts
        if not answer.done():
            answer.cancel()
            self._give_up(link)
            raise TimeoutError("Redis does not answer")
        try:
            said = answer.result().decode()
        except (OSError, ValueError) as error:
            self._give_up(link)
            self._connect_soon()
            raise ScriptUnavailable(str(error)) from error
        if loop.time() - asked_at > self._timeout_s + _STALE_S:
            raise ScriptUnavailable("the answer is stale")
        return said

    @staticmethod
    def _give_up(link: "_Link | None") -> None:
        if link is not None:
            link.close()

    async def close(self) -> None:
        """Close the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._link is not None:
            self._link.close()

    def _connect_soon(self) -> None:
        now = asyncio.get_running_loop().time()
        idle = self._connecting is None or self._connecting.done()
        # a query may even name another database
        plain = self._url.scheme in ("redis", "unix") and not self._url.query
        if plain and idle and now - self._tried_at >= _RECONNECT_S:
            self._tried_at = now
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        url, loop, link = self._url, asyncio.get_running_loop(), _Link()
        try:
            async with asyncio.timeout(self._timeout_s * 2):
                if url.scheme == "unix":
                    await loop.create_unix_connection(lambda: link, unquote(url.path))
                else:
                    await loop.create_connection(lambda: link, url.hostname or "127.0.0.1", url.port or 6379)
                if url.password is not None:
                    await link.ask("AUTH", *([unquote(url.username)] if url.username else []), unquote(url.password))
                if url.scheme == "redis" and (database := url.path.strip("/")):
                    await link.ask("SELECT", database)
                self._shas = {script: await link.ask("SCRIPT", "LOAD", script) for script in self._scripts}
        except BaseException as error:
            link.close()
            if isinstance(error, TimeoutError | OSError | ValueError):
                return  # the next call tries again
            raise
        self._link = link


class _Link(asyncio.Protocol):
    """Requests go out as they come, answers come in their order."""

    def __init__(self) -> None:
        self.broken = False
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not say that they are

    def ask(self, *words: str | bytes) -> asyncio.Future[bytes]:
        """One command. The future may raise OSError, or ValueError with what Redis said."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self.broken or self._transport is None:
            answer.set_exception(ConnectionResetError("the connection to Redis broke"))
            return answer
        self._waiting.append(answer)
        self._transport.write(packed(*words))
        return answer

    def data_received(self, data: bytes) -> None:
        self._heard += data
        try:
            while (end := self._heard.find(b"\r\n")) >= 0:
                kind, head = self._heard[:1], self._heard[1:end]
                rest = self._heard[end + 2 :]
                if kind == b"$":
                    length = int(head)
                    if not 0 <= length <= _LONGEST_LINE:
                        raise ValueError(f"a string of {length} bytes")  # noqa: TRY301 - it ends the link
                    if len(rest) < length + 2:
                        return
                    head, rest = rest[:length], rest[length + 2 :]
                elif kind not in (b"+", b"-"):
                    raise ValueError(f"an answer of kind {kind!r}")  # noqa: TRY301
                self._heard = rest
                self._tell(kind, head)
        except (ValueError, IndexError):
            self.close()

    def _tell(self, kind: bytes, said: bytes) -> None:
        answer = self._waiting.popleft()
        if answer.done():
            return  # the caller has given up
        if kind == b"-":
            answer.set_exception(ValueError(said.decode(errors="replace")))
        else:
            answer.set_result(said)

    def connection_lost(self, error: Exception | None) -> None:
        self.broken = True
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(error or ConnectionResetError("the connection to Redis broke"))

    def close(self) -> None:
        """Break it."""
        self.broken = True
        if self._transport is not None:
            self._transport.abort()


def packed(*words: str | bytes) -> bytes:
    """A command as RESP has it."""
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n%b" % (len(parts), b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
