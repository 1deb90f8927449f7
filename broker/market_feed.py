"""The broker's tick stream: `KiteTicker`, with its known faults mended (kite.md §5, reliability finding 8 and 9).

* TLS is verified; the stock client accepts any certificate and hands it the access token.
* Pings are sent and a missing pong drops the connection; the stock client never pings.
* A connection that is silent for five seconds is dropped; reconnecting goes on every two seconds, for ever (row J2).
* An exception in a callback would drop the connection; ours are caught and logged.

The Twisted reactor belongs to the process and is never stopped: one process holds one feed.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import structlog
from autobahn.twisted.websocket import connectWS
from kiteconnect import KiteTicker
from twisted.internet import reactor as _reactor
from twisted.internet import ssl, task

from actors.domain.errors import InvalidValue
from actors.domain.money import round_to_paise
from actors.domain.stop_loss import SILENCE_LIMIT
from broker.kite_client import KiteCredentials

log = structlog.get_logger(__name__)
reactor: Any = _reactor  # its interface is provided at run time

RECONNECT_S = 2.0
"""Row J2: reconnect every two seconds."""

PING_S = 2.0

TickCallback = Callable[[int, int, datetime], None]


class _MendedTicker(KiteTicker):  # type: ignore[misc]
    """KiteTicker with a fixed reconnect interval, pings, and verified TLS."""

    def _create_connection(self, url: str, **options: Any) -> None:
        super()._create_connection(url, **options)
        factory = self.factory
        factory.initialDelay = factory.delay = factory.maxDelay = RECONNECT_S
        factory.factor, factory.jitter, factory.maxRetries = 1.0, 0, None
        factory.setProtocolOptions(autoPingInterval=PING_S, autoPingTimeout=PING_S * 2)

    def connect_verified(self) -> None:
        """`connect(threaded=True)` with a TLS context that checks the certificate and the host name."""
        self._create_connection(
            self.socket_url, useragent=self._user_agent(), proxy=None, headers={"X-Kite-Version": "3"}
        )
        host = urlsplit(self.root).hostname or ""
        context = ssl.optionsForClientTLS(host) if self.factory.isSecure else None
        connectWS(self.factory, contextFactory=context, timeout=self.connect_timeout)


class MarketFeed:
    """`TickStream` over one KiteTicker. Callbacks run in the reactor's thread and must return at once.

    `on_tick(token, price in paise, exchange time)`, `on_heard()` for anything that arrives, `on_lost(reason)`;
    `on_refused()` when the broker does not accept the credentials: get new ones and `start` again.
    """

    def __init__(
        self,
        root: str,
        *,
        on_tick: TickCallback,
        on_heard: Callable[[], None],
        on_lost: Callable[[str], None],
        on_refused: Callable[[], None],
    ) -> None:
        self._root = root
        self._on_tick, self._on_heard, self._on_lost, self._on_refused = on_tick, on_heard, on_lost, on_refused
        self._ticker: _MendedTicker | None = None
        self._tokens: set[int] = set()
        self._heard_at = 0.0
        self._watchdog: task.LoopingCall | None = None

    def start(self, credentials: KiteCredentials) -> None:
        """Connect with these credentials, in place of an earlier connection."""
        reactor.callFromThread(self._start, credentials)

    def subscribe(self, tokens: Sequence[int]) -> None:
        """See `TickStream.subscribe`."""
        reactor.callFromThread(self._subscribe, list(tokens))

    def _start(self, credentials: KiteCredentials) -> None:
        if self._ticker is not None:
            self._ticker.on_close = None
            self._ticker.close()
        ticker = _MendedTicker(credentials.api_key, credentials.access_token, root=self._root)
        ticker.on_connect = lambda _ws, _response: self._connected()
        ticker.on_message = lambda _ws, _payload, _binary: self._heard()
        ticker.on_ticks = lambda _ws, ticks: self._ticks(ticks)
        ticker.on_close = lambda _ws, code, reason: self._closed(code, reason)
        self._ticker = ticker
        ticker.connect_verified()
        if self._watchdog is None:
            self._watchdog = task.LoopingCall(self._drop_if_silent)
            self._watchdog.start(1.0, now=False)

    def _connected(self) -> None:
        self._heard_at = time.monotonic()
        self._request(list(self._tokens))

    def _subscribe(self, tokens: list[int]) -> None:
        self._tokens.update(tokens)
        if self._ticker is not None and self._ticker.is_connected():
            self._request(tokens)

    def _request(self, tokens: list[int]) -> None:
        ticker = self._ticker
        if ticker is not None and tokens:
            # on_connect comes before the socket may be written to; the reactor's next turn is after it
            reactor.callLater(0, self._send_request, ticker, tokens)

    def _send_request(self, ticker: "_MendedTicker", tokens: list[int]) -> None:
        if ticker.is_connected():
            ticker.subscribe(tokens)
            ticker.set_mode(ticker.MODE_FULL, tokens)
        elif ticker is self._ticker:
            reactor.callLater(0.05, self._send_request, ticker, tokens)

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        self._tell(self._on_heard)

    def _ticks(self, ticks: list[dict[str, Any]]) -> None:
        for tick in ticks:
            exchange_time = tick.get("exchange_timestamp")
            if exchange_time is None:
                continue  # only FULL mode carries a time; without one a tick may be yesterday's
            try:
                price = round_to_paise(tick["last_price"])
            except InvalidValue:
                continue
            # the client gives naive host-local time (kite.md §5)
            self._tell(self._on_tick, int(tick["instrument_token"]), price, exchange_time.astimezone())

    def _closed(self, code: int | None, reason: object) -> None:
        self._tell(self._on_lost, f"{code} {reason}")
        if "403" in str(reason) and self._ticker is not None:
            self._ticker.stop_retry()
            self._tell(self._on_refused)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call back; an exception that reached KiteTicker would drop the connection (kite.md §5)."""
        try:
            callback(*arguments)
        except Exception:
            log.exception("feed.callback_failed")

    def _drop_if_silent(self) -> None:
        ticker = self._ticker
        if ticker is None or not ticker.is_connected():
            return
        if time.monotonic() - self._heard_at > SILENCE_LIMIT.total_seconds():
            log.warning("feed.silent", seconds=SILENCE_LIMIT.total_seconds())
            self._heard_at = time.monotonic()
            ticker.ws.dropConnection(abort=True)


def run_reactor() -> None:
    """Run the process's reactor in a thread of its own, without signal handlers; returns at once. Call it once."""
    options = {"installSignalHandlers": False}
    threading.Thread(target=reactor.run, kwargs=options, daemon=True, name="feed").start()
