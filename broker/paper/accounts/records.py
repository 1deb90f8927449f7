"""What the exchange keeps of orders, fills and portfolios: in memory, and in the journal."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from broker.paper.accounts.judge import Opening
from broker.paper.accounts.portfolio import Holding, Portfolio, Position
from broker.paper.base.clock import ist_date
from broker.paper.base.errors import unavailable
from broker.paper.orders.order import Order, Trade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from broker.paper.accounts.ledger import Journal
    from broker.paper.accounts.portfolio import PositionKey
    from broker.paper.base.clock import Clock
    from broker.paper.orders.order import OrderStatus


class Records:
    """Orders, trades and portfolios of all accounts; every change goes to the journal."""

    def __init__(self, clock: Clock, journal: Journal, on_update: Callable[[str, dict[str, Any]], None]) -> None:
        self._clock = clock
        self._journal = journal
        self._on_update = on_update
        self.orders: dict[str, Order] = {}
        self.by_user: defaultdict[str, list[Order]] = defaultdict(list)
        self.trades: defaultdict[str, list[Trade]] = defaultdict(list)
        self.events: defaultdict[str, list[Trade | Opening]] = defaultdict(list)  # in the order they happened
        self._portfolios: defaultdict[str, Portfolio] = defaultdict(Portfolio)
        self._last_id = 0
        self.trade_count = 0

    def next_id(self) -> int:
        """An order id: 19 digits, like Kite's, and never repeated."""
        self._last_id = max(self._last_id + 1, self._clock.now_ns())
        return self._last_id

    def portfolio(self, user_id: str) -> Portfolio:
        """The account's positions and holdings as of today."""
        portfolio = self._portfolios[user_id]
        portfolio.roll(ist_date(self._clock.now_ns()))
        return portfolio

    def working(self, user_id: str) -> list[Order]:
        """Orders of an account to which something can still happen, oldest first."""
        return [order for order in self.by_user[user_id] if not order.is_terminal]

    def admit(self, order: Order) -> None:
        """Take a new order in once it is in the journal; a 503 when the journal cannot be written."""
        try:
            if self._journal.is_kept:
                self._journal.append("order", _entry(order))
        except OSError:
            raise unavailable() from None
        self._index(order)

    def advance(self, order: Order, status: OrderStatus, update: str | None = None) -> None:
        """Take an order one step on. ``update`` is what its owner's sockets hear of it, if anything."""
        order.advance(status, self._clock.now_ns())
        if self._journal.is_kept:
            self._journal.append_sooner_or_later("order", _entry(order))
        # Kite sends updates for what happens to an order, not for its placement.
        if update:
            self._on_update(order.user_id, order.update_message(update))

    def book(self, trade: Trade) -> None:
        """Add one fill."""
        self._take_in(trade)
        if self._journal.is_kept:
            self._journal.append_sooner_or_later("trade", asdict(trade))

    def set_holdings(self, user_id: str, holdings: Iterable[Holding]) -> None:
        """Let an account hold exactly these shares, as if it had held them all day."""
        held, now = list(holdings), self._clock.now_ns()
        self._set_holdings(user_id, held, now)
        self._keep_portfolio(user_id, "holdings", [asdict(holding) for holding in held], now)

    def set_positions(self, user_id: str, positions: Iterable[Position]) -> None:
        """Let an account have exactly these positions."""
        opened, now = list(positions), self._clock.now_ns()
        self._set_positions(user_id, opened, now)
        self._keep_portfolio(user_id, "positions", [asdict(position) for position in opened], now)

    def add_holding(self, user_id: str, holding: Holding) -> None:
        """Put shares into the demat account that an account is opened with."""
        portfolio = self._portfolios[user_id]
        portfolio.add_holding(
            holding.exchange, holding.symbol, holding.instrument_token, holding.quantity, holding.value
        )
        key = (holding.exchange, holding.symbol, "CNC")
        self.events[user_id].append(Opening(0, key, position=0, holding=holding.quantity))

    # -- replay --------------------------------------------------------------------------------------------

    def restore_order(self, record: dict[str, Any], row: dict[str, Any]) -> None:
        """Take one state of an order, and the snapshot it added, back from the journal."""
        known = self.orders.get(record["order_id"])
        order = Order.from_record(record, row, known)
        self._last_id = max(self._last_id, int(order.order_id))
        if known is None:
            self._index(order)
        else:
            self.orders[order.order_id] = order
            rows = self.by_user[order.user_id]
            rows[rows.index(known)] = order

    def restore_trade(self, record: dict[str, Any]) -> None:
        """Take one fill back from the journal."""
        self._take_in(Trade(**record))

    def restore_portfolio(self, record: dict[str, Any]) -> None:
        """Take set holdings or positions back from the journal."""
        user_id, at_ns = record["user_id"], record["at_ns"]
        if record["what"] == "holdings":
            self._set_holdings(user_id, [Holding(**row) for row in record["rows"]], at_ns)
        else:
            self._set_positions(user_id, [Position(**row) for row in record["rows"]], at_ns)

    # -- helpers -------------------------------------------------------------------------------------------

    def _index(self, order: Order) -> None:
        self.orders[order.order_id] = order
        self.by_user[order.user_id].append(order)

    def _take_in(self, trade: Trade) -> None:
        self.trade_count += 1
        self.trades[trade.user_id].append(trade)
        self.events[trade.user_id].append(trade)
        self._portfolios[trade.user_id].apply(trade)

    def _set_holdings(self, user_id: str, holdings: list[Holding], at_ns: int) -> None:
        portfolio = self._portfolios[user_id]
        portfolio.roll(ist_date(at_ns))
        keys = {(exchange, symbol, "CNC") for exchange, symbol in portfolio.holdings}
        portfolio.holdings = {(holding.exchange, holding.symbol): holding for holding in holdings}
        keys |= {(holding.exchange, holding.symbol, "CNC") for holding in holdings}
        self._note(user_id, portfolio, keys, at_ns)

    def _set_positions(self, user_id: str, positions: list[Position], at_ns: int) -> None:
        portfolio = self._portfolios[user_id]
        portfolio.roll(ist_date(at_ns))
        keys = set(portfolio.positions)
        portfolio.positions = {(p.exchange, p.symbol, p.product): p for p in positions}
        self._note(user_id, portfolio, keys | set(portfolio.positions), at_ns)

    def _note(self, user_id: str, portfolio: Portfolio, keys: set[PositionKey], at_ns: int) -> None:
        for key in sorted(keys):
            exchange, symbol, product = key
            held = portfolio.holdings.get((exchange, symbol)) if product == "CNC" else None
            position = portfolio.position_quantity(*key)
            self.events[user_id].append(Opening(at_ns, key, position, held.quantity if held else 0))

    def _keep_portfolio(self, user_id: str, what: str, rows: list[dict[str, Any]], at_ns: int) -> None:
        record = {"user_id": user_id, "what": what, "rows": rows, "at_ns": at_ns}
        self._journal.append_sooner_or_later("portfolio", record)


def _entry(order: Order) -> dict[str, Any]:
    return {"order": order.to_record(), "row": order.history[-1]}
