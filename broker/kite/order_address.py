"""Which address the broker sees orders come from, asked where they leave (kite.md §4.7).

Kite cannot be asked for it. The source of a connection to it is known to this machine, and behind NAT a server that
answers with its caller's address (`ADDRESS_ECHO_URL`) says what that source is translated to.
"""

import socket
import time
from ipaddress import ip_address
from urllib.parse import urlsplit

from actors.domain.orders.order_address import SeenAddress, is_public, usual_form
from broker.kite.answers.exceptions import AnswerLost, NeverSent
from broker.kite.connection import Answer, Destination

PATIENCE_S = 3.0
"""How long the whole exchange with the echo may take, but for the lookup of its name, which has no limit of ours."""

LONGEST_ECHO = 4096
"""How many bytes of an echo's answer are read, head and body."""

_FAMILIES = {socket.AF_INET: 4, socket.AF_INET6: 6}


def source_address(root: str) -> str:
    """Which of this machine's addresses a connection to that root leaves from; empty without a way. Nothing is sent."""
    found = _source(root)
    return found[1] if found else ""


def seen_address(where: str, root: str, echo_url: str = "", patience_s: float = PATIENCE_S) -> SeenAddress:
    """The address that the broker at `root` sees connections of this machine come from. Blocks; never fails.

    With `echo_url` the echo is asked, over IPv4 or IPv6, as connections to the broker are made. Without it the source
    address is the answer if it is a public one; a private one is translated to an address that is not known here.
    """
    source = _source(root)
    if source is None:
        return SeenAddress(where, unknown="there is no way to the broker")
    family, address = source
    if echo_url:
        return _by_echo(where, echo_url, family, patience_s)
    if is_public(address):
        return SeenAddress(where, address)
    return SeenAddress(where, unknown=f"it leaves from {address}, which is translated on the way: set ADDRESS_ECHO_URL")


def _source(root: str) -> tuple[int, str] | None:
    address = urlsplit(root)
    try:
        found = socket.getaddrinfo(address.hostname, address.port or 443, type=socket.SOCK_DGRAM)
    except (OSError, ValueError):  # a name that cannot be one is a ValueError
        return None
    for family, kind, protocol, _, where in found:  # in the order in which connections try them
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(where)
                source = usual_form(str(probe.getsockname()[0]))
        except OSError:
            continue
        if source is not None:
            return family, source
    return None


def _by_echo(where: str, url: str, family: int, patience_s: float) -> SeenAddress:
    version = _FAMILIES[socket.AddressFamily(family)]
    try:
        answer = _ask(url, family, patience_s)
    except NeverSent:
        unknown = f"ADDRESS_ECHO_URL cannot be reached over IPv{version}, by which orders leave"
        return SeenAddress(where, unknown=unknown)
    except AnswerLost:
        return SeenAddress(where, unknown=f"ADDRESS_ECHO_URL gave no short answer within {patience_s:g} seconds")
    if answer.status != 200:
        return SeenAddress(where, unknown=f"ADDRESS_ECHO_URL answered with HTTP {answer.status}")
    address = usual_form(answer.body.decode("latin-1").strip())
    if address is None:
        return SeenAddress(where, unknown="ADDRESS_ECHO_URL answered with something else than an address alone")
    if ip_address(address).version != version or not is_public(address):
        return SeenAddress(where, unknown=f"ADDRESS_ECHO_URL answered with {address}, no public IPv{version} address")
    return SeenAddress(where, address)


def _ask(url: str, family: int, patience_s: float) -> Answer:
    deadline, parts = time.monotonic() + patience_s, urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    destination = Destination(url, (patience_s, patience_s), family=family, longest=LONGEST_ECHO)
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {destination.authority}\r\nAccept: text/plain\r\n"
        "User-Agent: TradeActors\r\nConnection: close\r\n\r\n"
    )
    connection = destination.connect(deadline)
    try:
        return connection.exchange("GET", request.encode("ascii"), deadline)
    finally:
        connection.close()
