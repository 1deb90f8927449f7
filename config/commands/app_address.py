"""Where people find the app: on this machine, and from a phone if the API listens to its network."""

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from config.settings import Settings

_ANYWHERE = {"0.0.0.0": (socket.AF_INET, "192.0.2.1"), "::": (socket.AF_INET6, "2001:db8::1")}  # noqa: S104
"""Addresses to listen on that mean all of this machine's, and one for documents (RFC 5737, RFC 3849) that no machine
has: which of ours would a packet to it leave from?
"""


def app_on(root: str) -> str:
    """The app of an API whose address is this."""
    return f"{root}/app/"


def app_for_phones(settings: "Settings") -> str | None:
    """Where a phone reaches the app: PUBLIC_URL, else this machine's address in its network.

    None where the API listens on this machine alone, or the machine has no network.
    """
    from config.values import host_in_url, is_loopback

    if settings.public_url:
        return app_on(settings.public_url)
    if is_loopback(settings.api_host):
        return None
    host = _own_address(settings.api_host) if settings.api_host in _ANYWHERE else settings.api_host
    return app_on(f"http://{host_in_url(host)}:{settings.api_port}") if host else None


def qr_code(address: str) -> "Text":
    """To be scanned from a terminal: white on black, whatever the terminal's own colours are."""
    import io

    import segno
    from rich.text import Text

    drawn = io.StringIO()
    segno.make_qr(address).terminal(drawn, compact=True, border=4)  # the quiet zone of the standard
    return Text(drawn.getvalue().rstrip("\n"), style="bright_white on black", no_wrap=True)


def _own_address(listening: str) -> str | None:
    """Nothing is sent: a UDP socket that is connected only knows its own end."""
    family, elsewhere = _ANYWHERE[listening]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((elsewhere, 9))
            return str(asking.getsockname()[0])
    except OSError:
        return None
