"""Serving the paper exchange: one uvicorn process, REST and WebSocket on one port."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import structlog
import uvicorn

from broker.paper.accounts.ledger import Journal
from broker.paper.base.transport import PaperHttpProtocol, PaperWebSocketProtocol
from broker.paper.serving.app import create_app
from broker.paper.serving.callers import LOCAL_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.paper.base.config import PaperConfig

logger = structlog.get_logger(__name__)

SHUTDOWN_SECONDS = 2
_STARTUP_FAILED = 3


def run(config: PaperConfig, on_listening: Callable[[int], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM. ``on_listening`` gets the port once the socket is bound.

    Without ``token_path`` the control API has no authentication, so the host should then stay 127.0.0.1.

    Raises:
        UnreadableFileError: the ledger or the list of instruments is damaged.
        OSError: the address cannot be listened at, or a file cannot be read.
        SystemExit: with 3, it cannot start for another reason, which has been logged.
    """
    for _ in Journal(config.ledger_path).replay():  # uvicorn would tell it with a traceback
        pass
    listener = _bind(config.host, config.port)
    port: int = listener.getsockname()[1]
    if config.token_path is None and config.host not in LOCAL_NAMES:
        logger.warning("control_api_exposed", host=config.host)
    server = uvicorn.Server(_uvicorn_config(config))
    if on_listening is not None:
        on_listening(port)
    with listener:
        server.run(sockets=[listener])
    if not server.started:
        sys.exit(_STARTUP_FAILED)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # A restart on the same port must not wait for old connections to time out.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(2048)
    return listener


def _uvicorn_config(config: PaperConfig) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(config),
        http=PaperHttpProtocol,
        ws=PaperWebSocketProtocol,
        # Kite compresses no frames and sends no pings.
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        timeout_keep_alive=config.keep_alive_seconds,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
    )
