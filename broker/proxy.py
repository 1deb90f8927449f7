"""The HTTP proxy through which everything leaves that is sent to the broker in the name of one account.

An exchange takes an account's orders only from the address that is registered for it; with a proxy at that address, one
gateway serves accounts with different ones. A proxy's password is a secret: it is in no text form of these objects.
"""

import base64
import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import Self
from urllib.parse import quote, unquote, urlsplit

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_WORD = re.compile(r"[!-~]*")
_PLAIN = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. Its text form is host and port alone."""

    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """From `http://[user:password@]host:port`.

        Raises:
            ValueError: it is something else. The message does not repeat any of it.
        """
        user, at, where = _authority_in(url).rpartition("@")
        name, _, password = user.partition(":")
        username, password = unquote(name), unquote(password)
        if at and not username:
            raise ValueError("has an @ but no user before it")
        if ":" in username or not _PLAIN.fullmatch(username + password):
            raise ValueError("must have a user and a password of printable ASCII, and no colon in the user")
        return cls(*_host_and_port(where), username, password)

    def __str__(self) -> str:
        return self.authority

    @property
    def authority(self) -> str:
        """`host:port`: what may be shown."""
        return authority_of(self.host, self.port)

    @property
    def url(self) -> str:
        """With the password, for `requests`."""
        user = f"{quote(self.username, safe='')}:{quote(self.password, safe='')}@" if self.username else ""
        return f"http://{user}{self.authority}"

    def tunnel_request(self, host: str, port: int) -> bytes:
        """What opens a tunnel to an address. Nothing else is said to the proxy, nor to the broker, until it stands."""
        target = authority_of(host, port)
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.username:
            word = base64.b64encode(f"{self.username}:{self.password}".encode("ascii")).decode("ascii")
            lines.append(f"Proxy-Authorization: Basic {word}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")


def authority_of(host: str, port: int) -> str:
    """Host and port as HTTP writes them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _authority_in(url: str) -> str:
    if not _WORD.fullmatch(url):
        raise ValueError("must be printable ASCII without spaces")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError("is not an address") from error
    if parts.scheme != "http":
        raise ValueError("must start with http://")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError("must end after the port; in a password, / ? # and @ are written %2F %3F %23 and %40")
    return parts.netloc


def _host_and_port(where: str) -> tuple[str, int]:
    host, colon, port = where.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError("must name a port from 1 to 65535")
    if host.startswith("[") and host.endswith("]"):
        try:
            return str(IPv6Address(host[1:-1])), int(port)
        except AddressValueError as error:
            raise ValueError("must name a host") from error
    if not _NAME.fullmatch(host):
        raise ValueError("must name a host")
    return host.lower(), int(port)
