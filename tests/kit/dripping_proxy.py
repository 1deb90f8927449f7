"""A proxy that never ends its answer: a header line now and then, quicker than any time-out between two bytes."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from broker.proxy import Proxy

EVERY_S = 0.2
"""How long it waits between two header lines."""


@dataclass
class DrippingProxy:
    """How many hold a connection to it, how many did at most, and whether anybody ever has."""

    port: int = 0
    held: int = 0
    most_held: int = 0
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def proxy(self) -> Proxy:
        """As an account names it."""
        return Proxy("127.0.0.1", self.port)

    def free_within(self, seconds: float) -> bool:
        """Whether all have hung up by then."""
        until = time.monotonic() + seconds
        while self.held and time.monotonic() < until:
            time.sleep(0.02)
        return self.held == 0

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is closed."""
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._drip, args=(link,), daemon=True).start()

    def _drip(self, link: socket.socket) -> None:
        with self._lock:
            self.held += 1
            self.most_held = max(self.most_held, self.held)
        self.begun.set()
        try:
            with link, suppress(OSError):
                link.recv(65536)
                link.sendall(b"HTTP/1.1 200 OK\r\n")
                while not self.over.wait(EVERY_S):
                    link.sendall(b"X-Wait: a little longer\r\n")
        finally:
            with self._lock:
                self.held -= 1


@contextmanager
def dripping_proxy() -> Iterator[DrippingProxy]:
    """Serve until the block ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        proxy = DrippingProxy(listener.getsockname()[1])
        threading.Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.over.set()
            listener.shutdown(socket.SHUT_RDWR)
