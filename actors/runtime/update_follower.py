"""`OrderUpdates` over the brokers' WebSockets: one stream per account, in the one reactor of the process."""

import asyncio
import itertools
from collections.abc import Callable

import structlog

from actors.domain.order import OrderReport
from actors.runtime.bootstrap import Accounts
from broker.order_updates import OrderUpdateStream
from broker.ticker_link import run_reactor

log = structlog.get_logger(__name__)

_RETRY_S = (2.0, 5.0, 10.0, 30.0)
"""Between the looks for credentials other than those that were refused."""

OnUpdate = Callable[[OrderReport], None]
OnConnected = Callable[[], None]


class UpdateFollower:
    """See `ports.OrderUpdates`. Nothing here raises: without updates, orders are followed by reading the book."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._streams: dict[int, _AccountStream] = {}

    def follow(self, account_id: int, on_update: OnUpdate, on_connected: OnConnected) -> None:
        """See `OrderUpdates.follow`."""
        if account_id not in self._streams:
            run_reactor()
            self._streams[account_id] = _AccountStream(account_id, self._accounts, on_update, on_connected)

    def leave(self, account_id: int) -> None:
        """See `OrderUpdates.leave`."""
        stream = self._streams.pop(account_id, None)
        if stream is not None:
            stream.close()


class _AccountStream:
    """Brings one account's stream up, and up again with new credentials when the present ones are refused."""

    def __init__(self, account_id: int, accounts: Accounts, on_update: OnUpdate, on_connected: OnConnected) -> None:
        self._account_id, self._accounts = account_id, accounts
        self._on_update, self._on_connected = on_update, on_connected
        self._loop = asyncio.get_running_loop()
        self._stream: OrderUpdateStream | None = None
        self._used: object = None
        self._connecting = self._loop.create_task(self._connect())

    def close(self) -> None:
        """Give it up."""
        self._connecting.cancel()
        if self._stream is not None:
            self._stream.stop()

    async def _connect(self) -> None:
        for attempt in itertools.count():
            try:
                credentials = await self._accounts.credentials(self._account_id)
                if credentials != self._used:
                    stream = self._stream = self._stream or await self._open()
                    self._used = credentials
                    stream.start(credentials)
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream must come up when it is over
                log.info("order_updates.wait", account_id=self._account_id, error=repr(error))
            await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])

    async def _open(self) -> OrderUpdateStream:
        return OrderUpdateStream(
            await self._accounts.ws_root(self._account_id),
            on_update=lambda report: self._soon(self._on_update, report),
            on_connected=lambda: self._soon(self._on_connected),
            on_refused=lambda: self._soon(self._refused),
        )

    def _refused(self) -> None:
        if self._connecting.done() and not self._connecting.cancelled():
            self._connecting = self._loop.create_task(self._connect())

    def _soon(self, callback: Callable[..., None], *arguments: object) -> None:
        """From the reactor's thread into the actor's loop."""
        self._loop.call_soon_threadsafe(callback, *arguments)
