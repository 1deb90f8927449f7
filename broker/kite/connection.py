"""HTTP/1.1 over one kept-alive connection, for requests that must not be repeated.

Three things that `requests` does not offer are why this exists: a deadline for the whole exchange, however slowly the
bytes drip; the proof that nothing was sent when a connection could not be made; and a request that is one `send` of
bytes prepared ahead. h11 reads the answer. Redirects, netrc, cookies and the environment's proxies do not exist.

The proxy of an account is used as a tunnel only, also to a broker without TLS: what is sent and what an answer proves
are then the same as without one, and until the tunnel stands, nothing has been sent to the broker.
"""

import functools
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.wait import wait_for_read

from broker.kite.answers.exceptions import AnswerLost, NeverSent, NoTunnel
from broker.proxy import Proxy

MAX_IDLE_S = 50.0
"""A connection unused for longer is not trusted with an order: a middlebox may have forgotten it unnoticed."""

_LONGEST_ANSWER = 32 * 1024 * 1024
"""Bytes. An order book of 5000 rows is about a tenth of it."""

_LONGEST_HEAD = 64 * 1024

NO_ANSWER = "the broker did not answer in time"
BROKEN = "the connection to the broker broke"
UNREACHABLE = "the broker cannot be reached"
NO_TIME_LEFT = "there was no time left to send it"
PROXY_UNREACHABLE = "the account's proxy cannot be reached"
PROXY_SILENT = "the account's proxy opened no tunnel to the broker"
PROXY_REFUSED = "the account's proxy refused a tunnel to the broker"

_NO_HTTP_ANSWER = (OSError, ValueError, h11.RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer, with its true status."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to connect, and the patience: seconds to connect to an address, seconds between bytes of an answer.

    The path of `root` is not used, as in `kiteconnect` (kite.md §1.1). `proxy`: what every connection goes through.
    `family`: of the addresses that are tried, any by default. `longest`: how many bytes of an answer, head
    and body, are read at most; None: as many as an order book may have.
    """

    root: str
    timeout_s: tuple[float, float]
    proxy: Proxy | None = None
    family: int = socket.AF_UNSPEC
    longest: int | None = None

    @property
    def authority(self) -> str:
        """Host and port, as the Host header has them."""
        return urlsplit(self.root).netloc.rpartition("@")[2]

    def connect(self, deadline: float) -> "Connection":
        """A new connection, with TLS verified. `deadline` is in `time.monotonic()`.

        Raises:
            NeverSent: whatever went wrong.
        """
        address = urlsplit(self.root)
        secure = address.scheme == "https"
        try:
            host, port = address.hostname or "", address.port or (443 if secure else 80)
            if self.proxy is None:
                link = self._connect_to_any(host, port, deadline)
            else:
                link = self._tunnel(self.proxy, host, port, deadline)
        except (OSError, ValueError) as error:
            raise NeverSent(NO_ANSWER if isinstance(error, TimeoutError) else UNREACHABLE) from error
        if not secure:
            return Connection(link, self.timeout_s[1], self.longest)
        try:
            link.settimeout(_left(deadline, self.timeout_s[0]))
            return Connection(_tls().wrap_socket(link, server_hostname=host), self.timeout_s[1], self.longest)
        except (OSError, ValueError) as error:
            link.close()
            raise NeverSent(NO_ANSWER if isinstance(error, TimeoutError) else UNREACHABLE) from error

    def _tunnel(self, proxy: Proxy, host: str, port: int, deadline: float) -> socket.socket:
        try:
            link = self._connect_to_any(proxy.host, proxy.port, deadline)
        except (OSError, ValueError) as error:
            raise NoTunnel(PROXY_UNREACHABLE) from error
        try:
            link.settimeout(_left(deadline, self.timeout_s[0]))
            link.sendall(proxy.tunnel_request(host, port))
            reader = _AnswerReader(link, "CONNECT", self.timeout_s[0], deadline)
            status = reader.head().status_code
            if 200 <= status < 300 and not reader.nothing_follows:  # it would be taken for the broker's answer
                raise ValueError("a tunnel that speaks before it is asked")
        except _NO_HTTP_ANSWER as error:
            link.close()
            raise NoTunnel(PROXY_SILENT) from error
        if not 200 <= status < 300:
            link.close()
            raise NoTunnel(f"{PROXY_REFUSED}: HTTP {status}")
        return link

    def _connect_to_any(self, host: str, port: int, deadline: float) -> socket.socket:
        failure: OSError = OSError(f"no address of {host}")
        for family, kind, protocol, _, where in socket.getaddrinfo(host, port, self.family, socket.SOCK_STREAM):
            link = socket.socket(family, kind, protocol)
            try:
                link.settimeout(_left(deadline, self.timeout_s[0]))
                link.connect(where)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                link.close()
                failure = error
            else:
                return link
        raise failure


@functools.cache
def _tls() -> ssl.SSLContext:
    """The trust of `requests`, read from disk once: that takes some 20 ms."""
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connection:
    """One TCP or TLS connection; one exchange at a time."""

    def __init__(self, link: socket.socket, read_s: float, longest: int | None = None) -> None:
        self._link, self._read_s, self._longest = link, read_s, longest
        self.used_at = time.monotonic()
        self.reusable = True

    @property
    def usable(self) -> bool:
        """Whether a request may be trusted to it: fresh, still open, and nothing unasked has arrived on it."""
        fresh = self.reusable and time.monotonic() - self.used_at < MAX_IDLE_S
        return fresh and not wait_for_read(self._link, timeout=0)

    def exchange(self, method: str, request: bytes, deadline: float) -> Answer:
        """Send the request and read the whole answer.

        Raises:
            NeverSent: the deadline had passed before.
            AnswerLost: anything else.
        """
        self.reusable = False
        try:
            self._link.settimeout(_left(deadline, self._read_s))
        except TimeoutError as error:
            raise NeverSent(NO_TIME_LEFT) from error
        return self.finish(method, request, deadline)

    def begin(self, request: bytes) -> bytes:
        """Send as much of the request as goes without waiting, normally all of it; what is left for `finish`.

        Raises:
            AnswerLost: the connection broke; some of it may have arrived.
        """
        self.reusable = False
        try:
            self._link.settimeout(0)
            return request[self._link.send(request) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return request
        except OSError as error:
            raise AnswerLost(BROKEN) from error

    def finish(self, method: str, rest: bytes, deadline: float) -> Answer:
        """Send the rest of the request and read the whole answer. Raises AnswerLost."""
        try:
            if rest:
                self._link.settimeout(_left(deadline, self._read_s))
                self._link.sendall(rest)
            return self._read_answer(method, deadline)
        except TimeoutError as error:
            raise AnswerLost(NO_ANSWER) from error
        except _NO_HTTP_ANSWER as error:
            raise AnswerLost(BROKEN) from error

    def _read_answer(self, method: str, deadline: float) -> Answer:
        reader = _AnswerReader(self._link, method, self._read_s, deadline, self._longest)
        head = reader.head()
        body = reader.body()
        self.used_at = time.monotonic()
        self.reusable = reader.keeps_alive
        kinds = b", ".join(value for name, value in head.headers if name == b"content-type")
        return Answer(head.status_code, kinds.decode("latin-1"), body)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._link.fileno()

    def patience(self, deadline: float) -> float:
        """Seconds that the first byte of an answer is waited for, if it is due by the deadline."""
        return max(0.0, min(self._read_s, deadline - time.monotonic()))

    def close(self) -> None:
        """Close it; it is of no use afterwards."""
        self._link.close()


class _AnswerReader:
    """The answer to one request that has left, as long as there is time for it. Making one waits for the first bytes.

    h11 is set up after that wait: before it, its 30 us would delay a broker that shares our processor.
    """

    def __init__(
        self, link: socket.socket, method: str, read_s: float, deadline: float, longest: int | None = None
    ) -> None:
        self._link, self._read_s, self._deadline, self._longest = link, read_s, deadline, longest
        self._count = 0
        first = self._receive()
        self._http = h11.Connection(h11.CLIENT, _LONGEST_HEAD)
        # of the request, h11 needs to know only what its answer's length depends on: the method
        self._http.send(h11.Request(method=method, target="*", headers=[("Host", "")]))
        self._http.send(h11.EndOfMessage())
        self._http.receive_data(first)

    def head(self) -> h11.Response:
        """Status and headers. Answers that only announce another (1xx) are passed over."""
        while not isinstance(event := self._next(), h11.Response):
            pass
        return event

    def body(self) -> bytes:
        """The whole of it."""
        parts = []
        while isinstance(event := self._next(), h11.Data):
            parts.append(event.data)
        return b"".join(parts)

    @property
    def nothing_follows(self) -> bool:
        """Whether the other side has neither hung up nor said more: that would be taken for its next answer."""
        return self._http.trailing_data == (b"", False)

    @property
    def keeps_alive(self) -> bool:
        """After the body: whether the connection is good for another request."""
        return self._http.our_state is h11.DONE and self.nothing_follows

    def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self._receive())
        return event

    def _receive(self) -> bytes:
        self._link.settimeout(_left(self._deadline, self._read_s))
        arrived = self._link.recv(65536)
        self._count += len(arrived)
        if self._count > (self._longest or _LONGEST_ANSWER):
            raise ValueError("the answer is too long")
        return arrived


def _left(deadline: float, limit: float) -> float:
    """Seconds that may be waited now. Raises TimeoutError when there are none."""
    left = min(limit, deadline - time.monotonic())
    if left <= 0:
        raise TimeoutError
    return left
