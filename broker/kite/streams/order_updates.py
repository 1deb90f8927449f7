"""The broker's stream of one account: its order updates, and the ticks that are asked for, over one `TickerLink`.

An update is a hint (kite.md §3.5): it may come twice, late, out of order, before the answer to its own request, or
never, and nothing is replayed after a break. So a listener reads the order book after each `on_connected`.
"""

import functools
import struct
from collections.abc import Callable
from typing import Any

from actors.domain.orders.order import OrderReport
from broker.kite.answers.rows import report_of
from broker.kite.credentials import KiteCredentials
from broker.kite.streams.market_feed import RawTick, ask_for_ticks, usable_ticks
from broker.kite.streams.websocket import LinkCallbacks, MendedTicker, TickerLink, reactor


class OrderUpdateStream:
    """Callbacks run in the reactor's thread and must return at once.

    `on_update(report)` for each order update; `on_connected()` after each (re)connect; `on_lost(reason)`;
    `on_refused()` when the broker does not accept the credentials: it rests until `start` is called with new ones;
    `on_heard()` for anything that arrives; `on_ticks(ticks)`.
    """

    def __init__(
        self,
        root: str,
        *,
        on_update: Callable[[OrderReport], None],
        on_connected: Callable[[], None],
        on_refused: Callable[[], None],
        on_lost: Callable[[str], None] = lambda _reason: None,
        on_heard: Callable[[], None] | None = None,
        on_ticks: Callable[[list[RawTick]], None] | None = None,
    ) -> None:
        self._on_update = on_update
        self._tokens: frozenset[int] = frozenset()

        def connected(ticker: MendedTicker) -> None:
            ask_for_ticks(ticker, list(self._tokens))
            on_connected()

        callbacks = LinkCallbacks(
            on_connected=connected,
            on_lost=on_lost,
            on_refused=on_refused,
            on_heard=on_heard,
            on_ticks=None if on_ticks is None else lambda rows: on_ticks(usable_ticks(rows)),
            on_order=self._take,
        )
        self._link = TickerLink(root, callbacks)

    @property
    def malformed(self) -> int:
        """Messages that were dropped because they made no sense."""
        return self._link.malformed

    def start(self, credentials: KiteCredentials) -> None:
        """Connect with these credentials, in place of an earlier connection."""
        self._link.start(credentials)

    def subscribe(self, tokens: frozenset[int]) -> None:
        """Have the ticks of exactly these instruments sent, in FULL mode, now and after each reconnect."""
        before, self._tokens = self._tokens, tokens
        reactor.callFromThread(self._change, before, tokens)

    def _change(self, before: frozenset[int], tokens: frozenset[int]) -> None:
        if (ticker := self._link.open_ticker) is None:
            return
        ask_for_ticks(ticker, sorted(tokens - before))
        if gone := sorted(before - tokens):
            ticker.unsubscribe(gone)

    def close(self) -> None:
        """Close the stream; it tells nothing more."""
        self._link.close()

    def _take(self, row: Any) -> None:
        try:
            report = report_of(row)
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
            self._link.drop_message()
            return
        self._on_update(report)


_FULL_PACKET_BYTES = 184
_A_MESSAGE = struct.pack(">HHi", 1, _FULL_PACKET_BYTES, 257).ljust(4 + _FULL_PACKET_BYTES, b"\1")
"""One tick of an instrument of the NSE, as Kite packs it (kite.md §5.2)."""


def rehearse_message(then: Callable[[], object]) -> None:
    """Parse a message in the reactor's thread as if it had arrived, and call back there."""
    reactor.callFromThread(_parse, then)


def _parse(then: Callable[[], object]) -> None:
    usable_ticks(_parser().parsed(_A_MESSAGE))
    then()


@functools.cache
def _parser() -> MendedTicker:
    return MendedTicker("", "")
