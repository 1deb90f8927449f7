"""A small forward proxy, and a TLS front for the paper exchange: real sockets, in an event loop in a thread.

The proxy tunnels (CONNECT) and forwards (absolute addresses). It remembers who passed, may want a password, may refuse
or cut, and may leave by an address of its own: on Linux all of 127.0.0.0/8 is this machine.
"""

import asyncio
import base64
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from broker.proxy import Proxy

Trouble = Literal["cut-when-asked", "cut-the-answer"]


@dataclass(frozen=True)
class Passage:
    """A request that was let through: `CONNECT host:port`, or the method and the whole address."""

    method: str
    target: str


@dataclass
class ForwardProxy:
    """`user` and `password`, if set, are wanted of every client; `leaves_by` is the address of its own connections.

    `refuses`: answers everything with this status. `trouble`: closes a connection without an answer, or passes the
    request on and closes instead of the answer.
    """

    user: str = ""
    password: str = ""
    leaves_by: str | None = None
    refuses: int | None = None
    trouble: Trouble | None = None
    port: int = 0
    passed: list[Passage] = field(default_factory=list)
    turned_away: list[int] = field(default_factory=list)
    _open: set[asyncio.StreamWriter] = field(default_factory=set, repr=False)
    _loop: "_Loop | None" = field(default=None, repr=False)

    @property
    def proxy(self) -> Proxy:
        """As an account names it."""
        return Proxy("127.0.0.1", self.port, self.user, self.password)

    def methods(self) -> list[str]:
        """Of all that passed."""
        return [passage.method for passage in self.passed]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._open.add(writer)
        try:
            with suppress(OSError, EOFError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self._open.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        """Cut every connection, now."""
        assert self._loop is not None
        self._loop.run(self.cut())

    async def cut(self) -> None:
        """The same, in the loop."""
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0.01)  # the loop closes them in its next rounds

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, headers = await _head(reader)
        wanted = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.user and headers.get("proxy-authorization") != f"Basic {wanted}":
            return self._turn_away(writer, 407)
        if self.refuses is not None:
            return self._turn_away(writer, self.refuses)
        if self.trouble == "cut-when-asked":
            return None
        address = urlsplit(f"//{target}" if method == "CONNECT" else target)
        try:
            source = (self.leaves_by, 0) if self.leaves_by else None
            there, back = await asyncio.open_connection(address.hostname, address.port, local_addr=source)
        except OSError:
            return self._turn_away(writer, 502)
        self.passed.append(Passage(method, target))
        self._open.add(back)
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                back.write(_passed_on(method, target, headers))
                back.write(await reader.readexactly(int(headers.get("content-length", 0))))
            await asyncio.gather(_relay(reader, back), self._answer(there, writer))
        finally:
            self._open.discard(back)
            back.close()
        return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.trouble == "cut-the-answer":
            await reader.read(1)
            writer.transport.abort()
        else:
            await _relay(reader, writer)

    def _turn_away(self, writer: asyncio.StreamWriter, status: int) -> None:
        self.turned_away.append(status)
        page = b"<h1>No way</h1>"
        head = f"HTTP/1.1 {status} No\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
        writer.write(head.encode() + page)


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    return method, target, {name.lower(): value.strip() for name, _, value in pairs}


def _passed_on(method: str, target: str, headers: dict[str, str]) -> bytes:
    address = urlsplit(target)
    path = address._replace(scheme="", netloc="").geturl() or "/"
    kept = {n: v for n, v in headers.items() if not n.startswith("proxy-") and n != "connection"}
    lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in (kept | {"connection": "close"}).items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until either side ends."""
    with suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


@contextmanager
def forward_proxy(**options: Any) -> Iterator[ForwardProxy]:
    """Serve until the block ends; options are fields of `ForwardProxy`."""
    proxy = ForwardProxy(**options)
    with _in_a_loop() as loop:
        proxy._loop = loop
        server = loop.run(asyncio.start_server(proxy.serve, "127.0.0.1", proxy.port))
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            loop.run(_close(server, proxy))


async def _close(server: asyncio.Server, proxy: ForwardProxy) -> None:
    server.close()
    await proxy.cut()


@contextmanager
def tls_front(port: int, certificate: Path) -> Iterator[int]:
    """TLS on a port of 127.0.0.1, which is yielded, before a server that has none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_relay(reader, back), _relay(there, writer))

    with _in_a_loop() as loop:
        server = loop.run(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            loop.call(server.close)


class _Loop:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, job: Coroutine[Any, Any, Any]) -> Any:
        """In the loop; its result."""
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(10)

    def call(self, job: Any) -> None:
        """In the loop, soon."""
        self._loop.call_soon_threadsafe(job)

    def end(self) -> None:
        """Give every connection up."""
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def _in_a_loop() -> Iterator[_Loop]:
    loop = _Loop()
    try:
        yield loop
    finally:
        loop.end()
