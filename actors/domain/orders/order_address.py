"""The address that orders leave from, against those that are registered at the broker (kite.md §4.7). Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv6Address, ip_address

_REFUSED = (
    "the broker refuses them. Register the new address there and set ORDER_ADDRESSES, or let orders leave from a "
    "registered one again"
)


@dataclass(frozen=True, slots=True)
class SeenAddress:
    """What was found at one place that orders leave from.

    `where`: the place, such as `execution:0`. `address`: what the broker sees, in its usual form; empty if that is not
    known, and then `unknown` says why.
    """

    where: str
    address: str = ""
    unknown: str = ""


class Standing(Enum):
    """An address against the list of those that are registered."""

    NOT_COMPARED = auto()
    """There is no list."""

    REGISTERED = auto()
    OTHER = auto()
    """The broker refuses orders that come from there."""

    UNKNOWN = auto()
    """Neither good nor bad: it could not be found out."""


def usual_form(text: str) -> str | None:
    """An IPv4 or IPv6 address as it is compared, or None if the text is none, or one with a zone.

    An IPv4 address that is written as IPv6 (`::ffff:…`) is the IPv4 address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return str(address.ipv4_mapped or address)
    return str(address)


def is_public(address: str) -> bool:
    """Whether the broker can see orders come from this address: it is neither private nor of a provider's own net."""
    found = ip_address(address)
    return found.is_global and not found.is_multicast


def standing(registered: Collection[str], seen: SeenAddress) -> Standing:
    """How the address of one place stands. Both sides are in their usual form."""
    if not registered:
        return Standing.NOT_COMPARED
    if not seen.address:
        return Standing.UNKNOWN
    return Standing.REGISTERED if seen.address in registered else Standing.OTHER


def of_all(registered: Collection[str], seen: Collection[SeenAddress]) -> Standing:
    """How all places stand together: one wrong address is enough, and all must be known to be right."""
    each = {standing(registered, one) for one in seen} or {Standing.UNKNOWN}
    order = (Standing.NOT_COMPARED, Standing.OTHER, Standing.UNKNOWN, Standing.REGISTERED)
    return next(one for one in order if one in each) if registered else Standing.NOT_COMPARED


def leaving_sentence(registered: Collection[str], seen: SeenAddress, source: str) -> str:
    """For the operator, of one place. `source`: the machine's own address, in case that is all that is known."""
    match standing(registered, seen):
        case Standing.REGISTERED:
            return f"leave from {seen.address}, which ORDER_ADDRESSES has"
        case Standing.OTHER:
            return f"leave from {seen.address}, and ORDER_ADDRESSES has {', '.join(registered)}: {_REFUSED}"
        case Standing.UNKNOWN:
            return f"it is not known whether they leave from one of ORDER_ADDRESSES: {seen.unknown}"
    leave = seen.address or f"{source}, or from what it is translated to"
    return (
        f"leave from {leave}: that address must be registered for every account at the broker, which cannot be asked. "
        "With ORDER_ADDRESSES it is compared with those that are"
    )


def alarm(registered: Collection[str], seen: Iterable[SeenAddress]) -> str:
    """For the operator, of all places: which addresses are not registered, each with its places."""
    places: dict[str, list[str]] = {}
    for one in seen:
        if standing(registered, one) is Standing.OTHER:
            places.setdefault(one.address, []).append(one.where)
    leave = " and ".join(f"{address} ({', '.join(where)})" for address, where in places.items())
    return f"Orders leave from {leave}, and ORDER_ADDRESSES has {', '.join(registered)}: {_REFUSED}"


def doubt(seen: Iterable[SeenAddress]) -> str:
    """For the operator, of all places: orders were seen to leave from a wrong address, and now it is not known."""
    why = "; ".join(f"{one.where}: {one.unknown}" for one in seen if not one.address) or "no place answers"
    return f"Orders left from an address that ORDER_ADDRESSES does not have, and it is not known from which now ({why})"
