"""`OrderUpdates` over the broker's WebSocket: one stream per account, all in the process's one reactor.

A stream needs credentials, and loses them each morning. So each account has a task that reads them, starts the stream,
and after a refusal waits until other ones are stored (kite.md §6.3: a token that has ended never works again). With
`reread_s` it also looks that often whether others are stored while the stream is up, or tries to come up: a user may
have named another proxy, and no refusal would say so.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog

from actors.ports.execution import BrokerUnavailable, StreamCallbacks
from actors.waiting import within
from broker.kite.credentials import KiteCredentials
from broker.kite.streams.market_feed import RawTick
from broker.kite.streams.order_updates import OrderUpdateStream, rehearse_message
from broker.kite.streams.websocket import run_reactor

log = structlog.get_logger(__name__)

T = TypeVar("T")

_HEARD_EVERY_S = 1.0

_FIRST_POLL_S = 2.0
_SLOWEST_POLL_S = 30.0
_SLOWER = 1.5


class StreamAccounts(Protocol):
    """What is needed of `broker_accounts.Accounts`."""

    async def credentials(self, account_id: int) -> KiteCredentials:
        """The account's present credentials. Raises BrokerUnavailable."""
        ...

    async def ws_root(self, account_id: int) -> str:
        """The WebSocket root of the account's broker. Raises BrokerUnavailable."""
        ...


class UpdateFollower:
    """A stream for each account, opened by its token of the day. All runs in the loop that `follow` is called in."""

    def __init__(self, accounts: StreamAccounts, *, reread_s: float | None = None) -> None:
        self._accounts, self._reread_s = accounts, reread_s
        self._followed: dict[int, tuple[_Following, asyncio.Task[None]]] = {}

    def follow(self, account_id: int, callbacks: StreamCallbacks) -> None:
        """Open the account's stream, until the process ends. An account that has one keeps its callbacks."""
        if account_id in self._followed:
            return
        run_reactor()
        following = _Following(account_id, self._accounts, callbacks, self._reread_s)
        self._followed[account_id] = following, asyncio.get_running_loop().create_task(following.run())

    def subscribe(self, account_id: int, tokens: frozenset[int]) -> None:
        """Have the ticks of these instruments on the account's stream; without a stream nothing happens."""
        if (found := self._followed.get(account_id)) is not None:
            found[0].subscribe(tokens)

    def rehearse(self, then: Callable[[], None]) -> None:
        """Take the way of a message once, from the reactor's thread to this loop: the first real one finds it warm."""
        rehearse_message(functools.partial(asyncio.get_running_loop().call_soon_threadsafe, then))

    def leave(self, account_id: int) -> None:
        if (found := self._followed.pop(account_id, None)) is not None:
            found[1].cancel()


class _Following:
    """One account's stream, until its task is cancelled."""

    def __init__(
        self,
        account_id: int,
        accounts: StreamAccounts,
        callbacks: StreamCallbacks,
        reread_s: float | None,
    ) -> None:
        self._account_id, self._accounts, self._reread_s = account_id, accounts, reread_s
        self._callbacks = callbacks
        self._stream: OrderUpdateStream | None = None
        self._tokens: frozenset[int] = frozenset()
        self._loop = asyncio.get_running_loop()
        self._refused = asyncio.Event()
        self._left = False
        self._heard_at = 0.0

    def subscribe(self, tokens: frozenset[int]) -> None:
        """Have these ticks on the stream, as soon as there is one."""
        self._tokens = tokens
        if self._stream is not None:
            self._stream.subscribe(tokens)

    async def run(self) -> None:
        """Keep the stream under the credentials that are stored."""
        refused: KiteCredentials | None = None
        try:
            while True:
                credentials = await self._credentials_other_than(refused)
                if self._stream is None:
                    self._stream = self._new_stream(await self._when_known(self._accounts.ws_root))
                    self._stream.subscribe(self._tokens)
                self._refused.clear()
                self._stream.start(credentials)
                refused = credentials if await self._until_refused_or_replaced(credentials) else None
        finally:
            self._left = True
            if self._stream is not None:
                self._stream.close()

    async def _until_refused_or_replaced(self, used: KiteCredentials) -> bool:
        """True when the broker has refused them, False when others are stored."""
        while not await within(self._refused, self._reread_s):
            if await self._when_known(self._accounts.credentials) != used:
                log.info("updates.credentials_replaced", account_id=self._account_id)
                return False
        log.warning("updates.refused", account_id=self._account_id)
        return True

    def _new_stream(self, root: str) -> OrderUpdateStream:
        told = self._callbacks
        return OrderUpdateStream(
            root,
            on_update=lambda report: self._soon(told.on_update, report),
            on_connected=lambda: self._soon(told.on_connected),
            on_lost=self._lost,
            on_refused=lambda: self._soon(self._refused.set),
            on_heard=self._heard,
            on_ticks=lambda ticks: self._soon(self._on_ticks, ticks),
        )

    def _heard(self) -> None:
        """In the reactor's thread, for every message: waking the loop for each would hold a tick up."""
        now = time.monotonic()
        if now - self._heard_at >= _HEARD_EVERY_S:
            self._heard_at = now
            self._soon(self._callbacks.on_heard)

    def _on_ticks(self, ticks: list[RawTick]) -> None:
        for tick in ticks:
            self._callbacks.on_tick(*tick)

    def _lost(self, reason: str) -> None:
        log.info("updates.lost", account_id=self._account_id, reason=reason)
        self._soon(self._callbacks.on_lost)

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
