"""The Ray actor `feed:{n}`: a broker's tick stream, in a process of its own because of the Twisted reactor."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import structlog

from actors.domain.identifiers import Instrument
from actors.domain.instrument_list_day import list_day
from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus
from actors.prices.feed_shell import FeedShell
from actors.runtime import names, ray_ports
from actors.runtime.clients import connections
from actors.runtime.clients.broker_accounts import Accounts
from actors.runtime.clients.feed_accounts import FeedAccount, FeedAccounts
from actors.runtime.clock import SystemClock
from actors.runtime.hosts.process_tuning import tune
from actors.runtime.names import Pools
from actors.runtime.peers import Peers, own_host, own_name, own_node
from actors.runtime.plane import invitations, linked_ticks
from actors.runtime.plane.invitations import Invitation
from actors.runtime.plane.ticks import TickSender
from actors.waiting import every_second_or_when
from broker.errors import BrokerError, BrokerRefused, CredentialsRejected
from broker.kite.quotes import MOST_AT_ONCE, market_quotes, market_tokens
from broker.kite.streams.market_feed import MarketFeed, RawTick, run_reactor
from config import metric_names
from config.settings import Broker
from persistence.errors import MirrorUnavailable
from persistence.mirror.figures import Figures
from persistence.mirror.presence import keep_present

log = structlog.get_logger(__name__)

_CREDENTIALS_RETRY_S = 2.0
_NEXT_ACCOUNT_S = 0.3
"""Between two accounts of which neither has been tried."""

_FORGET_AFTER_S = 90.0
"""A router that left and has not come back for this long has ended: its instrument is no longer followed."""

_JOINING_S = 30.0
"""A router that has asked so lately is about to connect, or gets its ticks as Ray calls."""

_WATCHES = "|"
"""Between the name of an execution actor and the instrument that it watches, in the name of its link."""

_QUOTES_EVERY_S = 5.0
_PUBLISH_EVERY_S = 2.0


class MarketListener:
    """See the head of this module. Made in a running loop."""

    def __init__(self, pools: Pools, broker: Broker) -> None:
        self._settings = settings = connections.process_settings()
        self._broker, self._suffix = broker, pools.suffix(broker)
        tune()
        ledger, self._mirror = connections.open_ledger(settings)
        accounts = Accounts(settings, ledger)
        self._accounts = FeedAccounts(settings, broker, accounts, ledger, self._mirror)
        self._loop = asyncio.get_running_loop()
        self._feed = MarketFeed(
            settings.broker_ws_root(broker),
            on_ticks=lambda ticks: self._soon(self._on_ticks, ticks),
            on_heard=lambda connection: self._soon(self._on_heard, connection),
            on_lost=lambda connection, reason: self._soon(self._on_lost, connection, reason),
            on_refused=lambda: self._soon(self._on_refused),
            on_unreachable=lambda: self._soon(self._on_unreachable),
        )
        self._peers = Peers()
        self._alerts = ray_ports.RayAlerts(self._peers, pools)
        self._ticks = TickSender(own_node(), own_host(), on_joined=self._on_joined, on_left=self._on_left)
        self._routers = linked_ticks.LinkedTickReceivers(self._ticks, self._router_name, self._peers, "on_tick")
        self._watchers: dict[str, set[str]] = {}
        self._clock = SystemClock()
        self._listener = FeedShell(
            self._feed,
            routers=self,
            clock=self._clock,
            lag_limit=timedelta(seconds=settings.feed_lag_limit_s),
            confirms_tokens=True,
        )
        self._figures = Figures()
        self._changed = asyncio.Event()
        self._asked_at: dict[str, float] = {}
        self._tokens_wanted = asyncio.Event()
        self._account: FeedAccount | None = None
        self._proven = False
        self._connecting: asyncio.Task[None] | None = None
        duties = (self._keep_telling, self._keep_asking_the_quiet, self._keep_confirming, self._keep_publishing)
        self._duties = [asyncio.create_task(duty()) for duty in duties]
        self._duties.append(
            asyncio.create_task(
                keep_present(self._mirror, own_name(), own_host(), os.getpid(), own_node(), self._figures)
            )
        )
        run_reactor()
        self._reconnect(after_s=0)

    async def subscribe(
        self, instrument: Instrument, armed: bool, router: Any, node: str | None
    ) -> tuple[FeedStatus, Invitation | None]:
        """Send the ticks of the instrument to its router; to ask again renews it.

        `armed`: a stop-loss is watched. `router`: the handle to send ticks to as long as it has no link from `node`.
        """
        if router is not None:
            self._peers.meet(self._router_name(instrument.key), router)
        if instrument.key not in self._asked_at:
            self._tokens_wanted.set()
        status = self._listener.subscribe(instrument, armed=armed)
        self._asked_at[instrument.key] = self._loop.time()
        return status, invitations.invitation_for(self._ticks.invite, instrument.key, node)

    async def watch(
        self, watcher: str, instrument: Instrument, node: str | None
    ) -> tuple[FeedStatus, Invitation | None]:
        """Send the ticks of an armed instrument to an execution actor as well, over a link of its own (row M4)."""
        status, _ = await self.subscribe(instrument, True, None, None)
        receiver = f"{watcher}{_WATCHES}{instrument.key}"
        self._watchers.setdefault(instrument.key, set()).add(receiver)
        return status, invitations.invitation_for(self._ticks.invite, receiver, node)

    def deliver(self, receiver: int | str, tick: Tick) -> None:
        """Hand one tick to the guards of the instrument, then to its router. Never waits."""
        for watcher in self._watchers.get(str(receiver), ()):
            self._ticks.send(watcher, tick)
        self._routers.deliver(receiver, tick)

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
        if not self._proven and self._account is not None:
            self._proven = True
            self._remembering = asyncio.create_task(self._accounts.worked(self._account))

    def _on_heard(self, connection: int) -> None:
        if self._listener.on_heard(connection):
            self._changed.set()

    def _on_lost(self, connection: int, reason: str) -> None:
        self._listener.on_lost(connection, reason)
        self._figures.count(metric_names.FEED_LOSSES, self._broker)
        self._changed.set()
        self._reconnect(after_s=0)  # with what is stored by now, should that be other credentials

    def _on_refused(self) -> None:
        if self._account is None:
            return  # another connection of the same credentials has said so already
        self._try_another_account()

    def _on_unreachable(self) -> None:
        """A proxy that leads nowhere is the trouble of its account, and must not be that of all others."""
        if self._account is None or self._account.credentials.proxy is None:
            return
        log.warning("feed.proxy_unreachable", broker=self._broker)
        self._try_another_account()

    def _try_another_account(self) -> None:
        if self._account is not None:
            self._accounts.refused(self._account)
        self._account, self._proven = None, False
        if self._connecting is not None:
            self._connecting.cancel()  # what was to follow the loss at once must wait its time now
            self._connecting = None
        self._reconnect(_NEXT_ACCOUNT_S if self._accounts.others_left else _CREDENTIALS_RETRY_S)

    def _reconnect(self, after_s: float) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect(after_s))

    async def _connect(self, after_s: float) -> None:
        """Wait until there are credentials, then connect, unless the stream goes on by itself with the same ones."""
        await asyncio.sleep(after_s)
        while True:
            try:
                account = await self._accounts.choose()
            except Exception as error:  # noqa: BLE001 - whatever it is, the feed must come up when it is over
                log.info("feed.waits_for_credentials", broker=self._broker, error=repr(error))
                await asyncio.sleep(_CREDENTIALS_RETRY_S)
            else:
                if account != self._account:
                    self._account, self._proven = account, False
                    self._feed.start(account.credentials)
                    self._tokens_wanted.set()
                return

    # --- the routers ----------------------------------------------------------------------------------------------

    async def _keep_telling(self) -> None:
        while True:
            await every_second_or_when(self._changed)
            self._ticks.tell(lambda receiver: self._listener.status_of(_key_of(receiver)))

    def _on_joined(self, receiver: str) -> None:
        """A receiver that has just connected must not wait for the next trade: a touch that still holds is in this."""
        if (tick := self._listener.latest(_key_of(receiver))) is not None:
            self._ticks.send(receiver, tick)

    def _on_left(self, receiver: str) -> None:
        self._loop.call_later(_FORGET_AFTER_S, self._forget_unless_back, receiver)

    def _forget_unless_back(self, receiver: str) -> None:
        key = _key_of(receiver)
        watchers = self._watchers.get(key, set())
        watchers.difference_update([watcher for watcher in watchers if not self._ticks.has(watcher)])
        if not watchers and not self._ticks.has(key) and self._loop.time() - self._asked_at.get(key, 0.0) > _JOINING_S:
            self._listener.unsubscribe(key)
            self._asked_at.pop(key, None)
            self._watchers.pop(key, None)

    # --- silence --------------------------------------------------------------------------------------------------

    async def _keep_asking_the_quiet(self) -> None:
        while True:
            await asyncio.sleep(_QUOTES_EVERY_S)
            quiet, account = self._listener.quiet()[:MOST_AT_ONCE], self._account
            if quiet and account is not None:
                await self._ask(quiet, account)

    async def _ask(self, quiet: list[Instrument], account: FeedAccount) -> None:
        try:
            quotes = await asyncio.to_thread(market_quotes, account.credentials, quiet, **self._where)
        except BrokerError as error:
            log.warning("feed.quotes_failed", reason=type(error).__name__, instruments=len(quiet))
            self._note_inability(error, account)
            return
        for instrument, price, traded_at, _token in quotes:
            if self._listener.on_quote(instrument, price, traded_at):
                key = instrument.key
                log.warning("feed.symbol_silent", instrument=key)
                message = f"{key}: it has traded and no tick came; it is subscribed again"
                self._alerts.alert(0, 0, "symbol_silent", message)

    def _note_inability(self, error: BrokerError, account: FeedAccount) -> None:
        """It may connect, and gets no prices: so it is with Kite's free plan."""
        unable = isinstance(error, BrokerRefused | CredentialsRejected) and not self._proven
        if unable and account == self._account:
            self._try_another_account()

    @property
    def _where(self) -> dict[str, Any]:
        return {"root": self._settings.broker_root(self._broker), "timeout_s": self._settings.order_timeout_s}

    # --- tokens -----------------------------------------------------------------------------------------------------

    async def _keep_confirming(self) -> None:
        while True:
            await every_second_or_when(self._tokens_wanted, _QUOTES_EVERY_S)
            day, account = list_day(self._clock.now()), self._account
            if account is None:
                continue
            wanted = self._listener.unconfirmed(day)
            for start in range(0, len(wanted), MOST_AT_ONCE):
                await self._confirm(wanted[start : start + MOST_AT_ONCE], account, day)

    async def _confirm(self, instruments: list[Instrument], account: FeedAccount, day: date) -> None:
        try:
            tokens = await asyncio.to_thread(market_tokens, account.credentials, instruments, **self._where)
        except BrokerError as error:
            log.warning("feed.tokens_unknown", reason=type(error).__name__, instruments=len(instruments))
            self._listener.without_tokens(instruments)
            self._note_inability(error, account)
            return
        for instrument in instruments:
            token, key = tokens.get(instrument.key), instrument.key
            if not self._listener.on_token(instrument, token, day):
                continue
            log.warning("feed.token_changed", instrument=key, listed=token is not None)
            if token is not None and token != instrument.token:
                self._alerts.alert(0, 0, "token_changed", f"{key}: the broker has given it another token")

    # --- what is published --------------------------------------------------------------------------------------------

    async def _keep_publishing(self) -> None:
        while True:
            await asyncio.sleep(_PUBLISH_EVERY_S)
            states = {number: connections.feed_state(status) for number, status in self._listener.streams().items()}
            with contextlib.suppress(MirrorUnavailable):
                await self._mirror.put_stream(self._broker, states)

    def _router_name(self, key: int | str) -> str:
        return names.router_name(str(key), self._suffix)


def _key_of(receiver: str) -> str:
    """The instrument that a receiver gets ticks of: a router's name is the key itself."""
    return receiver.rpartition(_WATCHES)[2]
