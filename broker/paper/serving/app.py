"""The FastAPI application of the paper exchange."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from broker.paper.base.envelope import failure
from broker.paper.base.errors import KiteError
from broker.paper.control import accounts_and_prices
from broker.paper.control import faults as control_faults
from broker.paper.control import orders as control_orders
from broker.paper.control import portfolio as control_portfolio
from broker.paper.control import world as control_world
from broker.paper.exchange import PaperExchange
from broker.paper.kite_api import login as kite_login
from broker.paper.kite_api import login_page as kite_login_page
from broker.paper.kite_api import margins as kite_margins
from broker.paper.kite_api import market as kite_market
from broker.paper.kite_api import orders as kite_orders
from broker.paper.kite_api import portfolio as kite_portfolio
from broker.paper.kite_api.request_gate import CONTROL_PREFIX, Gate
from broker.paper.serving import docs
from broker.paper.serving.callers import Callers, read_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from broker.paper.base.config import PaperConfig


def create_app(config: PaperConfig) -> FastAPI:
    """The application of one exchange: Kite at the root, the control API under ``/paper``.

    The exchange itself (ledger, prices, sockets) starts and stops with the application's lifespan, and is
    ``app.state.exchange``. Faults that break connections need the protocols of ``server.run``.

    Raises:
        ValueError: the token of the control API cannot be read.
    """
    exchange = PaperExchange(config)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        records = exchange.start()
        accounts_and_prices.restore_market(exchange, records)
        control_world.restore_world(exchange, records)
        yield
        exchange.stop()

    app = FastAPI(
        title="Paper exchange",
        lifespan=lifespan,
        docs_url=None,
        openapi_url=f"{CONTROL_PREFIX}/openapi.json",
        redoc_url=None,
    )
    app.state.exchange = exchange
    token = None if config.token_path is None else read_token(config.token_path)
    # `Callers` asks for the token; this lets the page at DOCS_PATH ask its visitor for it.
    asks = [] if token is None else [Depends(HTTPBearer(auto_error=False))]
    for part in (accounts_and_prices, control_faults, control_orders, control_portfolio, control_world):
        app.include_router(part.router, dependencies=asks)
    for page in (kite_login, kite_login_page, kite_margins, kite_orders, kite_portfolio, kite_market, docs):
        app.include_router(page.router)
    app.add_api_websocket_route("/", _ticker)
    app.add_api_websocket_route("/ws", _ticker)
    app.add_exception_handler(KiteError, _kite_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_middleware(Gate, exchange=exchange)
    app.add_middleware(Callers, hosts=(config.host, *config.allowed_hosts), token=token)
    return app


async def _ticker(websocket: WebSocket) -> None:
    exchange: PaperExchange = websocket.app.state.exchange
    await exchange.hub.serve(websocket)


async def _kite_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, KiteError):
        raise error
    return failure(error)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if request.url.path.startswith(CONTROL_PREFIX):
        return await http_exception_handler(request, error)
    # Unknown routes and methods answer in Kite's envelope too: the client expects JSON with an error type.
    return failure(KiteError(error.status_code, "GeneralException", str(error.detail)))


async def _invalid_request(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    # Without what was sent: it may be NaN, which JSON cannot say again.
    return JSONResponse({"detail": [{name: fault[name] for name in ("loc", "msg")} for fault in error.errors()]}, 422)
