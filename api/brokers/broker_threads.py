"""The brokers, asked from the event loop: in threads of their own, and with an end to every wait.

Where a broker is comes from the settings alone, never from a request. A request may name the proxy on the way there, if
the settings allow it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import TypeVar

from actors.domain.identifiers import Instrument
from broker.errors import BrokerUnreachable
from broker.kite import login
from broker.kite.login import BrokerLogin, Timeout
from broker.proxy import Proxy
from config.settings import Broker, Settings
from persistence.secrets.encryption import BrokerCredentials

Answer = TypeVar("Answer")

PRICE_PATIENCE_S = 2.0
"""How long a START waits for the price that its stop-loss is compared with, and for the position."""

_THREADS = 16
_MARGIN_S = 1.0


class BrokerCalls:
    """Blocking calls of `broker.kite.login`, awaited. All of them raise `BrokerUnreachable` when time is up."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Not asyncio's own threads, of which there are few: a broker that hangs must not hold up anything else.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="broker")

    def close(self) -> None:
        """Take no further calls; those under way end by their own timeouts."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def endpoint(self, broker: str) -> tuple[str, Timeout]:
        """The root and the timeouts of a broker."""
        name: Broker = "kite" if broker == "kite" else "paper"
        return self._settings.broker_root(name), self._settings.order_timeout_s

    async def login_url(self, broker: str, api_key: str) -> str:
        """Where the user logs in at the broker."""
        root, timeout_s = self.endpoint(broker)
        page = None if broker == "kite" else f"{root}/connect/login"
        return await self._ask(partial(login.login_url, api_key, page=page), sum(timeout_s))

    async def check_access_token(
        self, broker: str, api_key: str, access_token: str, proxy: Proxy | None
    ) -> BrokerLogin:
        """See `login.check_access_token`."""
        root, timeout_s = self.endpoint(broker)
        check = partial(login.check_access_token, root=root, timeout_s=timeout_s, proxy=proxy)
        return await self._ask(partial(check, api_key, access_token), sum(timeout_s) + _MARGIN_S)

    async def exchange_request_token(
        self, broker: str, api_key: str, api_secret: str, request_token: str, proxy: Proxy | None
    ) -> BrokerLogin:
        """See `login.exchange_request_token`."""
        root, timeout_s = self.endpoint(broker)
        exchange = partial(login.exchange_request_token, root=root, timeout_s=timeout_s, proxy=proxy)
        return await self._ask(partial(exchange, api_key, api_secret, request_token), sum(timeout_s) + _MARGIN_S)

    async def secret_is_refuted(self, broker: str, api_key: str, api_secret: str, proxy: Proxy | None) -> bool:
        """See `login.secret_is_refuted`; not to be known of Kite, where it is False."""
        if broker == "kite":
            return False
        root, timeout_s = self.endpoint(broker)
        refuted = partial(login.secret_is_refuted, root=root, timeout_s=timeout_s, proxy=proxy)
        return await self._ask(partial(refuted, api_key, api_secret), sum(timeout_s) + _MARGIN_S)

    async def last_price(
        self, broker: str, credentials: BrokerCredentials, instrument: Instrument, proxy: Proxy | None
    ) -> Decimal | None:
        """See `login.last_price`; within `PRICE_PATIENCE_S`."""
        root, timeout_s = self.endpoint(broker)
        price = partial(login.last_price, root=root, timeout_s=timeout_s, proxy=proxy)
        question = partial(price, credentials.api_key, credentials.access_token, instrument)
        return await self._ask(question, PRICE_PATIENCE_S)

    async def shares_owed(
        self, broker: str, credentials: BrokerCredentials, instrument: Instrument, product: str, proxy: Proxy | None
    ) -> int:
        """See `login.shares_owed`; within `PRICE_PATIENCE_S`."""
        root, timeout_s = self.endpoint(broker)
        owed = partial(login.shares_owed, root=root, timeout_s=timeout_s, proxy=proxy)
        question = partial(owed, credentials.api_key, credentials.access_token, instrument, product)
        return await self._ask(question, PRICE_PATIENCE_S)

    async def _ask(self, question: Callable[[], Answer], patience_s: float) -> Answer:
        # The client's own timeouts are per read: an answer that comes byte by byte would never end.
        asked = asyncio.get_running_loop().run_in_executor(self._threads, question)
        try:
            return await asyncio.wait_for(asked, patience_s)
        except TimeoutError as error:
            raise BrokerUnreachable from error
