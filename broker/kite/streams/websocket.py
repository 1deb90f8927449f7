"""One WebSocket to the broker: `KiteTicker`, with its known faults mended (kite.md §5.7).

* TLS is verified; the stock client accepts any certificate and hands it the access token.
* Pings are sent and a missing pong drops the connection; the stock client never pings.
* A connection that is silent for five seconds is dropped; it reconnects every two seconds, without limit (row J2).
* A proxy that wants a password gets it; the stock client knows proxies, but no passwords.
* An exception in a callback, or a message that makes no sense, would drop the connection; ours are caught and logged.

The Twisted reactor belongs to the process, is shared by all its links, and is never stopped. Its timers follow the
monotonic clock. As Twisted makes it, they follow the wall clock: set forward, it drops every link for a missing pong;
set back, it neither pings nor looks whether a link is silent before the same time has come again.
"""

import json
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from autobahn.twisted.websocket import connectWS
from kiteconnect import KiteTicker
from kiteconnect.ticker import KiteTickerClientProtocol
from twisted.internet import reactor as _reactor
from twisted.internet import ssl, task

from actors.domain.prices.feed_silence import SILENCE_LIMIT_S
from broker.kite.credentials import KiteCredentials
from broker.proxy import Proxy

log = structlog.get_logger(__name__)
reactor: Any = _reactor  # its interface is provided at run time
reactor.seconds = time.monotonic  # before any timer is set

RECONNECT_S = 2.0
"""Row J2: reconnect every two seconds."""

PING_S = 2.0

_CONNECT_S = 5.0
"""An address that swallows packets is given up by then; the stock client waits for 30 s."""

_running = threading.Lock()


class _Protocol(KiteTickerClientProtocol):  # type: ignore[misc] # kiteconnect has no types
    """Asks the proxy for the tunnel as the proxy wants to be asked, and says so when it will not open one."""

    def onPong(self, response: bytes) -> None:  # noqa: N802 - the name is autobahn's
        """Nothing: autobahn looks after its own pings. The stock client does so too, by the wall clock."""

    def startProxyConnect(self) -> None:  # noqa: N802 - the name is autobahn's
        """Instead of autobahn's request, which has no password, and which autobahn logs."""
        self.sendData(self.factory.tunnel_request)

    def failProxyConnect(self, reason: str) -> None:  # noqa: N802 - the name is autobahn's
        """`reason` quotes the proxy."""
        log.warning("ticker.proxy_refused", reason=reason[:100])
        super().failProxyConnect(reason)


class MendedTicker(KiteTicker):  # type: ignore[misc] # kiteconnect has no types
    """KiteTicker with a fixed reconnect interval, pings, verified TLS, and no fear of malformed messages."""

    malformed = 0
    """Messages that made no sense and were dropped."""

    def _create_connection(self, url: str, **options: Any) -> None:
        super()._create_connection(url, **options)
        factory = self.factory
        factory.initialDelay = factory.delay = factory.maxDelay = RECONNECT_S
        factory.factor, factory.jitter, factory.maxRetries = 1.0, 0, None
        # bytes that are no UTF-8 are ours to drop; autobahn would drop the connection
        factory.setProtocolOptions(autoPingInterval=PING_S, autoPingTimeout=PING_S * 2, utf8validateIncoming=False)

    def connect_verified(self, proxy: Proxy | None) -> None:
        """`connect(threaded=True)` with a TLS context that checks the certificate and the host name of the broker.

        Through the proxy it is a tunnel, with TLS inside of it.
        """
        through = None if proxy is None else {"host": proxy.host, "port": proxy.port}
        self._create_connection(
            self.socket_url, useragent=self._user_agent(), proxy=through, headers={"X-Kite-Version": "3"}
        )
        self.factory.protocol = _Protocol
        if proxy is not None:
            self.factory.tunnel_request = proxy.tunnel_request(self.factory.host, self.factory.port)
        host = urlsplit(self.root).hostname or ""
        context = ssl.optionsForClientTLS(host) if self.factory.isSecure else None
        connectWS(self.factory, contextFactory=context, timeout=self.connect_timeout)

    def drop(self) -> None:
        """Cut the connection at once."""
        if self.ws is not None:
            self.ws.dropConnection(abort=True)

    def resubscribe(self) -> None:
        """The owner of the link asks for its instruments itself after each reconnect, and knows which it wants now."""

    def _parse_text_message(self, payload: bytes) -> None:
        try:
            message = json.loads(payload.decode("utf-8"))
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self.drop_message("text")
        elif message.get("type") == "order":
            if self.on_order_update:
                self.on_order_update(self, message.get("data"))
        elif message.get("type") == "error":
            log.warning("ticker.error", message=str(message.get("data"))[:300])

    def _parse_binary(self, frame: bytes) -> list[dict[str, Any]]:
        try:
            ticks: list[dict[str, Any]] = super()._parse_binary(frame)
        except (struct.error, IndexError):
            self.drop_message("binary")
            return []
        return ticks

    def parsed(self, frame: bytes) -> list[dict[str, Any]]:
        """The ticks of a binary message."""
        return self._parse_binary(frame)

    def drop_message(self, kind: str) -> None:
        """Count a message that makes no sense."""
        self.malformed += 1
        log.warning("ticker.malformed", kind=kind, so_far=self.malformed)


@dataclass(frozen=True, slots=True)
class LinkCallbacks:
    """What a link tells, in the reactor's thread; each must return at once.

    `on_connected(ticker)` when messages may be sent, after each (re)connect; `on_heard()` for anything that arrives;
    `on_lost(reason)`; `on_refused()` when the broker does not accept the credentials: the link rests until `start`;
    `on_unreachable()` when an attempt to come back has failed as well, after which the link goes on trying.
    """

    on_connected: Callable[[MendedTicker], None]
    on_lost: Callable[[str], None]
    on_refused: Callable[[], None]
    on_heard: Callable[[], None] | None = None
    on_ticks: Callable[[list[dict[str, Any]]], None] | None = None
    on_order: Callable[[Any], None] | None = None
    on_unreachable: Callable[[], None] | None = None


class TickerLink:
    """Keeps one connection up. `start` and `close` may be called from any thread, as often as one likes."""

    def __init__(self, root: str, callbacks: LinkCallbacks) -> None:
        self._root, self._callbacks = root, callbacks
        self._ticker: MendedTicker | None = None
        self._heard_at = 0.0
        self._watchdog = task.LoopingCall(self._drop_if_silent)
        self._dropped_before = 0

    @property
    def open_ticker(self) -> MendedTicker | None:
        """The connection, if messages may be sent on it. For the reactor's thread."""
        return self._ticker if self._ticker is not None and self._ticker.is_connected() else None

    @property
    def malformed(self) -> int:
        """Messages dropped because they made no sense, over all connections."""
        return self._dropped_before + (self._ticker.malformed if self._ticker is not None else 0)

    def start(self, credentials: KiteCredentials) -> None:
        """Connect with these credentials, in place of an earlier connection."""
        reactor.callFromThread(self._start, credentials)

    def close(self) -> None:
        """Close the connection, and tell nothing more."""
        reactor.callFromThread(self._close)

    def drop_message(self) -> None:
        """Count an order update that makes no sense."""
        if self._ticker is not None:
            self._ticker.drop_message("order update")

    def _start(self, credentials: KiteCredentials) -> None:
        if (replaced := self.open_ticker) is not None:  # what it brought comes no longer
            self._tell(replaced, self._callbacks.on_lost, "its credentials were replaced")
        self._close()
        # the client puts them into the address as they are
        api_key, access_token = (quote(word, safe="") for word in (credentials.api_key, credentials.access_token))
        ticker = MendedTicker(api_key, access_token, root=self._root, connect_timeout=_CONNECT_S)
        callbacks = self._callbacks
        ticker.on_open = lambda _ws: self._opened(ticker)
        ticker.on_message = lambda _ws, _payload, _binary: self._heard(ticker)
        ticker.on_close = lambda _ws, code, reason: self._closed(ticker, code, reason)
        ticker.on_reconnect = lambda _ws, _attempts: self._tell(ticker, callbacks.on_unreachable)
        if callbacks.on_ticks is not None:
            ticker.on_ticks = lambda _ws, ticks: self._tell(ticker, callbacks.on_ticks, ticks)
        if callbacks.on_order is not None:
            ticker.on_order_update = lambda _ws, data: self._tell(ticker, callbacks.on_order, data)
        self._ticker = ticker
        ticker.connect_verified(credentials.proxy)
        self._watchdog.start(1.0, now=False)

    def _close(self) -> None:
        if self._ticker is not None:
            ticker, self._ticker = self._ticker, None
            self._dropped_before += ticker.malformed
            ticker.close()
        if self._watchdog.running:
            self._watchdog.stop()

    def _opened(self, ticker: MendedTicker) -> None:
        if ticker is not self._ticker:  # it was closed in the middle of its handshake, which has it try again
            ticker.stop_retry()
            ticker.drop()
            return
        self._heard_at = time.monotonic()
        self._tell(ticker, self._callbacks.on_connected, ticker)

    def _heard(self, ticker: MendedTicker) -> None:
        self._heard_at = time.monotonic()
        self._tell(ticker, self._callbacks.on_heard)

    def _closed(self, ticker: MendedTicker, code: int | None, reason: object) -> None:
        refused = "(403" in str(reason)
        if refused:
            ticker.stop_retry()
        self._tell(ticker, self._callbacks.on_lost, f"{code} {reason}")
        if refused:
            self._tell(ticker, self._callbacks.on_refused)

    def _tell(self, ticker: MendedTicker, callback: Callable[..., None] | None, *arguments: object) -> None:
        """Call back; an exception that reached KiteTicker would drop the connection (kite.md §5.7)."""
        if callback is None or ticker is not self._ticker:
            return
        try:
            callback(*arguments)
        except Exception:  # whatever one callback breaks on, the others need the connection
            log.exception("feed.callback_failed")

    def _drop_if_silent(self) -> None:
        ticker = self.open_ticker
        if ticker is not None and time.monotonic() - self._heard_at > SILENCE_LIMIT_S:
            log.warning("feed.silent", seconds=SILENCE_LIMIT_S)
            self._heard_at = time.monotonic()
            ticker.drop()


def run_reactor() -> None:
    """Run the process's reactor in a thread of its own, without signal handlers; returns at once.

    Repeated calls do nothing: every part that needs the reactor asks for it.
    """
    if _running.acquire(blocking=False):
        options = {"installSignalHandlers": False}
        threading.Thread(target=reactor.run, kwargs=options, daemon=True, name="feed").start()
