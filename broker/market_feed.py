"""The broker's tick stream: prices in paise, in FULL mode, over a `TickerLink`."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from actors.domain.errors import InvalidValue
from actors.domain.money import round_to_paise
from broker.kite_client import KiteCredentials
from broker.ticker_link import MendedTicker, TickerLink, reactor, run_reactor, tell

__all__ = ["MarketFeed", "run_reactor"]

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
        self._link = TickerLink(
            root,
            on_connected=lambda: self._request(list(self._tokens)),
            on_heard=on_heard,
            on_lost=on_lost,
            on_refused=on_refused,
            prepare=self._prepare,
        )

    def start(self, credentials: KiteCredentials) -> None:
        """Connect with these credentials, in place of an earlier connection."""
        self._link.start(credentials)

    def subscribe(self, tokens: Sequence[int]) -> None:
        """See `TickStream.subscribe`."""
        reactor.callFromThread(self._subscribe, list(tokens))

    def _prepare(self, ticker: MendedTicker) -> None:
        ticker.on_ticks = lambda _ws, ticks: self._ticks(ticks)

    def _subscribe(self, tokens: list[int]) -> None:
        self._tokens.update(tokens)
        if self._link.ticker is not None and self._link.ticker.is_connected():
            self._request(tokens)

    def _request(self, tokens: list[int]) -> None:
        ticker = self._link.ticker
        if ticker is not None and tokens:
            # on_connect comes before the socket may be written to; the reactor's next turn is after it
            reactor.callLater(0, self._send_request, ticker, tokens)

    def _send_request(self, ticker: MendedTicker, tokens: list[int]) -> None:
        if ticker.is_connected():
            ticker.subscribe(tokens)
            ticker.set_mode(ticker.MODE_FULL, tokens)
        elif ticker is self._link.ticker:
            reactor.callLater(0.05, self._send_request, ticker, tokens)

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
            tell(self._on_tick, int(tick["instrument_token"]), price, exchange_time.astimezone())
