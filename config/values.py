"""What one value of a setting must look like: each check raises ValueError with what the value must be."""

import base64
import binascii
import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from actors.domain.orders.order_address import is_public, usual_form

_LAST_PORT = 65_535
_LONGEST_S = 300
_VAPID_BYTES = 32
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_NAME = re.compile(r"[\w.-]+")
_NO_PATH = re.compile(r"\$[\w{(]|%[a-zA-Z]/|[A-Za-z]:[\\/]|\\\\|file:/", re.ASCII)
"""How a path begins that another program was to fill in, or that is none of this system: it would be made here."""


def web_root(value: str) -> str:
    """An http or https address, without a slash at its end. Raises ValueError."""
    return _root(value, "http", "https")


def secret_web_address(value: SecretStr) -> SecretStr:
    """An http or https address that is a secret in itself, or nothing. Raises ValueError."""
    if value.get_secret_value():
        web_root(value.get_secret_value())
    return value


def public_root(value: str) -> str:
    """An address for browsers: http or https, perhaps with a path, without a slash at its end. Raises ValueError."""
    address = urlsplit(web_root(value))
    if address.query or address.fragment or "@" in address.netloc or not value.isascii() or re.search(r"\s", value):
        raise ValueError("must be an address such as https://api.example.com, without user, query and fragment")
    return web_root(value)


def socket_root(value: str) -> str:
    """An address of WebSockets, without a slash at its end. Raises ValueError."""
    return _root(value, "ws", "wss")


def redis_address(value: str) -> str:
    """An address of Redis or Valkey, or nothing. Raises ValueError."""
    if not value:
        return value
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must start with redis://, rediss:// or unix://")
    if not value.startswith("unix://"):
        _host_of(value, "redis://user:password@host:6379/0", "redis://[::1]:6379/0")
    elif not urlsplit(value).path:
        raise ValueError("must name a socket, such as unix:///run/valkey/valkey.sock")
    return value


def database_address(value: str) -> str:
    """An address of PostgreSQL as SQLAlchemy reads it, or nothing. Raises ValueError, which quotes none of it."""
    if not value:
        return value
    if not value.startswith("postgresql+psycopg://"):
        raise ValueError("must start with postgresql+psycopg://")

    from sqlalchemy import make_url  # slow to import, and for an address alone
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(value)
        sound = url.port is None or 0 < url.port <= _LAST_PORT
    except (ValueError, ArgumentError):
        sound = False
    if not sound:
        _refuse_bare_ipv6(value, "postgresql+psycopg://user:password@[::1]:5432/database")
        raise ValueError(
            "must be an address such as postgresql+psycopg://user:password@host:5432/database, with the special "
            "characters of a password encoded (%40 for @)"
        )
    return value


def listening_host(value: str) -> str:
    """A name or an address to listen on, without a port; IPv6 may stand in brackets. Raises ValueError."""
    host = value.strip()
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if _is_address(bare) or _NAME.fullmatch(host):
        return bare
    raise ValueError("must be a name or an address alone, such as 127.0.0.1 or ::1: without http:// and without a port")


def mail_host(value: str) -> str:
    """The name or the address of a mail server, or nothing. Raises ValueError."""
    try:
        return listening_host(value) if value else value
    except ValueError:
        raise ValueError(
            "must be the name of a server alone, such as smtp.example.com: without smtp:// and without a port, which "
            "is TRADEACTORS_SMTP_PORT"
        ) from None


def alert_addresses(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """Addresses as Apprise has them, as far as their form shows. Raises ValueError, which quotes none of them."""
    if not all(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address.get_secret_value()) for address in value):
        raise ValueError(
            "must be addresses such as ntfys://host/topic, with commas between them: one within an address is written "
            "%2C"
        )
    return value


def node_address(value: str) -> str:
    """The address of a node, or nothing; IPv6 may stand in brackets. Raises ValueError."""
    return listening_host(value) if value else value


def node_and_port(value: str) -> str:
    """The `host:port` of a Ray cluster; other forms are Ray's own. Raises ValueError."""
    if "://" in value or ":" not in value:
        return value
    host, _, port = value.rpartition(":")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("must have its IPv6 address in brackets, such as [::1]:6379")
    if not (port.isascii() and port.isdecimal() and int(port) <= _LAST_PORT):
        raise ValueError("must be host:port, such as 10.0.0.1:6379")
    return value


def _root(value: str, *schemes: str) -> str:
    if not value:
        return value
    if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    _host_of(value, f"{schemes[1]}://host:8000", f"{schemes[1]}://[::1]:8000")
    return value.rstrip("/")


def _host_of(value: str, example: str, ipv6_example: str) -> None:
    _refuse_bare_ipv6(value, ipv6_example)
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or any(char.isspace() for char in host) or port == 0:
        raise ValueError(f"must be an address such as {example}, with the special characters of a password encoded")


def _refuse_bare_ipv6(value: str, example: str) -> None:
    place = value.partition("://")[2].partition("/")[0].rpartition("@")[2]
    if place.count(":") > 1 and not place.startswith("[") and "," not in place:
        raise ValueError(f"must have its IPv6 address in brackets, such as {example}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


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


def public_addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    """IPv4 and IPv6 addresses as a broker sees them, each once and in its usual form. Raises ValueError."""
    found = tuple(dict.fromkeys(usual_form(text) or "" for text in value))
    if not all(address and is_public(address) for address in found):
        raise ValueError(
            "must be the IPv4 or IPv6 addresses that are registered at the broker, with commas between them: public "
            "ones, without ports and without nets"
        )
    return found


def echo_address(value: str) -> str:
    """The address of a server that answers with its caller's address, or nothing. Raises ValueError."""
    if not value:
        return value
    address = urlsplit(web_root(value))
    if address.scheme == "http" and not is_loopback(address.hostname or ""):
        raise ValueError("must begin with https://: others on the way could answer in its place")
    if "@" in address.netloc or address.fragment or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("must be an address such as https://echo.example/ip, without user and fragment")
    return value


def split(value: object) -> object:
    """The parts of a text between its commas; anything else as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def two_durations(value: object) -> object:
    """Two numbers of seconds, with a comma between them or as a tuple. Raises ValueError."""
    parts = split(value)
    try:
        numbers = tuple(float(str(part)) for part in parts) if isinstance(parts, tuple | list) else ()
    except ValueError:
        numbers = ()
    if len(numbers) != 2 or not all(0 < number <= _LONGEST_S for number in numbers):
        raise ValueError(
            f"must be two positive numbers of seconds, connect and read, such as 0.5,3; each {_LONGEST_S} at most"
        )
    return numbers


def time_of_day(value: object) -> object:
    """A text that is a time of day, or anything else as it is. Raises ValueError."""
    if isinstance(value, str) and not re.fullmatch(r"\d\d:\d\d(:\d\d)?", value):
        raise ValueError("must be a time of day such as 15:20")
    return value


def absolute_path(path: Path) -> Path:
    """A path from the root, `~` being the home of the user. Raises ValueError."""
    if any(char in str(path) for char in "\0\r\n"):  # PostgreSQL's programs take no path with a line break
        raise ValueError("must be a path on one line")
    if _NO_PATH.match(str(path)):
        raise ValueError(
            "must be a path of this system, such as /var/lib/tradeactors or ~/tradeactors: nothing is put in the place "
            "of $NAME or %h here, and a drive of Windows is /mnt/c or the like"
        )
    try:
        return path.expanduser().absolute()
    except RuntimeError:  # neither HOME nor an entry in /etc/passwd
        raise ValueError(f"must be a path from the root such as /var/lib/tradeactors: {path} needs a home") from None


def host_in_url(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def mail_sender(value: str) -> str:
    """An e-mail address that mail is sent from, or nothing. Raises ValueError."""
    if value and not re.fullmatch(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+", value):
        raise ValueError("must be an e-mail address such as alerts@example.com")
    return value


def vapid_key(value: SecretStr) -> SecretStr:
    """A private key of web push, 32 bytes in URL-safe base64, or nothing. Raises ValueError."""
    text = value.get_secret_value()
    if not text:
        return value
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _VAPID_BYTES or not 0 < int.from_bytes(key) < _P256_ORDER:
        raise ValueError("must be a private key of P-256: 32 bytes in URL-safe base64 (docs/notifications.md)")
    return value


def bot_token(value: SecretStr) -> SecretStr:
    """The token of a bot as Telegram's BotFather gives it, or nothing. Raises ValueError, which quotes none of it."""
    text = value.get_secret_value()
    if text and not re.fullmatch(r"[0-9]{1,19}:[A-Za-z0-9_-]{20,100}", text):
        raise ValueError(
            "must be the token of a bot as @BotFather gives it, such as 123456:ABC… (docs/notifications.md)"
        )
    return value


_OF_THIS_MACHINE = frozenset(
    {"dbus", "kde", "glib", "qt", "gnome", "macosx", "windows", "syslog", "mailto", "mailtos", "tgram", "file"}
)
"""Schemes of Apprise that act on this machine, or that the product has a way of its own for."""


def notification_scheme(value: str) -> str:
    """A scheme of Apprise that users may be notified by. Raises ValueError."""
    if not re.fullmatch(r"[a-z][a-z0-9+.-]{0,30}", value) or value in _OF_THIS_MACHINE or value in {"http", "https"}:
        raise ValueError("must be schemes of Apprise in small letters, such as ntfys,slack, and none of this machine")
    return value
