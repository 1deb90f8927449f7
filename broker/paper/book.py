"""The order book: takes orders, walks them through Kite's statuses, fills them at market prices."""

from __future__ import annotations

import dataclasses
import secrets
from collections import defaultdict
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from broker.paper import matching, order_form
from broker.paper.clock import ist_date
from broker.paper.errors import (
    input_error,
    order_error,
    too_many_requests,
    unknown_order,
)
from broker.paper.funds import Funds
from broker.paper.order import NO_EFFECTS, RESTING, Order, OrderEffects, OrderStatus, OrderTerms, Trade
from broker.paper.portfolio import Portfolio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from broker.paper.accounts import Account
    from broker.paper.clock import Clock
    from broker.paper.config import PaperConfig
    from broker.paper.funds import PriceBoard
    from broker.paper.instruments import Instrument, InstrumentList
    from broker.paper.ledger import Journal

IN_TRANSIT = "Order cannot be {} as it is being processed. Try later."
FINAL = "Order cannot be {} as it is already {}."
EXCHANGE_CANCEL = "Order cancelled by the exchange."


class OrderBook:
    """Orders, trades and portfolios of all accounts. Single-threaded: call it from one event loop only.

    Guarantee: an order id is returned only after the order is in the journal, so an acknowledged order is never
    lost by a restart; ``resume`` takes up every order where the journal left it.
    """

    def __init__(
        self,
        config: PaperConfig,
        clock: Clock,
        journal: Journal,
        instruments: InstrumentList,
        prices: PriceBoard,
        on_update: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._journal = journal
        self._instruments = instruments
        self._prices = prices
        self._on_update = on_update
        self._funds = Funds(config, instruments, prices)
        self._orders: dict[str, Order] = {}
        self._by_user: defaultdict[str, list[Order]] = defaultdict(list)
        self._trades: defaultdict[str, list[Trade]] = defaultdict(list)
        self._portfolios: defaultdict[str, Portfolio] = defaultdict(Portfolio)
        self._resting: defaultdict[int, dict[str, Order]] = defaultdict(dict)
        self._last_id = 0
        self._trade_count = 0

    # -- reading -------------------------------------------------------------------------------------------

    def orders(self, user_id: str, *, hidden_too: bool = False) -> list[Order]:
        """Today's orders of an account and those still live, oldest first.

        The book resets every trading day. Orders under a late-visibility fault appear when their time has come;
        the control API asks for ``hidden_too``.
        """
        now = self._clock.now_ns()
        today = ist_date(now)
        return [
            order
            for order in self._by_user[user_id]
            if hidden_too
            or (order.visible_from_ns <= now and (not order.is_terminal or ist_date(order.placed_ns) == today))
        ]

    def order(self, user_id: str, order_id: str) -> Order:
        """One visible order of the account; 404 otherwise."""
        order = self._orders.get(order_id)
        if order is None or order.user_id != user_id or order.visible_from_ns > self._clock.now_ns():
            raise unknown_order()
        return order

    def find(self, order_id: str) -> Order | None:
        """Any order, hidden or not."""
        return self._orders.get(order_id)

    def trades(self, user_id: str, *, earlier_too: bool = False) -> list[Trade]:
        """Today's fills of an account, oldest first."""
        today = ist_date(self._clock.now_ns())
        return [t for t in self._trades[user_id] if earlier_too or ist_date(t.filled_ns) == today]

    def portfolio(self, user_id: str) -> Portfolio:
        """The account's positions and holdings as of today."""
        portfolio = self._portfolios[user_id]
        portfolio.roll(ist_date(self._clock.now_ns()))
        return portfolio

    def available_margin(self, account: Account) -> int:
        """Money free for new orders, in paise."""
        return self._funds.available(account, self.portfolio(account.user_id), self._live(account))

    # -- requests ------------------------------------------------------------------------------------------

    def place(self, account: Account, terms: OrderTerms, effects: OrderEffects = NO_EFFECTS) -> Order:
        """Accept an order that passed the form checks, or refuse it for lack of money or shares."""
        self._funds.check(account, terms, self.portfolio(account.user_id), self._live(account))
        now = self._clock.now_ns()
        self._last_id = max(self._last_id + 1, now)  # 19 digits, like Kite's, and never repeated
        instrument = order_form.tradable(terms.key, self._instruments)
        order = Order(
            order_id=str(self._last_id),
            user_id=account.user_id,
            instrument_token=instrument.token,
            placed_ns=now,
            updated_ns=now,
            guid=secrets.token_hex(9),
            terms=terms,
            effects=effects,
            fill_cap=effects.fill_cap,
        )
        order.remember()
        self._index(order)
        self._record(order)
        self._continue(order, effects.stalled_seconds)
        return order

    def modify(self, account: Account, order_id: str, form: Mapping[str, str]) -> Order:
        """Begin to change a resting order; the new terms hold once it is MODIFIED."""
        order = self._resting_order(account, order_id, "modified")
        if order.modifications >= self._config.max_modifications:
            raise too_many_requests("Maximum allowed order modifications exceeded.")
        instrument = order_form.tradable(order.terms.key, self._instruments)
        changed = order_form.read_changes(order.terms, form, instrument)
        if changed.quantity <= order.filled_quantity:
            raise input_error("Invalid `quantity`. It should be more than the filled quantity.")
        order.pending_terms = changed
        order.modifications += 1
        self._unrest(order)
        self._advance(order, OrderStatus.MODIFY_VALIDATION_PENDING)
        self._continue(order)
        return order

    def cancel(self, account: Account, order_id: str) -> Order:
        """Begin to cancel a resting order; what it filled so far stays filled."""
        order = self._resting_order(account, order_id, "cancelled")
        self._unrest(order)
        self._advance(order, OrderStatus.CANCEL_PENDING)
        self._continue(order)
        return order

    def cancel_by_exchange(self, order: Order) -> None:
        """End a live order from the other side, as exchanges do for price bands and square-offs."""
        if order.is_terminal:
            raise order_error(FINAL.format("cancelled", order.status.lower()))
        self._unrest(order)
        order.status_message = EXCHANGE_CANCEL
        self._advance(order, OrderStatus.CANCELLED, update="CANCEL")

    def on_tick(self, token: int) -> None:
        """A new price: wake and fill what it reaches, first come first served."""
        for order in list(self._resting[token].values()):
            self._match(order)

    # -- replay --------------------------------------------------------------------------------------------

    def open_account(self, account: Account) -> None:
        """Put the shares an account starts with into its demat account, at their reference price."""
        for key, quantity in account.holdings.items():
            instrument = order_form.tradable(key, self._instruments)
            self._portfolios[account.user_id].add_holding(
                instrument.exchange,
                instrument.symbol,
                instrument.token,
                quantity,
                quantity * instrument.reference_paise,
            )

    def restore_order(self, record: dict[str, Any], row: dict[str, Any]) -> None:
        """Take one state of an order, and the snapshot it added, back from the journal."""
        known = self._orders.get(record["order_id"])
        order = Order.from_record(record, row, known)
        self._last_id = max(self._last_id, int(order.order_id))
        if known is None:
            self._index(order)
        else:
            self._orders[order.order_id] = order
            rows = self._by_user[order.user_id]
            rows[rows.index(known)] = order

    def restore_trade(self, record: dict[str, Any]) -> None:
        """Take one fill back from the journal."""
        self._book_trade(Trade(**record))

    def resume(self) -> None:
        """After a replay: let every live order go on from where it stood."""
        for order in self._orders.values():
            if order.status in RESTING:
                self._resting[order.instrument_token][order.order_id] = order
                self._await_exchange_cancel(order)
            elif not order.is_terminal:
                self._continue(order)

    # -- the walk ------------------------------------------------------------------------------------------

    def _continue(self, order: Order, extra_seconds: float = 0) -> None:
        delay = self._config.stage_seconds + extra_seconds
        self._clock.call_later(delay, partial(self._step, order, order.status))

    def _step(self, order: Order, expected: OrderStatus) -> None:
        # An exchange-side cancel can end an order while its next step is scheduled.
        if order.status is expected:
            self._steps[expected](self, order)

    def _validate(self, order: Order) -> None:
        self._advance(order, OrderStatus.VALIDATION_PENDING)
        self._continue(order)

    def _register(self, order: Order) -> None:
        if order.effects.reject_message is not None:
            order.status_message = order.status_message_raw = order.effects.reject_message
            self._advance(order, OrderStatus.REJECTED, update="REJECTED")
            return
        if order.terms.order_type == "MARKET":
            self._convert_to_limit(order)
        self._advance(order, OrderStatus.OPEN_PENDING)
        self._continue(order)

    def _open(self, order: Order) -> None:
        now = self._clock.now_ns()
        order.exchange_order_id = f"1{int(order.order_id) % 10**15:015d}"
        order.exchange_ns = now
        delay = order.effects.fill_delay_seconds
        if delay:
            order.fill_not_before_ns = now + int(delay * 1e9)
            self._clock.call_later(delay, partial(self._match, order))
        self._rest(order)

    def _modify_pending(self, order: Order) -> None:
        self._advance(order, OrderStatus.MODIFY_PENDING)
        self._continue(order)

    def _modified(self, order: Order) -> None:
        if order.pending_terms is not None:
            order.terms, order.pending_terms = order.pending_terms, None
        if order.terms.order_type == "MARKET":
            self._convert_to_limit(order)
        # Parked and capped orders wait for a modify, so that a chase by the client ends them.
        if order.effects.cancel_after_seconds is None:
            order.fill_cap, order.fill_not_before_ns = None, 0
        self._advance(order, OrderStatus.MODIFIED, update="UPDATE")
        self._continue(order)

    def _cancelled(self, order: Order) -> None:
        self._advance(order, OrderStatus.CANCELLED, update="CANCEL")

    def _rest(self, order: Order) -> None:
        waits = order.terms.order_type in order_form.TRIGGERED
        self._advance(order, OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN)
        self._resting[order.instrument_token][order.order_id] = order
        self._await_exchange_cancel(order)
        self._match(order)
        if order.terms.validity == "IOC" and order.status is OrderStatus.OPEN:
            self._unrest(order)
            self._advance(order, OrderStatus.CANCELLED, update="CANCEL")

    # What a live order does next, by the status it is in; resting orders wait for the market instead.
    _steps: ClassVar[dict[OrderStatus, Callable[[OrderBook, Order], None]]] = {
        OrderStatus.RECEIVED: _validate,
        OrderStatus.VALIDATION_PENDING: _register,
        OrderStatus.OPEN_PENDING: _open,
        OrderStatus.MODIFY_VALIDATION_PENDING: _modify_pending,
        OrderStatus.MODIFY_PENDING: _modified,
        OrderStatus.MODIFIED: _rest,
        OrderStatus.CANCEL_PENDING: _cancelled,
    }

    def _match(self, order: Order) -> None:
        last = self._prices.last_paise(order.instrument_token)
        if order.status is OrderStatus.TRIGGER_PENDING and matching.is_triggered(order.terms, last):
            self._trigger(order)
        if order.status is not OrderStatus.OPEN:
            return
        liquidity = self._prices.liquidity(order.instrument_token)
        quantity = matching.fill_quantity(order, last, liquidity, self._clock.now_ns())
        if quantity:
            self._fill(order, quantity, last)

    def _trigger(self, order: Order) -> None:
        if order.terms.order_type == "SL-M":
            self._convert_to_limit(order)
        self._advance(order, OrderStatus.OPEN, update="UPDATE")
        self._await_exchange_cancel(order)

    def _await_exchange_cancel(self, order: Order) -> None:
        delay = order.effects.cancel_after_seconds
        if delay is None or order.status is not OrderStatus.OPEN:
            return
        if order.filled_quantity >= (order.effects.fill_cap or 0):
            self._clock.call_later(delay, partial(self._cancel_if_live, order))

    def _cancel_if_live(self, order: Order) -> None:
        # A cancel by the client, or a second timer of the same order, may have come first.
        if not order.is_terminal:
            self.cancel_by_exchange(order)

    def _fill(self, order: Order, quantity: int, price_paise: int) -> None:
        self._prices.take_liquidity(order.instrument_token, quantity)
        now = self._clock.now_ns()
        trade = Trade(
            trade_id=str(10_000_001 + self._trade_count),
            order_id=order.order_id,
            exchange_order_id=order.exchange_order_id or "",
            user_id=order.user_id,
            exchange=order.terms.exchange,
            symbol=order.terms.symbol,
            instrument_token=order.instrument_token,
            product=order.terms.product,
            transaction_type=order.terms.transaction_type,
            quantity=quantity,
            price_paise=price_paise,
            filled_ns=now,
        )
        order.filled_quantity += quantity
        order.filled_value_paise += quantity * price_paise
        if order.fill_cap is not None:
            order.fill_cap -= quantity
        self._book_trade(trade)
        if self._journal.is_kept:
            self._journal.append("trade", asdict(trade))
        if order.remaining:
            self._advance(order, OrderStatus.OPEN, update="UPDATE")
            self._await_exchange_cancel(order)
        else:
            self._unrest(order)
            self._advance(order, OrderStatus.COMPLETE, update="COMPLETE")

    # -- helpers -------------------------------------------------------------------------------------------

    def _convert_to_limit(self, order: Order) -> None:
        instrument = self._instrument(order)
        last = self._prices.last_paise(instrument.token)
        price, tags = matching.as_limit(order.terms, instrument, last)
        order.terms = dataclasses.replace(order.terms, order_type="LIMIT", price_paise=price, market_protection=0)
        order.system_tags = tags

    def _instrument(self, order: Order) -> Instrument:
        return order_form.tradable(order.terms.key, self._instruments)

    def _advance(self, order: Order, status: OrderStatus, update: str | None = None) -> None:
        order.advance(status, self._clock.now_ns())
        self._record(order)
        # Kite sends updates for what happens to an order, not for its placement.
        if update:
            self._on_update(order.user_id, order.update_message(update))

    def _record(self, order: Order) -> None:
        if self._journal.is_kept:
            self._journal.append("order", {"order": order.to_record(), "row": order.history[-1]})

    def _index(self, order: Order) -> None:
        self._orders[order.order_id] = order
        self._by_user[order.user_id].append(order)

    def _unrest(self, order: Order) -> None:
        self._resting[order.instrument_token].pop(order.order_id, None)

    def _book_trade(self, trade: Trade) -> None:
        self._trade_count += 1
        self._trades[trade.user_id].append(trade)
        self._portfolios[trade.user_id].apply(trade)

    def _live(self, account: Account) -> list[Order]:
        return [order for order in self._by_user[account.user_id] if not order.is_terminal]

    def _resting_order(self, account: Account, order_id: str, verb: str) -> Order:
        order = self.order(account.user_id, order_id)
        if order.is_terminal:
            raise order_error(FINAL.format(verb, order.status.lower()))
        if order.status not in RESTING:
            raise order_error(IN_TRANSIT.format(verb))
        return order
