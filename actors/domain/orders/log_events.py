"""The words of `order_logs`: what a line is about, and what an exit is for (row H4).

The database keeps them and the timeline compares them: a word may be added, never changed. Reasons are sentences for
people, and nothing may be decided by one.
"""

from enum import StrEnum

from actors.domain.orders.order import OrderEvent, OrderStage


class LogWord(StrEnum):
    """What a line of `order_logs` is about, but for the attempts to place an order: `OrderEvent` names those."""

    BUY_TRIGGERED = "BUY_TRIGGERED"
    SELL_TRIGGERED = "SELL_TRIGGERED"
    STOPLOSS_TRIGGERED = "STOPLOSS_TRIGGERED"

    ORDER_PENDING = "ORDER_PENDING"
    ORDER_OPEN = "ORDER_OPEN"
    ORDER_PARTIALLY_FILLED = "ORDER_PARTIALLY_FILLED"
    ORDER_COMPLETE = "ORDER_COMPLETE"
    ORDER_CANCELLED = "ORDER_CANCELLED"
    ORDER_REJECTED = "ORDER_REJECTED"

    ORDER_FAILED = "ORDER_FAILED"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    ORDER_QUEUED = "ORDER_QUEUED"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    MISSED_EXECUTION = "MISSED_EXECUTION"
    MARKET_CLOSED = "MARKET_CLOSED"
    PRICE_BELOW_STOP = "PRICE_BELOW_STOP"
    SYMBOL_NOT_LISTED = "SYMBOL_NOT_LISTED"

    EXIT_CONTINUED = "EXIT_CONTINUED"
    EXIT_RECALLED = "EXIT_RECALLED"
    EXIT_FAILS_OFTEN = "EXIT_FAILS_OFTEN"
    EXIT_CHASED = "EXIT_CHASED"
    EXIT_RESTS = "EXIT_RESTS"
    EXIT_CANCELLED = "EXIT_CANCELLED"
    NO_BUYERS = "NO_BUYERS"
    NO_BUYERS_RESOLVED = "NO_BUYERS_RESOLVED"

    STOP_LOSS_MOVED = "STOP_LOSS_MOVED"
    FEED_LOST = "FEED_LOST"
    FEED_RESTORED = "FEED_RESTORED"
    TICKS_STALE = "TICKS_STALE"
    CLOSED_OUTSIDE = "CLOSED_OUTSIDE"
    CLOSED_BY_TRADER = "CLOSED_BY_TRADER"
    HELD_BY_TRADER = "HELD_BY_TRADER"
    RESTORED = "RESTORED"
    RUN_ENDED = "RUN_ENDED"


class ExitCause(StrEnum):
    """What an exit is sent for. Its `OrderEvent` calls a timed exit and one that the trader asked for by one name."""

    STOPLOSS = "STOPLOSS"
    SELL = "SELL"
    """Its sell time has come."""
    STOP = "STOP"
    """The trader pressed STOP."""

    @property
    def event(self) -> OrderEvent:
        """The event of the order that is sent for it."""
        return OrderEvent.STOPLOSS if self is ExitCause.STOPLOSS else OrderEvent.SELL


TRIGGERED = {
    OrderEvent.BUY: LogWord.BUY_TRIGGERED,
    OrderEvent.SELL: LogWord.SELL_TRIGGERED,
    OrderEvent.STOPLOSS: LogWord.STOPLOSS_TRIGGERED,
}
"""The word for the decision to send an order."""

_REPORTED = {
    OrderStage.PENDING: LogWord.ORDER_PENDING,
    OrderStage.OPEN: LogWord.ORDER_OPEN,
    OrderStage.COMPLETE: LogWord.ORDER_COMPLETE,
    OrderStage.CANCELLED: LogWord.ORDER_CANCELLED,
    OrderStage.REJECTED: LogWord.ORDER_REJECTED,
}
REPORTS = frozenset({*_REPORTED.values(), LogWord.ORDER_PARTIALLY_FILLED})
"""The words for what an order has become at the broker."""


def reported(stage: OrderStage, filled_quantity: int) -> LogWord:
    """The word for an order that has come so far."""
    if stage is OrderStage.OPEN and filled_quantity:
        return LogWord.ORDER_PARTIALLY_FILLED
    return _REPORTED[stage]
