"""Resting orders and the market: wakes stops, fills what a price reaches, first come first served."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from broker.paper.base.errors import order_error
from broker.paper.orders import fill_rules, order_form
from broker.paper.orders.order import OrderStatus, Trade

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.paper.accounts.funds import PriceBoard
    from broker.paper.accounts.records import Records
    from broker.paper.base.clock import Clock
    from broker.paper.base.instruments import InstrumentList
    from broker.paper.orders.instrument_rules import Rulebook
    from broker.paper.orders.order import Order, OrderTerms

FINAL = "Order cannot be {} as it is already {}."
EXCHANGE_CANCEL = "Order cancelled by the exchange."


class Matcher:
    """The exchange's queue per instrument. ``may_trade`` says whether an instrument trades at the moment."""

    def __init__(
        self,
        records: Records,
        clock: Clock,
        instruments: InstrumentList,
        prices: PriceBoard,
        rules: Rulebook,
        may_trade: Callable[[int], bool],
    ) -> None:
        self._records = records
        self._clock = clock
        self._instruments = instruments
        self._prices = prices
        self._rules = rules
        self._may_trade = may_trade
        self._resting: defaultdict[int, dict[str, Order]] = defaultdict(dict)

    def on_tick(self, token: int) -> None:
        """A new price: wake and fill what it reaches."""
        self._rules.refill(token, self._prices.last_paise(token))
        for order in list(self._resting[token].values()):
            self.match(order)

    def resting(self, token: int) -> list[Order]:
        """Orders of an instrument that wait for the market, in the order of the queue."""
        return list(self._resting[token].values())

    def rest(self, order: Order) -> None:
        """Put an order that is OPEN or TRIGGER PENDING at the end of its queue."""
        self._resting[order.instrument_token][order.order_id] = order
        self._await_exchange_cancel(order)

    def unrest(self, order: Order) -> None:
        """Take an order out of its queue; its place is lost."""
        self._resting[order.instrument_token].pop(order.order_id, None)

    def match(self, order: Order) -> None:
        """Wake or fill one resting order as far as the market allows."""
        if not self._may_trade(order.instrument_token):
            return
        last = self._prices.last_paise(order.instrument_token)
        if order.status is OrderStatus.TRIGGER_PENDING and fill_rules.is_triggered(order.terms, last):
            self._trigger(order)
        self._fill_at(order, last)

    def auction(self, token: int, price_paise: int) -> None:
        """Match the collected orders of an instrument at one price."""
        for order in self.resting(token):
            self._fill_at(order, price_paise)

    def _fill_at(self, order: Order, price_paise: int) -> None:
        if order.status is not OrderStatus.OPEN:
            return
        liquidity = self._liquidity(order, price_paise)
        quantity = fill_rules.fill_quantity(order, price_paise, liquidity, self._clock.now_ns())
        if quantity:
            self._prices.take_liquidity(order.instrument_token, quantity)
            self._rules.take(order.instrument_token, quantity, is_buy=order.terms.is_buy)
            self._fill(order, quantity, price_paise)

    def _fill(self, order: Order, quantity: int, price_paise: int) -> None:
        """Book a fill of an OPEN order."""
        terms = order.terms
        trade = Trade(
            trade_id=str(10_000_001 + self._records.trade_count),
            order_id=order.order_id,
            exchange_order_id=order.exchange_order_id or "",
            user_id=order.user_id,
            exchange=terms.exchange,
            symbol=terms.symbol,
            instrument_token=order.instrument_token,
            product=terms.product,
            transaction_type=terms.transaction_type,
            quantity=quantity,
            price_paise=price_paise,
            filled_ns=self._clock.now_ns(),
        )
        order.filled_quantity += quantity
        order.filled_value_paise += quantity * price_paise
        if order.fill_cap is not None:
            order.fill_cap -= quantity
        self._records.book(trade)
        if order.remaining:
            self._records.advance(order, OrderStatus.OPEN, update="UPDATE")
            self._await_exchange_cancel(order)
        else:
            self.unrest(order)
            self._records.advance(order, OrderStatus.COMPLETE, update="COMPLETE")

    def as_limit(self, terms: OrderTerms) -> tuple[OrderTerms, list[str]] | None:
        """The LIMIT order that a protected one turns into, with its system tags; ``None``: the rules reject it."""
        instrument = order_form.tradable(terms.key, self._instruments)
        price, tags = fill_rules.as_limit(terms, instrument, self._prices.last_paise(instrument.token))
        allowed = self._rules.check_protected(instrument.token, price)
        if allowed is None:
            return None
        return dataclasses.replace(terms, order_type="LIMIT", price_paise=allowed, market_protection=0), tags

    def cancel_by_exchange(self, order: Order, message: str = EXCHANGE_CANCEL) -> None:
        """End a live order from the other side, as exchanges do for price bands and square-offs."""
        if order.is_terminal:
            raise order_error(FINAL.format("cancelled", order.status.lower()))
        self.unrest(order)
        order.status_message = message
        self._records.advance(order, OrderStatus.CANCELLED, update="CANCEL")

    def _liquidity(self, order: Order, last_paise: int) -> int | None:
        token = order.instrument_token
        others = self._rules.available(token, last_paise, is_buy=order.terms.is_buy)
        limits = [limit for limit in (self._prices.liquidity(token), others) if limit is not None]
        return min(limits, default=None)

    def _trigger(self, order: Order) -> None:
        if order.terms.order_type == "SL-M":
            converted = self.as_limit(order.terms)
            if converted is None:
                self.cancel_by_exchange(order)
                return
            order.terms, order.system_tags = converted
        order.triggered = True
        self._records.advance(order, OrderStatus.OPEN, update="UPDATE")
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
