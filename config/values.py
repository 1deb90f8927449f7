"""What one value of a setting must look like: each check raises ValueError with what the value must be."""

import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit


def web_root(value: str) -> str:
    """An http or https address, without a slash at its end. Raises ValueError."""
    if value and not (value.startswith(("http://", "https://")) and urlsplit(value).hostname):
        raise ValueError("must be an http:// or https:// address")
    return value.rstrip("/")


def public_root(value: str) -> str:
    """An address for browsers: http or https, perhaps with a path, without a slash at its end. Raises ValueError."""
    address = urlsplit(web_root(value))
    if address.query or address.fragment or "@" in address.netloc or not value.isascii() or re.search(r"\s", value):
        raise ValueError("must be an address such as https://api.example.com, without user, query and fragment")
    return web_root(value)


def socket_root(value: str) -> str:
    """An address of WebSockets, without a slash at its end. Raises ValueError."""
    if value and not (value.startswith(("ws://", "wss://")) and urlsplit(value).hostname):
        raise ValueError("must be a ws:// or wss:// address")
    return value.rstrip("/")


def encrypted_beyond_this_machine(value: str) -> str:
    """An address that keys and tokens go to. Raises ValueError."""
    address = urlsplit(value)
    if address.scheme in ("http", "ws") and not is_loopback(address.hostname or ""):
        raise ValueError("must be encrypted (https, wss): API keys and tokens go there; only this machine needs no TLS")
    return value


def is_loopback(host: str) -> bool:
    """Whether a name or an address leads to this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def split(value: object) -> object:
    """The parts of a text between its commas; anything else as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def time_of_day(value: object) -> object:
    """A text that is a time of day, or anything else as it is. Raises ValueError."""
    if isinstance(value, str) and not re.fullmatch(r"\d\d:\d\d(:\d\d)?", value):
        raise ValueError("must be a time of day such as 15:20")
    return value


def absolute_path(path: Path) -> Path:
    """A path from the root, `~` being the home of the user. Raises ValueError."""
    try:
        return path.expanduser().absolute()
    except RuntimeError:  # neither HOME nor an entry in /etc/passwd
        raise ValueError(f"must be a path from the root such as /var/lib/tradeactors: {path} needs a home") from None


def host_in_url(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
