"""The broker's tick stream, over as many connections as its instruments need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import structlog

from actors.domain.errors import InvalidValue
from actors.domain.money import Paise, round_to_paise
from actors.ports.prices import TooManyInstruments
from broker.kite.credentials import KiteCredentials
from broker.kite.streams.websocket import RECONNECT_S, LinkCallbacks, MendedTicker, TickerLink, reactor, run_reactor

__all__ = ["RECONNECT_S", "MarketFeed", "RawTick", "run_reactor"]

log = structlog.get_logger(__name__)

MOST_INSTRUMENTS, MOST_CONNECTIONS = 3000, 3
"""Kite takes 3000 instruments on a connection and three connections of an API key (kite.md §5.1)."""


class RawTick(NamedTuple):
    """A tick as the broker sent it: price in paise; the exchange's stamps of its last trade and of the message, both
    timezone-aware."""

    token: int
    price: Paise
    traded_at: datetime
    sent_at: datetime


@dataclass(slots=True)
class _Connection:
    link: TickerLink
    tokens: set[int] = field(default_factory=set)
    """Changed in the caller's thread, read in the reactor's: both see a whole set."""


class MarketFeed:
    """`TickStream` over KiteTickers. Its methods are for one thread.

    Callbacks run in the reactor's thread and must return at once; connections are numbered from 0. `on_ticks(ticks)`;
    `on_heard(connection)` for anything that arrives; `on_lost(connection, reason)`; `on_refused()` when the broker
    does not accept the credentials: get new ones and `start` again; `on_unreachable()` for each attempt to come back
    that has failed: it goes on trying.
    """

    def __init__(
        self,
        root: str,
        *,
        on_ticks: Callable[[list[RawTick]], None],
        on_heard: Callable[[int], None],
        on_lost: Callable[[int, str], None],
        on_refused: Callable[[], None],
        on_unreachable: Callable[[], None] = lambda: None,
        most_instruments: int = MOST_INSTRUMENTS,
    ) -> None:
        self._root, self._most_instruments = root, most_instruments
        self._on_ticks, self._on_heard, self._on_lost, self._on_refused = on_ticks, on_heard, on_lost, on_refused
        self._on_unreachable = on_unreachable
        self._credentials: KiteCredentials | None = None
        self._connections: list[_Connection] = []
        self._connect()

    def start(self, credentials: KiteCredentials) -> None:
        """Connect with these credentials, in place of earlier connections."""
        self._credentials = credentials
        for connection in self._connections:
            connection.link.start(credentials)

    def subscribe(self, token: int) -> int:
        place = self._place_of(token)
        connection = self._connections[place]
        connection.tokens = connection.tokens | {token}
        reactor.callFromThread(self._request, connection.link, [token])
        return place

    def unsubscribe(self, token: int) -> None:
        for connection in self._connections:
            if token in connection.tokens:
                connection.tokens = connection.tokens - {token}
                reactor.callFromThread(_forget, connection.link, token)

    def _place_of(self, token: int) -> int:
        free = None
        for place, connection in enumerate(self._connections):
            if token in connection.tokens:
                return place
            if free is None and len(connection.tokens) < self._most_instruments:
                free = place
        if free is not None:
            return free
        if len(self._connections) == MOST_CONNECTIONS:
            raise TooManyInstruments(f"the feed has its {MOST_CONNECTIONS * self._most_instruments} instruments")
        return self._connect()

    def _connect(self) -> int:
        place = len(self._connections)
        callbacks = LinkCallbacks(
            on_connected=lambda ticker: ask_for_ticks(ticker, list(connection.tokens)),
            on_lost=lambda reason: self._on_lost(place, reason),
            on_refused=self._on_refused,
            on_heard=lambda: self._on_heard(place),
            on_ticks=self._ticks,
            on_unreachable=self._on_unreachable,
        )
        connection = _Connection(TickerLink(self._root, callbacks))
        self._connections.append(connection)
        if self._credentials is not None:
            connection.link.start(self._credentials)
        return place

    @staticmethod
    def _request(link: TickerLink, tokens: Sequence[int]) -> None:
        if (ticker := link.open_ticker) is not None:
            ask_for_ticks(ticker, list(tokens))

    def _ticks(self, ticks: list[dict[str, Any]]) -> None:
        if usable := usable_ticks(ticks):
            self._on_ticks(usable)


def usable_ticks(rows: list[dict[str, Any]]) -> list[RawTick]:
    """What the client made of a message, in our units, without what says nothing."""
    return [tick for row in rows if (tick := _raw_tick(row)) is not None]


def _raw_tick(row: dict[str, Any]) -> RawTick | None:
    exchange_time = row.get("exchange_timestamp")
    if exchange_time is None:
        return None  # only FULL mode carries a time; without one a tick may be yesterday's
    try:
        # the client gives naive host-local time (kite.md §5.6); an index has no trades of its own
        sent_at = exchange_time.astimezone()
        traded_at = row["last_trade_time"].astimezone() if row.get("last_trade_time") else sent_at
        return RawTick(int(row["instrument_token"]), round_to_paise(row["last_price"]), traded_at, sent_at)
    except (InvalidValue, ValueError, OverflowError) as error:
        log.warning("feed.tick_unusable", token=row.get("instrument_token"), reason=str(error))
        return None


def ask_for_ticks(ticker: MendedTicker, tokens: list[int]) -> None:
    """Subscribe the instruments in FULL mode, the only one with a time."""
    if tokens:
        ticker.subscribe(tokens)
        ticker.set_mode(ticker.MODE_FULL, tokens)


def _forget(link: TickerLink, token: int) -> None:
    if (ticker := link.open_ticker) is not None:
        ticker.unsubscribe([token])
