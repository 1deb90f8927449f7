"""The committed files of the app, served by the product's own routes and edge without the rest of the stack."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import APIRouter, FastAPI

from api.base.metrics import Metrics, MetricsMiddleware
from api.edge.middleware import SecurityHeaders
from api.web.routes import BUNDLE, web_router


@contextmanager
def served_app(bundle: Path = BUNDLE, port: int = 0, *more: APIRouter) -> Iterator[str]:
    """The address of a server in a thread of this process, with the headers that the product sends.

    `more`: what else it answers.
    """
    app = FastAPI(openapi_url=None)
    for router in more:
        app.include_router(router)
    app.include_router(web_router(bundle))
    listening = socket.create_server(("127.0.0.1", port))
    edge = SecurityHeaders(MetricsMiddleware(app, Metrics()))
    server = uvicorn.Server(uvicorn.Config(edge, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
