"""How a link of the socket plane is made: an actor that holds an invitation may connect, once.

A process that others connect to is a `Listener`. Another process asks for an `Invitation` by a Ray call, which goes to
members of the cluster only, and connects with it: on the same node over a unix socket, else over TCP. The invitation's
ticket is good for one connection within a few seconds; its key never travels on the connection. What does not begin
with a valid ticket is closed without an answer, and so is what goes on with a wrong seal.
"""

import asyncio
import hmac
import logging
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from actors.runtime.plane.frames import FrameRefused, Kind, Opener, Sealer, seal_of
from actors.runtime.plane.link import Link, LinkBroken

log = logging.getLogger(__name__)

INVITATION_S = 10.0
"""How long an invitation is good for."""

TICKET_BYTES, KEY_BYTES = 16, 32
_HELLO_BYTES = TICKET_BYTES + 16
_HELLO_WITHIN_S = 2.0
_MOST_PENDING = 64
_MOST_AT_ONCE = 32
_ACCEPT_AGAIN_S = 1.0
_CONNECT_WITHIN_S = 2.0

_PEER_GONE_MS = 2000
"""How long TCP waits for a sign of the other node; a unix socket knows at once."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """The right to connect once. `address`: name of an abstract unix socket, or host and port."""

    address: str | tuple[str, int]
    ticket: bytes = field(repr=False)
    key: bytes = field(repr=False)


class Listener:
    """Where peers connect. `on_link(peer, link)` is called with each that came with a valid ticket."""

    def __init__(self, node: str, host: str, on_link: Callable[[str, Link], None]) -> None:
        self._node, self._host, self._on_link = node, host, on_link
        self._loop = asyncio.get_running_loop()
        self._tickets: dict[bytes, tuple[str, bytes, float]] = {}
        self._pending: dict[socket.socket, asyncio.TimerHandle] = {}
        self._unix: tuple[socket.socket, str] | None = None
        self._tcp: tuple[socket.socket, tuple[str, int]] | None = None

    def invite(self, peer: str, node: str) -> Invitation:
        """The right to connect once, for an actor that runs on this Ray node."""
        now = self._loop.time()
        self._tickets = {ticket: known for ticket, known in self._tickets.items() if known[2] > now}
        ticket, key = secrets.token_bytes(TICKET_BYTES), secrets.token_bytes(KEY_BYTES)
        self._tickets[ticket] = (peer, key, now + INVITATION_S)
        return Invitation(self._unix_address() if node == self._node else self._tcp_address(), ticket, key)

    def close(self) -> None:
        """Take no further connections."""
        for listening in (self._unix, self._tcp):
            if listening is not None:
                self._loop.remove_reader(listening[0].fileno())
                listening[0].close()
        self._unix = self._tcp = None
        for sock in list(self._pending):
            self._reject(sock)

    def _unix_address(self) -> str:
        if self._unix is None:
            # an abstract name ends with its sockets: nothing is left behind by a killed process
            address = f"\0tradeactors-{secrets.token_hex(12)}"
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(address)
            self._unix = self._listening(sock), address
        return self._unix[1]

    def _tcp_address(self) -> tuple[str, int]:
        if self._tcp is None:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.bind((self._host, 0))
            self._tcp = self._listening(sock), (self._host, sock.getsockname()[1])
        return self._tcp[1]

    def _listening(self, sock: socket.socket) -> socket.socket:
        sock.setblocking(False)
        sock.listen(128)
        self._loop.add_reader(sock.fileno(), self._accept, sock)
        return sock

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_MOST_AT_ONCE):  # the loop has other things to do
            try:
                sock, _ = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:  # out of file handles, most likely: the socket stays readable
                log.warning("plane.not_accepted", extra={"reason": str(error)})
                self._loop.remove_reader(listening.fileno())
                self._loop.call_later(_ACCEPT_AGAIN_S, self._accept_again, listening)
                return
            sock.setblocking(False)
            if len(self._pending) >= _MOST_PENDING:
                self._reject(next(iter(self._pending)))
            self._pending[sock] = self._loop.call_later(_HELLO_WITHIN_S, self._reject, sock)
            heard = bytearray()
            self._loop.add_reader(sock.fileno(), self._read_hello, sock, heard)
            self._read_hello(sock, heard)  # it often has said its hello by now

    def _accept_again(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _read_hello(self, sock: socket.socket, heard: bytearray) -> None:
        """Read exactly the hello: what comes behind it belongs to the link."""
        try:
            data = sock.recv(_HELLO_BYTES - len(heard))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        heard += data
        if not data:
            self._reject(sock)
        elif len(heard) == _HELLO_BYTES:
            self._authenticate(sock, bytes(heard))

    def _authenticate(self, sock: socket.socket, hello: bytes) -> None:
        ticket, proof = hello[:TICKET_BYTES], hello[TICKET_BYTES:]
        peer, key, until = self._tickets.pop(ticket, ("", b"", 0.0))
        good = until > self._loop.time() and hmac.compare_digest(proof, _proof(key, ticket))
        if not good:
            log.warning("plane.stranger_refused")
            self._reject(sock)
            return
        self._pending.pop(sock).cancel()
        _tune(sock)
        link = Link(sock, Sealer(_direction(key, b"down")), Opener(_direction(key, b"up")))
        link.send(Kind.WELCOME, b"")
        self._on_link(peer, link)

    def _reject(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock.fileno())
        self._pending.pop(sock).cancel()
        sock.close()


def invitation_for(invite: Callable[[str, str], Invitation], peer: str, node: str | None) -> Invitation | None:
    """An invitation for a peer on that node; None if none is wanted, or this machine cannot listen there."""
    if node is None:
        return None
    try:
        return invite(peer, node)
    except OSError as error:
        log.warning("plane.cannot_listen", extra={"peer": peer, "reason": str(error)})
        return None


async def connect(
    invitation: Invitation, on_frame: Callable[[Kind, bytes], None], on_broken: Callable[[Link], None]
) -> Link:
    """The other end of a `Listener`'s link, once it has let us in. See `Link` for the callbacks.

    Raises:
        LinkBroken: that did not come about within two seconds.
    """
    loop = asyncio.get_running_loop()
    address, welcome = invitation.address, loop.create_future()
    sock = _socket_for(address)
    try:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            await loop.sock_connect(sock, address)
            await loop.sock_sendall(sock, invitation.ticket + _proof(invitation.key, invitation.ticket))
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError | TimeoutError):
            raise LinkBroken(str(error)) from error
        raise
    _tune(sock)
    link = Link(sock, Sealer(_direction(invitation.key, b"up")), Opener(_direction(invitation.key, b"down")))

    def on_first(kind: Kind, _body: bytes) -> None:
        if kind is not Kind.WELCOME:
            raise FrameRefused(f"{kind.name} before a welcome")
        link.on_frame, link.on_broken = on_frame, lambda: on_broken(link)
        if not welcome.done():
            welcome.set_result(None)

    link.on_frame, link.on_broken = on_first, lambda: _refuse(welcome)
    try:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            await welcome
    except BaseException as error:
        link.close()
        if isinstance(error, TimeoutError):
            raise LinkBroken("not let in") from error
        raise
    return link


def _socket_for(address: str | tuple[str, int]) -> socket.socket:
    inet = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else inet, socket.SOCK_STREAM)
    except OSError as error:
        raise LinkBroken(str(error)) from error
    sock.setblocking(False)
    return sock


def _refuse(welcome: "asyncio.Future[None]") -> None:
    if not welcome.done():
        welcome.set_exception(LinkBroken("not let in"))


def _proof(key: bytes, ticket: bytes) -> bytes:
    return seal_of(ticket, _direction(key, b"hello"), 0)


def _direction(key: bytes, direction: bytes) -> bytes:
    return blake2b(key=key, person=direction, digest_size=KEY_BYTES).digest()


def _tune(sock: socket.socket) -> None:
    """Small frames leave at once, and a node that is gone is noticed."""
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _PEER_GONE_MS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
