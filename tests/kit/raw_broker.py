"""A broker as bytes on a socket: it does to each request what a test has laid down, down to FIN, RST and drips."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import parse_qs

_RESET = struct.pack("ii", 1, 0)  # on, zero seconds: close() sends RST


@dataclass
class Seen:
    """A request, and the number of the connection it came on."""

    connection: int
    line: str
    headers: dict[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        """The fields of its body."""
        return {name: values[0] for name, values in parse_qs(self.body, strict_parsing=True).items()}


Behaviour = Callable[["RawBroker", socket.socket], None]


@dataclass
class RawBroker:
    """What it does to the next requests, one each; after that it is in good health."""

    url: str = ""
    script: list[Behaviour] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    _links: list[socket.socket] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is closed."""
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._links.append(link)
            threading.Thread(target=self._converse, args=(link, self.connections), daemon=True).start()

    def _converse(self, link: socket.socket, number: int) -> None:
        with suppress(OSError), link.makefile("rb") as incoming:
            while request := _read_request(incoming, number):
                self.seen.append(request)
                behaviour = self.script.pop(0) if self.script else success()
                behaviour(self, link)

    def hang_up(self) -> None:
        """Close every connection from this side, as after an idle time."""
        for link in self._links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._links.clear()


def _read_request(incoming: BinaryIO, number: int) -> Seen | None:
    line = incoming.readline().decode("latin-1").strip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while header := incoming.readline().decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return Seen(number, line, headers, incoming.read(int(headers.get("content-length", 0))).decode())


@contextmanager
def raw_broker() -> Iterator[RawBroker]:
    """Serve until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        broker = RawBroker(f"http://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=broker.serve, args=(listener,), daemon=True).start()
        try:
            yield broker
        finally:
            broker.over.set()
            broker.hang_up()
            listener.shutdown(socket.SHUT_RDWR)


def answer(body: str, status: str = "200 OK", **headers: str) -> bytes:
    """The bytes of an answer; a header's underscores are hyphens, an empty one is left out."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n{body}".encode()


def reply(raw: bytes) -> Behaviour:
    """Send these bytes and keep the connection."""
    return lambda _broker, link: link.sendall(raw)


def success(data: str = '{"order_id": "1900000000000000001"}') -> Behaviour:
    """The answer of a broker in good health."""
    return reply(answer(f'{{"status": "success", "data": {data}}}'))


def then_close(raw: bytes) -> Behaviour:
    """Send these bytes, then FIN."""

    def behave(_broker: RawBroker, link: socket.socket) -> None:
        link.sendall(raw)
        link.shutdown(socket.SHUT_RDWR)

    return behave


def reset(_broker: RawBroker, link: socket.socket) -> None:
    """RST without an answer."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    socket.close(link.detach())


def hang(broker: RawBroker, _link: socket.socket) -> None:
    """No answer until the end of the test."""
    broker.over.wait()


def drip(raw: bytes, every_s: float) -> Behaviour:
    """Send byte by byte."""

    def behave(broker: RawBroker, link: socket.socket) -> None:
        for byte in raw:
            link.sendall(bytes([byte]))
            if broker.over.wait(every_s):
                return

    return behave
