"""`OrderUpdates` over the broker's WebSocket: one stream per account, all in the process's one reactor.

A stream needs credentials, and loses them each morning. So each account has a task that reads them, starts the stream,
and after a refusal waits until other ones are stored (kite.md §6: a dead token never comes back to life). With
`reread_s` it also looks that often whether others are stored while the stream is up, or tries to come up: a user may
have named another proxy, and no refusal would say so.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog

from actors.domain.order import OrderReport
from actors.ports import BrokerUnavailable
from broker.kite_order_client import KiteCredentials
from broker.order_updates import OrderUpdateStream
from broker.ticker_link import run_reactor

log = structlog.get_logger(__name__)

T = TypeVar("T")

_FIRST_POLL_S = 2.0
_SLOWEST_POLL_S = 30.0
_SLOWER = 1.5


class StreamAccounts(Protocol):
    """What is needed of `bootstrap.Accounts`."""

    async def credentials(self, account_id: int) -> KiteCredentials:
        """The account's present credentials. Raises BrokerUnavailable."""
        ...

    async def ws_root(self, account_id: int) -> str:
        """The WebSocket root of the account's broker. Raises BrokerUnavailable."""
        ...


class UpdateFollower:
    """See `OrderUpdates`. Everything runs in the loop that `follow` is called in."""

    def __init__(self, accounts: StreamAccounts, *, reread_s: float | None = None) -> None:
        self._accounts, self._reread_s = accounts, reread_s
        self._followed: dict[int, asyncio.Task[None]] = {}

    def follow(
        self, account_id: int, on_update: Callable[[OrderReport], None], on_connected: Callable[[], None]
    ) -> None:
        """See `OrderUpdates.follow`. An account that is followed already keeps the callbacks it has."""
        if account_id in self._followed:
            return
        run_reactor()
        following = _Following(account_id, self._accounts, on_update, on_connected, self._reread_s)
        self._followed[account_id] = asyncio.get_running_loop().create_task(following.live())

    def leave(self, account_id: int) -> None:
        """See `OrderUpdates.leave`."""
        task = self._followed.pop(account_id, None)
        if task is not None:
            task.cancel()


class _Following:
    """One account's stream, until its task is cancelled."""

    def __init__(
        self,
        account_id: int,
        accounts: StreamAccounts,
        on_update: Callable[[OrderReport], None],
        on_connected: Callable[[], None],
        reread_s: float | None,
    ) -> None:
        self._account_id, self._accounts, self._reread_s = account_id, accounts, reread_s
        self._on_update, self._on_connected = on_update, on_connected
        self._loop = asyncio.get_running_loop()
        self._refused = asyncio.Event()
        self._left = False

    async def live(self) -> None:
        """Keep the stream under the credentials that are stored."""
        stream: OrderUpdateStream | None = None
        refused: KiteCredentials | None = None
        try:
            while True:
                credentials = await self._credentials_other_than(refused)
                if stream is None:
                    stream = self._stream(await self._when_known(self._accounts.ws_root))
                self._refused.clear()
                stream.start(credentials)
                refused = credentials if await self._until_refused_or_replaced(credentials) else None
        finally:
            self._left = True
            if stream is not None:
                stream.close()

    async def _until_refused_or_replaced(self, used: KiteCredentials) -> bool:
        """True when the broker has refused them, False when others are stored."""
        while True:
            try:
                await asyncio.wait_for(self._refused.wait(), self._reread_s)
            except TimeoutError:
                if await self._when_known(self._accounts.credentials) == used:
                    continue
                log.info("updates.credentials_replaced", account_id=self._account_id)
                return False
            log.warning("updates.refused", account_id=self._account_id)
            return True

    def _stream(self, root: str) -> OrderUpdateStream:
        return OrderUpdateStream(
            root,
            on_update=lambda report: self._soon(self._on_update, report),
            on_connected=lambda: self._soon(self._on_connected),
            on_lost=lambda reason: log.info("updates.lost", account_id=self._account_id, reason=reason),
            on_refused=lambda: self._soon(self._refused.set),
        )

    def _soon(self, callback: Callable[..., None], *arguments: object) -> None:
        """From the reactor's thread into the loop."""
        self._loop.call_soon_threadsafe(self._unless_left, callback, arguments)

    def _unless_left(self, callback: Callable[..., None], arguments: tuple[object, ...]) -> None:
        if not self._left:
            callback(*arguments)

    async def _credentials_other_than(self, refused: KiteCredentials | None) -> KiteCredentials:
        pause = _FIRST_POLL_S
        while True:
            if refused is not None:
                await asyncio.sleep(pause)
                pause = min(pause * _SLOWER, _SLOWEST_POLL_S)
            credentials = await self._when_known(self._accounts.credentials)
            if credentials != refused:
                return credentials

    async def _when_known(self, read: Callable[[int], Awaitable[T]]) -> T:
        """What the account's record says, once it can be read."""
        pause = _FIRST_POLL_S
        while True:
            try:
                return await read(self._account_id)
            except BrokerUnavailable as error:
                log.info("updates.account_unreadable", account_id=self._account_id, reason=str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream must come up when it is over
                log.warning("updates.account_unreadable", account_id=self._account_id, error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * _SLOWER, _SLOWEST_POLL_S)
