"""The broker's order updates of one account: fire and forget, twice, late or out of order (kite.md §3).

Whoever uses them must read the order book as well; they only make the news come sooner.
"""

from collections.abc import Callable
from typing import Any

import structlog

from actors.domain.order import OrderReport
from broker.kite_client import KiteCredentials
from broker.kite_mapping import report_of
from broker.ticker_link import MendedTicker, TickerLink, tell

log = structlog.get_logger(__name__)


class OrderUpdateStream:
    """A connection that carries order updates and nothing else. Callbacks run in the reactor's thread.

    `on_connected()` comes after every (re)connect: what happened before it is not replayed.
    """

    def __init__(
        self,
        root: str,
        *,
        on_update: Callable[[OrderReport], None],
        on_connected: Callable[[], None],
        on_refused: Callable[[], None],
    ) -> None:
        self._on_update = on_update
        self._link = TickerLink(
            root,
            on_connected=on_connected,
            on_heard=lambda: None,
            on_lost=lambda reason: log.info("order_updates.lost", reason=reason),
            on_refused=on_refused,
            prepare=self._prepare,
        )

    def start(self, credentials: KiteCredentials) -> None:
        """Connect with these credentials, in place of an earlier connection."""
        self._link.start(credentials)

    def stop(self) -> None:
        """Close the connection for good."""
        self._link.stop()

    def _prepare(self, ticker: MendedTicker) -> None:
        ticker.on_order_update = lambda _ws, data: tell(self._take, data)

    def _take(self, data: Any) -> None:
        try:
            report = report_of(data)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            log.warning("order_updates.unreadable", error=repr(error))
            return
        self._on_update(report)
