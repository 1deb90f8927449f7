"""Addresses in the public Internet, and no others: users name hosts, and ours must not be reached through them."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""All addresses of a host and port."""

Addresses = Callable[[str, int], Awaitable[list[str]]]
"""Those of a host that may be connected to. Raises NotPublic."""


class NotPublic(Exception):
    """The host has an address that is not public, or no address."""


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host. Raises OSError, or UnicodeError for what is no name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet; an IPv4 address inside an IPv6 one counts as itself."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inside = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or _of_nat64(ip)
        if inside is not None:
            return is_public(str(inside))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _of_nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None


async def public_addresses(host: str, port: int, lookup: Resolve = resolve) -> list[str]:
    """The addresses of a host, all of which are public. Connect to one of them, and do not look the host up again.

    Raises:
        NotPublic: one of them is not, or there is none. A host with both is one that tries to reach us.
    """
    try:
        found = await lookup(host, port)
    except (OSError, UnicodeError) as error:
        raise NotPublic("the host has no address") from error
    if not found or not all(map(is_public, found)):
        raise NotPublic("the host has an address that is not public")
    return found
