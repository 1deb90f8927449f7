"""The walk of an order through Kite's statuses, from the broker's entry to the exchange's queue."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from broker.paper.orders import order_form
from broker.paper.orders.instrument_rules import OUT_OF_BAND
from broker.paper.orders.order import RESTING, OrderStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.paper.accounts.records import Records
    from broker.paper.base.clock import Clock
    from broker.paper.base.config import PaperConfig
    from broker.paper.book.matcher import Matcher
    from broker.paper.orders.order import Order, OrderTerms


class Walk:
    """Takes live orders from one status to the next, ``stage_seconds`` each.

    ``closed_reason`` says why the exchange would not take an order with these terms at the moment, if it would not.
    """

    def __init__(
        self,
        config: PaperConfig,
        clock: Clock,
        records: Records,
        matcher: Matcher,
        closed_reason: Callable[[OrderTerms], str | None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._records = records
        self._matcher = matcher
        self._closed_reason = closed_reason

    def go_on(self, order: Order, extra_seconds: float = 0) -> None:
        """Let an order take its next step when its time has come."""
        delay = self._config.stage_seconds + extra_seconds
        self._clock.call_later(delay, partial(self._step, order, order.status))

    def resume(self, order: Order) -> None:
        """After a replay: let an order go on from where it stood."""
        if order.status in RESTING:
            self._matcher.rest(order)
        elif not order.is_terminal:
            self.go_on(order)

    def _step(self, order: Order, expected: OrderStatus) -> None:
        # An exchange-side cancel can end an order while its next step is scheduled.
        if order.status is expected:
            self._steps[expected](self, order)

    def _validate(self, order: Order) -> None:
        self._records.advance(order, OrderStatus.VALIDATION_PENDING)
        self.go_on(order)

    def _register(self, order: Order) -> None:
        reason = order.effects.reject_message or self._closed_reason(order.terms)
        if reason is None and order.terms.order_type == "MARKET":
            converted = self._matcher.as_limit(order.terms)
            if converted is None:
                reason = OUT_OF_BAND
            else:
                order.terms, order.system_tags = converted
        if reason is not None:
            order.status_message = order.status_message_raw = reason
            self._records.advance(order, OrderStatus.REJECTED, update="REJECTED")
            return
        self._records.advance(order, OrderStatus.OPEN_PENDING)
        self.go_on(order)

    def _open(self, order: Order) -> None:
        now = self._clock.now_ns()
        order.exchange_order_id = f"1{int(order.order_id) % 10**15:015d}"
        order.exchange_ns = now
        delay = order.effects.fill_delay_seconds
        if delay:
            order.fill_not_before_ns = now + int(delay * 1e9)
            self._clock.call_later(delay, partial(self._matcher.match, order))
        self._rest(order)

    def _modify_pending(self, order: Order) -> None:
        self._records.advance(order, OrderStatus.MODIFY_PENDING)
        self.go_on(order)

    def _modified(self, order: Order) -> None:
        changed, order.pending_terms = order.pending_terms or order.terms, None
        reason = self._closed_reason(changed)
        if reason is None and changed.order_type == "MARKET":
            converted = self._matcher.as_limit(changed)
            if converted is None:
                reason = OUT_OF_BAND
            else:
                changed, order.system_tags = converted
        if reason is not None:
            # Answered 200 and refused afterwards: the former terms hold, and the reason stands in the row.
            order.status_message = order.status_message_raw = reason
            self._rest(order)
            return
        order.terms = changed
        # Parked and capped orders wait for a modify, so that a chase by the client ends them.
        if order.effects.cancel_after_seconds is None:
            order.fill_cap, order.fill_not_before_ns = None, 0
        self._records.advance(order, OrderStatus.MODIFIED, update="UPDATE")
        self.go_on(order)

    def _back_to_rest(self, order: Order) -> None:
        if order.remaining:
            self._rest(order)
        else:
            self._records.advance(order, OrderStatus.COMPLETE, update="COMPLETE")

    def _cancelled(self, order: Order) -> None:
        self._records.advance(order, OrderStatus.CANCELLED, update="CANCEL")

    def _rest(self, order: Order) -> None:
        waits = order.terms.order_type in order_form.TRIGGERED and not order.triggered
        self._records.advance(order, OrderStatus.TRIGGER_PENDING if waits else OrderStatus.OPEN)
        self._matcher.rest(order)
        self._matcher.match(order)
        if order.terms.validity == "IOC" and order.status is OrderStatus.OPEN:
            self._matcher.unrest(order)
            self._records.advance(order, OrderStatus.CANCELLED, update="CANCEL")

    # What a live order does next, by the status it is in; resting orders wait for the market instead.
    _steps: ClassVar[dict[OrderStatus, Callable[[Walk, Order], None]]] = {
        OrderStatus.RECEIVED: _validate,
        OrderStatus.VALIDATION_PENDING: _register,
        OrderStatus.OPEN_PENDING: _open,
        OrderStatus.MODIFY_VALIDATION_PENDING: _modify_pending,
        OrderStatus.MODIFY_PENDING: _modified,
        OrderStatus.MODIFIED: _back_to_rest,
        OrderStatus.CANCEL_PENDING: _cancelled,
    }
