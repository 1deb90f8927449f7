"""One end of a connection of the socket plane: frames leave at once, and ticks make way when the peer does not read.

Sockets are read and written in the actor's own loop, without transports: a frame leaves in the call that sends it.
"""

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

from actors.domain.prices.fanout import conflated
from actors.domain.prices.tick import Tick
from actors.runtime.plane.frames import FrameRefused, Kind, Opener, Sealer, pack_tick

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_READ_BYTES = 1 << 16
_MOST_UNSENT = 8 << 20
"""Bytes that a peer may leave unread before it is taken to be gone: commands are never dropped from a live link."""


class LinkBroken(Exception):
    """The connection is gone; what was sent may or may not have arrived."""


class Link:
    """One end of a connection. For the loop it was made in.

    `on_frame` is called with every frame, `on_broken` once, when the connection is gone; neither from within a call to
    this object.
    """

    def __init__(self, sock: socket.socket, sealer: Sealer, opener: Opener) -> None:
        self.on_frame: Callable[[Kind, bytes], None] = _ignore
        self.on_broken: Callable[[], None] = _ignore
        self._sock, self._sealer, self._opener = sock, sealer, opener
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._held_back: Tick | None = None
        self._broken = False
        self._loop.add_reader(sock.fileno(), self._readable)

    @property
    def broken(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._broken

    def send(self, kind: Kind, body: bytes) -> None:
        """Send a frame; it leaves now, or when the peer has read what is before it.

        Raises:
            LinkBroken: the connection is gone.
        """
        if self._broken:
            raise LinkBroken
        self._write(self._sealer.frame(kind, body))

    def send_tick(self, tick: Tick, packed: bytes) -> None:
        """Send a tick, or hold it back from a peer that does not read: then the newest wins, with low and high of all.

        Raises:
            LinkBroken: the connection is gone.
        """
        if self._broken:
            raise LinkBroken
        if self._unsent:
            self._held_back = conflated([self._held_back, tick]) if self._held_back is not None else tick
        else:
            self._write(self._sealer.frame(Kind.TICK, packed))

    def close(self) -> None:
        """Close the connection; `on_broken` is called."""
        self._break("closed")

    def _write(self, frame: bytes) -> None:
        if self._unsent:
            self._unsent += frame
            if len(self._unsent) > _MOST_UNSENT:
                self._break("the peer does not read")
            return
        try:
            sent = self._sock.send(frame)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._break(str(error))
            return
        if sent < len(frame):
            self._unsent += frame[sent:]
            self._loop.add_writer(self._sock.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self._break(str(error))
            return
        del self._unsent[:sent]
        if self._unsent:
            return
        self._loop.remove_writer(self._sock.fileno())
        if self._held_back is not None:
            tick, self._held_back = self._held_back, None
            self._write(self._sealer.frame(Kind.TICK, pack_tick(tick)))

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._break(str(error))
            return
        if not data:
            self._break("closed by the peer")
            return
        try:
            for kind, body in self._opener.feed(data):
                self.on_frame(kind, body)
                if self._broken:
                    return
        except FrameRefused as error:
            log.warning("plane.frame_refused", extra={"reason": str(error)})
            self._break(str(error))
        except Exception:  # frames of the peer would be lost unnoticed: connect again instead
            log.exception("plane.callback_failed")
            self._break("a callback failed")

    def _break(self, reason: str) -> None:
        if self._broken:
            return
        self._broken = True
        log.debug("plane.link_broken", extra={"reason": reason})
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._loop.call_soon(lambda: self.on_broken())  # noqa: PLW0108 - it may be set meanwhile


def _ignore(*_: object) -> None: ...
