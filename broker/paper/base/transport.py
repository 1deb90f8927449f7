"""uvicorn protocols that hand the TCP transport to the app, so that faults can break connections as networks do."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from websockets.http11 import Request

EXTENSION = "paper.transport"
REUSED = "paper.reused"
# on, zero seconds: close() then sends RST instead of FIN and drops what is still unsent.
_RESET = struct.pack("ii", 1, 0)
_CLOSED = -1


class PaperHttpProtocol(HttpToolsProtocol):
    """HTTP with the transport in ``scope["extensions"]``, and whether it served a request before."""

    has_served = False

    def on_message_begin(self) -> None:
        """Begin a request scope."""
        super().on_message_begin()
        extensions = {EXTENSION: self.transport, REUSED: self.has_served}
        cast("dict[str, Any]", self.scope)["extensions"] = extensions
        self.has_served = True


class PaperWebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket with the transport in ``scope["extensions"]``."""

    def handle_connect(self, event: Request) -> None:
        """Begin a WebSocket scope; the app only runs after this returns."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = self.transport


def transport_of(scope: Mapping[str, Any]) -> asyncio.Transport:
    """The transport of a request; present whenever ``server.run`` serves it."""
    return cast("asyncio.Transport", scope["extensions"][EXTENSION])


def is_reused(scope: Mapping[str, Any]) -> bool:
    """Whether the request came on a connection that had been kept alive."""
    return bool(scope.get("extensions", {}).get(REUSED))


def reset(transport: asyncio.Transport) -> None:
    """Cut the connection with a TCP reset; one that has ended meanwhile is left alone."""
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None and raw.fileno() != _CLOSED:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
