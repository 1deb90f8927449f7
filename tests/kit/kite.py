"""The Kite client as tests use it: with one user's credentials, against a broker at a given address."""

import json
from typing import Any

from broker.kite.connection import Destination
from broker.kite.connection_pool import ConnectionPool
from broker.kite.credentials import KiteCredentials
from broker.kite.gateway import KiteEndpoint, KiteGateway
from broker.kite.order_client import KiteOrderClient
from broker.proxy import Proxy

SECRET = "the-access-token-of-a-user"
TIMEOUT = (0.5, 0.4)
GOOD = '{"status": "success", "data": {"order_id": "1900000000000000001"}}'


def a_gateway(root: str, token: str = SECRET, proxy: Proxy | None = None) -> KiteGateway:
    """A gateway whose credentials never change."""

    async def credentials() -> KiteCredentials:
        return KiteCredentials("the-api-key", token, proxy)

    return KiteGateway(KiteEndpoint(root, TIMEOUT), credentials)


def a_client(root: str) -> KiteOrderClient:
    """The client alone."""
    return KiteOrderClient(KiteCredentials("the-api-key", SECRET), ConnectionPool(Destination(root, TIMEOUT)))


def order(**changes: Any) -> dict[str, Any]:
    """Arguments of `place_order`."""
    fields = {"variety": "regular", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY"}
    more = {"quantity": 1, "product": "MIS", "order_type": "MARKET", "tag": "T1", "market_protection": -1}
    return {**fields, **more, **changes}


def error(error_type: Any, message: Any = "No.", **more: Any) -> str:
    """An error as Kite's API words it."""
    return json.dumps({"status": "error", "error_type": error_type, "message": message, "data": None} | more)
