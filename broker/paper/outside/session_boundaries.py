"""What happens at the boundaries of the trading session, by the exchange's clock.

Tokens are flushed, the day's prices begin again, stops that were not triggered die before the closing auction, the
auction matches, intraday positions are squared off at the cut-off, and what is left of the day's orders is cancelled.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING

from broker.paper.base.clock import IST, NANOSECONDS, ist
from broker.paper.orders.order import OrderStatus
from broker.paper.orders.trading_session import (
    AUCTION_MATCH_AT,
    DAY_ENDED,
    HOURS,
    NO_STOPS,
    REFERENCE_FROM,
    Group,
    Phase,
)
from broker.paper.outside.square_off import close_positions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from broker.paper.base.clock import Cancellable
    from broker.paper.base.instruments import Instrument
    from broker.paper.outside.venue import Venue

SQUARE_OFF_PATH = "session"
# A boundary must be behind the clock when it is acted upon, whatever was rounded.
MARGIN_SECONDS = 0.001


class SessionBoundaries:
    """Keeps one timer for the next boundary. ``sync`` after every change of the session or the clock."""

    def __init__(self, exchange: Venue) -> None:
        self._exchange = exchange
        self._timer: Cancellable | None = None
        self._before_auction: dict[int, tuple[int, int]] = {}  # token -> turnover and volume when the averaging began

    def sync(self) -> None:
        """Wait for the next boundary; what lies behind is not made up for."""
        self.stop()
        if self._exchange.session.settings.on:
            self._wait_for_next(self._exchange.session.clock.now_ns())

    def stop(self) -> None:
        """Wait for nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def next_boundary(self, after_ns: int) -> tuple[int, list[Callable[[], None]]]:
        """When the next boundary is, epoch ns, and what happens at it."""
        settings, day = self._exchange.session.settings, ist(after_ns).date()
        while True:
            actions = self._actions(is_trading_day=settings.is_trading_day(day))
            for at in sorted(actions):
                due_ns = int(datetime.combine(day, at, IST).timestamp()) * NANOSECONDS
                if due_ns > after_ns:
                    return due_ns, actions[at]
            day += timedelta(days=1)

    def _wait_for_next(self, after_ns: int) -> None:
        due_ns, actions = self.next_boundary(after_ns)
        seconds = (due_ns - self._exchange.session.clock.now_ns()) / NANOSECONDS + MARGIN_SECONDS
        self._timer = self._exchange.session.clock.call_later(seconds, partial(self._run, due_ns, actions))

    def _run(self, due_ns: int, actions: list[Callable[[], None]]) -> None:
        # The next boundary first: an action that fails must not be the last one.
        self._wait_for_next(due_ns)
        for action in actions:
            action()

    def _actions(self, *, is_trading_day: bool) -> dict[time, list[Callable[[], None]]]:
        settings = self._exchange.session.settings
        actions: defaultdict[time, list[Callable[[], None]]] = defaultdict(list)
        if settings.token_flush is not None:
            actions[settings.token_flush].append(self._flush_tokens)
        if not is_trading_day:
            return dict(actions)
        actions[HOURS[Group.SHARES][0][0]].append(self._begin_day)
        actions[REFERENCE_FROM].append(self._begin_averaging)
        if settings.square_off:
            for group, at in settings.mis_cutoff.items():
                actions[at].append(partial(self._square_off, group))
        for group, hours in HOURS.items():
            for at, phase in hours:
                match phase:
                    case Phase.CONTINUOUS:
                        actions[at].append(partial(self._open, group))
                    case Phase.REFERENCE:
                        actions[at].append(partial(self._end_continuous, group))
                    case Phase.CLOSED:
                        actions[at].append(partial(self._close, group))
        actions[AUCTION_MATCH_AT].insert(0, self._match_auction)
        return dict(actions)

    def _of(self, group: Group) -> Iterator[Instrument]:
        session = self._exchange.session
        return (i for i in self._exchange.instruments if not i.is_index and session.group(i) is group)

    def _flush_tokens(self) -> None:
        for account in self._exchange.accounts:
            self._exchange.accounts.expire_token(account)
            self._exchange.hub.hang_up(account.user_id)

    def _begin_day(self) -> None:
        self._exchange.session.reference.clear()
        self._exchange.market.begin_day()

    def _open(self, group: Group) -> None:
        for instrument in self._of(group):
            self._exchange.book.on_tick(instrument.token)

    def _begin_averaging(self) -> None:
        for instrument in self._of(Group.FNO_SHARES):
            tick = self._exchange.market.tick(instrument.token)
            self._before_auction[instrument.token] = (tick.turnover, tick.volume)

    def _end_continuous(self, group: Group) -> None:
        for instrument in self._of(group):
            tick = self._exchange.market.tick(instrument.token)
            turnover, volume = self._before_auction.pop(instrument.token, (0, 0))
            traded = tick.volume - volume
            reference = (tick.turnover - turnover) // traded if traded > 0 else tick.last
            self._exchange.session.reference[instrument.token] = reference
            for order in self._exchange.book.resting(instrument.token):
                if order.status is OrderStatus.TRIGGER_PENDING:
                    self._exchange.book.cancel_by_exchange(order, NO_STOPS)

    def _match_auction(self) -> None:
        for instrument in self._of(Group.FNO_SHARES):
            price = self._exchange.market.last_paise(instrument.token)
            band = self._exchange.session.auction_band(instrument.token)
            if band is not None:
                price = min(max(price, band[0]), band[1])
            self._exchange.book.auction(instrument.token, price)

    def _square_off(self, group: Group) -> None:
        tokens = {instrument.token for instrument in self._of(group)}
        for account in list(self._exchange.accounts):
            close_positions(self._exchange, account, "MIS", SQUARE_OFF_PATH, tokens.__contains__)

    def _close(self, group: Group) -> None:
        tokens = {instrument.token for instrument in self._of(group)}
        for account in list(self._exchange.accounts):
            for order in self._exchange.book.working(account.user_id):
                if order.instrument_token in tokens:
                    self._exchange.book.cancel_by_exchange(order, DAY_ENDED)
