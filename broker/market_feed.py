"""The broker's tick stream, over a `TickerLink`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog

from actors.domain.errors import InvalidValue
from actors.domain.money import round_to_paise
from broker.kite_order_client import KiteCredentials
from broker.ticker_link import RECONNECT_S, LinkCallbacks, MendedTicker, TickerLink, reactor, run_reactor

__all__ = ["RECONNECT_S", "MarketFeed", "run_reactor"]

log = structlog.get_logger(__name__)

TickCallback = Callable[[int, int, datetime], None]


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
        self._on_tick = on_tick
        self._tokens: set[int] = set()
        callbacks = LinkCallbacks(
            on_connected=lambda ticker: self._request(ticker, list(self._tokens)),
            on_lost=on_lost,
            on_refused=on_refused,
            on_heard=on_heard,
            on_ticks=self._ticks,
        )
        self._link = TickerLink(root, callbacks)

    def start(self, credentials: KiteCredentials) -> None:
        """Connect with these credentials, in place of an earlier connection."""
        self._link.start(credentials)

    def subscribe(self, tokens: Sequence[int]) -> None:
        """See `TickStream.subscribe`."""
        reactor.callFromThread(self._subscribe, list(tokens))

    def _subscribe(self, tokens: list[int]) -> None:
        self._tokens.update(tokens)
        if (ticker := self._link.open_ticker) is not None:
            self._request(ticker, tokens)

    def _request(self, ticker: MendedTicker, tokens: list[int]) -> None:
        if tokens:
            ticker.subscribe(tokens)
            ticker.set_mode(ticker.MODE_FULL, tokens)

    def _ticks(self, ticks: list[dict[str, Any]]) -> None:
        for tick in ticks:
            exchange_time = tick.get("exchange_timestamp")
            if exchange_time is None:
                continue  # only FULL mode carries a time; without one a tick may be yesterday's
            try:
                price = round_to_paise(tick["last_price"])
            except InvalidValue:
                continue
            try:
                # the client gives naive host-local time (kite.md §5)
                self._on_tick(int(tick["instrument_token"]), price, exchange_time.astimezone())
            except Exception:
                log.exception("feed.callback_failed")
