"""One WebSocket to the broker: `KiteTicker`, with its known faults mended (kite.md §5, reliability finding 8 and 9).

* TLS is verified; the stock client accepts any certificate and hands it the access token.
* Pings are sent and a missing pong drops the connection; the stock client never pings.
* A connection that is silent for five seconds is dropped; reconnecting goes on every two seconds, for ever (row J2).
* An exception in a callback would drop the connection; ours are caught and logged.

The Twisted reactor belongs to the process and is never stopped; any number of links share it.
"""

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import structlog
from autobahn.twisted.websocket import connectWS
from kiteconnect import KiteTicker
from twisted.internet import reactor as _reactor
from twisted.internet import ssl, task

from actors.domain.stop_loss import SILENCE_LIMIT
from broker.kite_client import KiteCredentials

log = structlog.get_logger(__name__)
reactor: Any = _reactor  # its interface is provided at run time

RECONNECT_S = 2.0
"""Row J2: reconnect every two seconds."""

PING_S = 2.0


class MendedTicker(KiteTicker):  # type: ignore[misc]
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


class TickerLink:
    """A connection that is kept up. All but `start` and `stop` runs in the reactor's thread; hooks must return at once.

    `on_refused()`: the broker does not accept the credentials; nothing is tried again until `start` gets new ones.
    """

    def __init__(
        self,
        root: str,
        *,
        on_connected: Callable[[], None],
        on_heard: Callable[[], None],
        on_lost: Callable[[str], None],
        on_refused: Callable[[], None],
        prepare: Callable[[MendedTicker], None],
    ) -> None:
        """`prepare` gives a new ticker the hooks that are its user's own (`on_ticks`, `on_order_update`)."""
        self._root, self._prepare = root, prepare
        self._on_connected, self._on_heard, self._on_lost, self._on_refused = (
            on_connected,
            on_heard,
            on_lost,
            on_refused,
        )
        self.ticker: MendedTicker | None = None
        self._heard_at = 0.0
        self._watchdog = task.LoopingCall(self._drop_if_silent)

    def start(self, credentials: KiteCredentials) -> None:
        """Connect with these credentials, in place of an earlier connection."""
        reactor.callFromThread(self._start, credentials)

    def stop(self) -> None:
        """Close the connection for good."""
        reactor.callFromThread(self._stop)

    def _start(self, credentials: KiteCredentials) -> None:
        self._close()
        ticker = MendedTicker(credentials.api_key, credentials.access_token, root=self._root)
        ticker.on_connect = lambda _ws, _response: self._connected()
        ticker.on_message = lambda _ws, _payload, _binary: self._heard()
        ticker.on_close = lambda _ws, code, reason: self._closed(code, reason)
        self._prepare(ticker)
        self.ticker = ticker
        ticker.connect_verified()
        if not self._watchdog.running:
            self._watchdog.start(1.0, now=False)

    def _stop(self) -> None:
        self._close()
        if self._watchdog.running:
            self._watchdog.stop()

    def _close(self) -> None:
        ticker, self.ticker = self.ticker, None
        if ticker is not None:
            ticker.on_close = None
            ticker.stop_retry()
            ticker.close()

    def _connected(self) -> None:
        self._heard_at = time.monotonic()
        tell(self._on_connected)

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        tell(self._on_heard)

    def _closed(self, code: int | None, reason: object) -> None:
        tell(self._on_lost, f"{code} {reason}")
        if "403" in str(reason) and self.ticker is not None:
            self.ticker.stop_retry()
            tell(self._on_refused)

    def _drop_if_silent(self) -> None:
        ticker = self.ticker
        if ticker is None or not ticker.is_connected():
            return
        if time.monotonic() - self._heard_at > SILENCE_LIMIT.total_seconds():
            log.warning("ticker.silent", seconds=SILENCE_LIMIT.total_seconds())
            self._heard_at = time.monotonic()
            ticker.ws.dropConnection(abort=True)


def tell(callback: Callable[..., None], *arguments: object) -> None:
    """Call back; an exception that reached KiteTicker would drop the connection (kite.md §5)."""
    try:
        callback(*arguments)
    except Exception:
        log.exception("ticker.callback_failed")


_running = threading.Lock()


def run_reactor() -> None:
    """Run the process's reactor in a thread of its own, without signal handlers; returns at once, however often."""
    if _running.acquire(blocking=False):
        options = {"installSignalHandlers": False}
        threading.Thread(target=reactor.run, kwargs=options, daemon=True, name="ticker").start()
