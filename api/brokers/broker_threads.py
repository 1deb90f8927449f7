"""The brokers, asked from the event loop: in threads of their own, and with an end to every call.

The deadline of a call is that of its sockets too (`broker.kite.deadline`), so that its thread is free when the caller
gives up. A user has two calls under way at most, and calls through users' proxies have threads of their own: a proxy
answers as slowly as its owner likes.

Where a broker is comes from the settings alone, never from a request. A request may name the proxy on the way there, if
the settings allow it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TypeVar

from actors.domain.identifiers import Instrument
from api.brokers.turns import Turns
from broker.errors import BrokerUnreachable
from broker.kite import login
from broker.kite.deadline import finished_by
from broker.kite.login import BrokerLogin, Timeout
from broker.proxy import Proxy
from config.settings import Broker, Settings
from persistence.secrets.encryption import BrokerCredentials

Answer = TypeVar("Answer")

PRICE_PATIENCE_S = 2.0
"""How long a START waits for the price that its stop-loss is compared with, and for the position."""

ACCOUNT_PATIENCE_S = 4.0
"""How long a look at an account waits for an answer, which may be that of several requests."""

AT_ONCE = 2
"""How many calls of a user are under way at most; the others wait for their turn."""

_START_LINE_S = 5.0
"""How long a START waits for its turn. Of many at once, each is to be checked rather than quickly answered."""

_THREADS = 16
_PROXIED_THREADS = 32
_MARGIN_S = 1.0
_LEAST_S = 0.5
"""A turn that would leave less than this for the call is not waited for."""

_GRACE_S = 0.25
"""How long the caller waits beyond the deadline for the thread to say what went wrong."""


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name a broker is asked: at which of the brokers, whose turn it takes, and which way it goes."""

    user_id: int
    broker: str
    proxy: Proxy | None = None


class BrokerCalls:
    """Blocking calls of `broker.kite.login`, awaited.

    All of them raise `BrokerUnreachable` when time is up: `TooManyCalls`, which is one, if the user's own other calls
    are why.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Not asyncio's own threads, of which there are few: a broker that hangs must not hold up anything else.
        self._direct = ThreadPoolExecutor(_THREADS, thread_name_prefix="broker")
        self._proxied = ThreadPoolExecutor(_PROXIED_THREADS, thread_name_prefix="broker-by-proxy")
        self._turns = Turns(AT_ONCE)

    def get_ready(self) -> None:
        """Import what the first call needs, beside whatever else happens."""
        self._direct.submit(login.load_client)

    def close(self) -> None:
        """Take no further calls; those under way end by their own deadlines."""
        for threads in (self._direct, self._proxied):
            threads.shutdown(wait=False, cancel_futures=True)

    def endpoint(self, broker: str) -> tuple[str, Timeout]:
        """The root and the timeouts of a broker."""
        name: Broker = "kite" if broker == "kite" else "paper"
        return self._settings.broker_root(name), self._settings.order_timeout_s

    def login_url(self, broker: str, api_key: str) -> str:
        """Where the user logs in at the broker. No broker is asked."""
        if broker == "kite":
            return login.login_url(api_key)
        root, _ = self.endpoint(broker)
        return login.login_url(api_key, page=f"{root}/connect/login")

    async def check_access_token(self, asker: Asker, api_key: str, access_token: str) -> BrokerLogin:
        """The account that an access token opens.

        Raises:
            InvalidToken, ExpiredToken: the broker does not know the token, or no longer.
            BrokerRefused, BrokerUnreachable: for any other answer, or none.
        """
        return await self._ask(asker, partial(login.check_access_token, api_key, access_token), self._patience_s)

    async def exchange_request_token(
        self, asker: Asker, api_key: str, api_secret: str, request_token: str
    ) -> BrokerLogin:
        """Turn the request token of a login into an access token; it is used up either way.

        Raises:
            CredentialsMismatch: the secret (or the key) is wrong.
            ExpiredToken: the request token is unknown, used or too old.
            BrokerRefused, BrokerUnreachable: for any other answer, or none.
        """
        exchange = partial(login.exchange_request_token, api_key, api_secret, request_token)
        return await self._ask(asker, exchange, self._patience_s)

    async def secret_is_refuted(self, asker: Asker, api_key: str, api_secret: str) -> bool:
        """Whether the broker says that the secret is not the key's. Kite cannot be asked that: False.

        Raises:
            BrokerRefused, BrokerUnreachable: it answers neither way.
        """
        if asker.broker == "kite":
            return False
        return await self._ask(asker, partial(login.secret_is_refuted, api_key, api_secret), self._patience_s)

    async def last_price(self, asker: Asker, credentials: BrokerCredentials, instrument: Instrument) -> Decimal | None:
        """The last traded price in rupees, within `PRICE_PATIENCE_S` from its turn; None if the broker has none.

        Raises:
            InvalidToken, ExpiredToken: the access token is refused.
            BrokerRefused, BrokerUnreachable: for any other answer, or none.
        """
        price = partial(login.last_price, credentials.api_key, credentials.access_token, instrument)
        return await self._ask(asker, price, PRICE_PATIENCE_S, _START_LINE_S)

    async def shares_owed(
        self, asker: Asker, credentials: BrokerCredentials, instrument: Instrument, product: str
    ) -> int:
        """By how many shares the account is short of an instrument, within `PRICE_PATIENCE_S` from its turn.

        Raises:
            InvalidToken, ExpiredToken: the access token is refused.
            BrokerRefused, BrokerUnreachable: for any other answer, or none.
        """
        owed = partial(login.shares_owed, credentials.api_key, credentials.access_token, instrument, product)
        return await self._ask(asker, owed, PRICE_PATIENCE_S, _START_LINE_S)

    async def of_account(self, asker: Asker, credentials: BrokerCredentials, question: Callable[..., Answer]) -> Answer:
        """One of `broker.kite.account_questions`; within `ACCOUNT_PATIENCE_S` from its turn."""
        asked = partial(question, credentials.api_key, credentials.access_token)
        return await self._ask(asker, asked, ACCOUNT_PATIENCE_S, _START_LINE_S)

    @property
    def _patience_s(self) -> float:
        return sum(self._settings.order_timeout_s) + _MARGIN_S

    async def _ask(
        self, asker: Asker, question: Callable[..., Answer], patience_s: float, line_s: float | None = None
    ) -> Answer:
        """`line_s`: how long to wait for a turn; without it, the turn and the call together have `patience_s`."""
        root, timeout_s = self.endpoint(asker.broker)
        asked = partial(question, root=root, timeout_s=timeout_s, proxy=asker.proxy)
        threads = self._direct if asker.proxy is None else self._proxied
        deadline = time.monotonic() + patience_s
        async with self._turns.turn(asker.user_id, patience_s - _LEAST_S if line_s is None else line_s):
            if line_s is not None:
                deadline = time.monotonic() + patience_s
            left_s = deadline - time.monotonic() + _GRACE_S
            answer = asyncio.get_running_loop().run_in_executor(threads, _finished_by, deadline, asked)
            try:
                async with asyncio.timeout(left_s):
                    return await answer
            except TimeoutError as error:
                raise BrokerUnreachable from error


@contextmanager
def open_calls(settings: Settings) -> Iterator[BrokerCalls]:
    """Calls that are soon as quick as they will be, and end with the block."""
    calls = BrokerCalls(settings)
    calls.get_ready()
    try:
        yield calls
    finally:
        calls.close()


def _finished_by(deadline: float, question: Callable[[], Answer]) -> Answer:
    with finished_by(deadline):
        return question()
