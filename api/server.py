"""Serving the API: one process of uvicorn, which ends open event streams when it is asked to stop."""

import socket
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from api.edge.http_protocol import BoundedHttpProtocol

GRACE_S = 10
"""How long requests under way may take to end once the process is asked to stop."""

KEEP_ALIVE_S = 5
"""How long a connection may be idle between two requests."""

DEAD_PEER_S = 15
"""How long what was sent may stay unacknowledged. An event stream sends something every 15 seconds: a peer that has
lost its network holds its connection for half a minute, and not for the quarter of an hour of Linux."""

_STARTUP_FAILED = 3
"""The exit status that uvicorn's own command gives."""


class ApiServer(uvicorn.Server):
    """Ends the event streams before it waits for connections to close, which they would not do by themselves.

    uvicorn tells an application only after that wait that it is to go. Under another server, have its grace end.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        app.state.connections = self.server_state.connections  # `api.edge.admission` counts them

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; every connection takes over the patience with a dead peer."""
        await super().startup(sockets)
        for server in getattr(self, "servers", ()):
            for listener in server.sockets:
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_S * 1000)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: no new connections, streams to their end, the rest within its grace."""
        self._app.state.resources.events.end_streams()
        await super().shutdown(sockets)


def api_server(app: FastAPI, host: str, port: int) -> ApiServer:
    """A server of `app`, not started. Logging is the application's own affair."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedHttpProtocol,
        access_log=False,
        log_config=None,
        server_header=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    return ApiServer(config, app)


def serve(app: FastAPI, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Exits with 3 if the application cannot start."""
    server = api_server(app, host, port)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again after an orderly shutdown
        server.run()
    if not server.started:
        sys.exit(_STARTUP_FAILED)
