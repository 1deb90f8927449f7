"""The Ray actor `feed:{n}`: the broker's tick stream, in a process of its own because of the Twisted reactor."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import structlog

from actors.domain.identifiers import Instrument
from actors.market_listener import MarketListener
from actors.ports import FeedStatus
from actors.runtime import bootstrap, handles, lines, names
from actors.runtime.clock import SystemClock
from actors.runtime.names import Pools
from actors.runtime.plane.link import Invitation
from actors.runtime.plane.ticks import TickSender
from actors.runtime.tuning import tune
from broker.errors import BrokerError
from broker.kite_order_client import KiteCredentials
from broker.market_feed import MarketFeed, RawTick, run_reactor
from broker.quotes import MOST_AT_ONCE, market_quotes

log = structlog.get_logger(__name__)

_CREDENTIALS_RETRY_S = 2.0
_FORGET_AFTER_S = 90.0
"""A router that left and has not come back for so long has ended: its instrument is followed no more."""

_JOINING_S = 30.0
"""A router that has asked so lately is about to connect, or gets its ticks as Ray calls."""

_QUOTES_EVERY_S = 5.0


class FeedHost:
    """See the head of this module. Made in a running loop."""

    def __init__(self, pools: Pools) -> None:
        self._settings = settings = bootstrap.process_settings()
        tune()
        ledger, _ = bootstrap.open_ledger(settings)
        self._accounts = bootstrap.Accounts(settings, ledger)
        self._loop = asyncio.get_running_loop()
        self._feed = MarketFeed(
            settings.broker_ws_root(settings.feed_source),
            on_ticks=lambda ticks: self._soon(self._on_ticks, ticks),
            on_heard=lambda connection: self._soon(self._on_heard, connection),
            on_lost=lambda connection, reason: self._soon(self._on_lost, connection, reason),
            on_refused=lambda: self._soon(self._on_refused),
            on_unreachable=lambda: self._soon(self._on_unreachable),
        )
        self._peers = handles.Peers()
        self._alerts = handles.RayAttemptLog(self._peers, pools)
        self._ticks = TickSender(
            handles.own_node(), handles.own_host(), on_joined=self._on_joined, on_left=self._on_left
        )
        receivers = lines.LinkedTickReceivers(self._ticks, _router_name, self._peers, "on_tick")
        self._listener = MarketListener(self._feed, routers=receivers, clock=SystemClock())
        self._changed = asyncio.Event()
        self._asked_at: dict[str, float] = {}
        self._refused = 0
        self._credentials: KiteCredentials | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._duties = [asyncio.create_task(duty()) for duty in (self._keep_telling, self._keep_asking_the_quiet)]
        run_reactor()
        self._reconnect(after_s=0)

    async def subscribe(
        self, instrument: Instrument, armed: bool, router: Any, node: str | None
    ) -> tuple[FeedStatus, Invitation | None]:
        """See `TickSource.subscribe`; `router` is the handle to send ticks to as long as it has no link from `node`."""
        self._peers.meet(names.router_name(instrument.key), router)
        status = self._listener.subscribe(instrument, armed=armed)
        self._asked_at[instrument.key] = self._loop.time()
        return status, lines.invitation(self._ticks.invite, instrument.key, node)

    async def process_id(self) -> int:
        """The pid of this actor's process."""
        return os.getpid()

    # --- the stream -----------------------------------------------------------------------------------------------

    def _soon(self, callback: Callable[..., None], *arguments: object) -> None:
        """From the reactor's thread into the actor's loop."""
        self._loop.call_soon_threadsafe(callback, *arguments)

    def _on_ticks(self, ticks: list[RawTick]) -> None:
        for tick in ticks:
            self._listener.on_tick(*tick)

    def _on_heard(self, connection: int) -> None:
        if self._listener.on_heard(connection):
            self._changed.set()

    def _on_lost(self, connection: int, reason: str) -> None:
        self._listener.on_lost(connection, reason)
        self._changed.set()
        self._reconnect(after_s=0)  # with what is stored by now, should that be other credentials

    def _on_refused(self) -> None:
        if self._credentials is None:
            return  # another connection of the same credentials has said so already
        log.warning("feed.refused", times=self._refused + 1)
        self._try_another_account()

    def _on_unreachable(self) -> None:
        """A proxy that leads nowhere is the trouble of its account, and must not be that of all others."""
        if self._credentials is None or self._credentials.proxy is None:
            return
        log.warning("feed.proxy_unreachable", times=self._refused + 1)
        self._try_another_account()

    def _try_another_account(self) -> None:
        self._refused += 1
        self._credentials = None
        if self._connecting is not None:
            self._connecting.cancel()  # what was to follow the loss at once must wait its time now
            self._connecting = None
        self._reconnect()

    def _reconnect(self, after_s: float = _CREDENTIALS_RETRY_S) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect(after_s))

    async def _connect(self, after_s: float) -> None:
        """Wait until there are credentials, then connect, unless the stream goes on by itself with the same ones."""
        await asyncio.sleep(after_s)
        while True:
            try:
                credentials = await self._accounts.feed_credentials(self._refused)
            except Exception as error:  # noqa: BLE001 - whatever it is, the feed must come up when it is over
                log.info("feed.waits_for_credentials", error=repr(error))
                await asyncio.sleep(_CREDENTIALS_RETRY_S)
            else:
                if credentials != self._credentials:
                    self._credentials = credentials
                    self._feed.start(credentials)
                return

    # --- the routers ----------------------------------------------------------------------------------------------

    async def _keep_telling(self) -> None:
        while True:
            await lines.every_second_or_when(self._changed)
            self._ticks.tell(self._listener.status_of)

    def _on_joined(self, key: str) -> None:
        """A router that has started anew must not wait for the next trade: a touch that still holds is in this one."""
        if (tick := self._listener.latest(key)) is not None:
            self._ticks.send(key, tick)

    def _on_left(self, key: str) -> None:
        self._loop.call_later(_FORGET_AFTER_S, self._forget_unless_back, key)

    def _forget_unless_back(self, key: str) -> None:
        if not self._ticks.has(key) and self._loop.time() - self._asked_at.get(key, 0.0) > _JOINING_S:
            self._listener.unsubscribe(key)
            self._asked_at.pop(key, None)

    # --- silence --------------------------------------------------------------------------------------------------

    async def _keep_asking_the_quiet(self) -> None:
        while True:
            await asyncio.sleep(_QUOTES_EVERY_S)
            quiet, credentials = self._listener.quiet()[:MOST_AT_ONCE], self._credentials
            if quiet and credentials is not None:
                await self._ask(quiet, credentials)

    async def _ask(self, quiet: list[Instrument], credentials: KiteCredentials) -> None:
        settings = self._settings
        root, timeout_s = settings.broker_root(settings.feed_source), settings.order_timeout_s
        try:
            quotes = await asyncio.to_thread(market_quotes, credentials, quiet, root=root, timeout_s=timeout_s)
        except BrokerError as error:
            log.warning("feed.quotes_failed", reason=type(error).__name__, instruments=len(quiet))
            return
        for quote in quotes:
            if self._listener.on_quote(*quote):
                key = quote.instrument.key
                log.warning("feed.symbol_silent", instrument=key)
                message = f"{key}: the price has moved and no tick came; it is subscribed anew"
                self._alerts.alert(0, 0, "symbol_silent", message)


def _router_name(key: int | str) -> str:
    return names.router_name(str(key))
