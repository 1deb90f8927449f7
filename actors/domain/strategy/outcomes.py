"""What the way into a position and the way out of it share: how an order is undone, reported and followed, what a
failure shows, how a broker that does not answer is asked, how moves of the stop-loss are logged, and how a run ends.

Functions take a state and return (state, decisions), like `machine.step`.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from actors.domain.money import Paise, to_rupees
from actors.domain.orders import log_events
from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import FailureKind, Order, OrderEvent
from actors.domain.prices.stop_move_log import StopMoveLog
from actors.domain.strategy.decisions import (
    CancelOrder,
    CancelTimers,
    Decision,
    EndRun,
    LogEvent,
    ProbeBroker,
    RaiseAlert,
    SendOrder,
    SetTimer,
    WithdrawOrder,
)
from actors.domain.strategy.events import Timer
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail, StrategyState

Step = tuple[StrategyState, list[Decision]]

CLOSED_OUTSIDE = "Position was closed outside TradeActors"
"""What a run says whose shares were sold behind the engine's back."""

PROBE_INTERVAL = timedelta(seconds=2)
"""Between the looks at a broker that did not answer, or that refused the access token (row H3)."""

_PROBES_OFTEN = 150
"""Looks at a broker that does not answer, every two seconds, before they become rare."""
_RARE_PROBES = 5

FAILURE_STATUS = {
    FailureKind.REFUSED: (RunStatus.FAILED, StatusDetail.ORDER_REJECTED),
    FailureKind.EXHAUSTED: (RunStatus.FAILED, StatusDetail.ORDER_FAILED),
    FailureKind.UNREACHABLE: (RunStatus.PAUSED, StatusDetail.BROKER_UNREACHABLE),
    FailureKind.SESSION_EXPIRED: (RunStatus.PAUSED, StatusDetail.SESSION_EXPIRED),
    FailureKind.NOTHING_TO_SELL: (RunStatus.FAILED, StatusDetail.CLOSED_OUTSIDE),
    FailureKind.BUDGET_USED_UP: (RunStatus.FAILED, StatusDetail.ORDER_BUDGET_USED_UP),
    FailureKind.HALTED: (RunStatus.PAUSED, StatusDetail.ENTRIES_HALTED),
    FailureKind.ACCOUNT_SHORT: (RunStatus.FAILED, StatusDetail.ACCOUNT_SHORT),
    FailureKind.MISSED: (RunStatus.FAILED, StatusDetail.MISSED_EXECUTION),
    FailureKind.MARKET_CLOSED: (RunStatus.FAILED, StatusDetail.MARKET_CLOSED),
    FailureKind.FORBIDDEN: (RunStatus.STOPPED, StatusDetail.ENTRIES_FORBIDDEN),
}


def cancel_or_withdraw(order: Order) -> list[Decision]:
    """Undo what can be undone of a working order: cancel it, or send nothing more for it while it has no id."""
    if not order.live:
        return []
    if order.order_id is None:
        return [WithdrawOrder(order.intent.id)]
    return [CancelOrder(order.intent.id, order.order_id)]


def follow_adopted(before: Order, order: Order) -> list[Decision]:
    """Have an order followed that another incarnation has sent: its end is reported to that one, not to us."""
    if before.sent or before.order_id is not None or not order.live:
        return []
    return [SendOrder(order.intent, look_up_first=True, order_id=order.order_id)]


def report_log(before: Order, after: Order) -> list[Decision]:
    """The line of `order_logs` for what is new about an order (row H4)."""
    if (before.stage, before.filled_quantity, before.order_id) == (after.stage, after.filled_quantity, after.order_id):
        return []
    return [
        LogEvent(
            log_events.reported(after.stage, after.filled_quantity),
            after.reason,
            after.intent.id,
            after.order_id,
            after.stage,
            after.filled_quantity,
            after.average_price if after.filled_quantity else None,
        )
    ]


def probe(state: StrategyState, now: datetime) -> Step:
    """Ask whether the broker is back, the more rarely the longer it has been away."""
    asked = replace(state, probes=state.probes + 1)
    return asked, [ProbeBroker(), SetTimer(Timer.RETRY, now + _probe_pause(asked))]


def _probe_pause(state: StrategyState) -> timedelta:
    return PROBE_INTERVAL if state.probes < _PROBES_OFTEN else PROBE_INTERVAL * _RARE_PROBES


def end(state: StrategyState, now: datetime) -> Step:
    """The run is over. What it says about itself is final."""
    position = state.position
    message, detail, status = state.message, state.detail, RunStatus.STOPPED
    if detail is StatusDetail.NEEDS_CONFIRMATION:
        pass  # only the trader can say whether it was sold
    elif state.closed_outside:
        message, detail = CLOSED_OUTSIDE, StatusDetail.CLOSED_OUTSIDE
    elif position.bought:
        detail = StatusDetail.STOPPED_BY_USER if state.stop_requested else StatusDetail.NONE
        message = "STOP-LOSS Triggered" if state.exit_event is OrderEvent.STOPLOSS else f"Sold {position.sold}"
    elif state.status is RunStatus.FAILED:
        status = RunStatus.FAILED
    ended = replace(
        state,
        phase=Phase.ENDED,
        status=status,
        detail=detail,
        message=message,
        terminated_at=now,
    )
    decisions: list[Decision] = [CancelTimers()]
    if position.open_quantity < 0:
        oversold = f"{-position.open_quantity} more shares were sold than bought; buy them back by hand"
        decisions.append(RaiseAlert("oversold", oversold))
    decisions.append(LogEvent(LogWord.RUN_ENDED, message, quantity=position.sold, price=position.sell_price))
    return ended, [*decisions, EndRun(manual=state.stop_requested)]


def log_move(state: StrategyState, decisions: list[Decision], now: datetime) -> Step:
    """Log the move that has no line yet, once it is due, or before anything else is logged of the run.

    Also when the timers are forgotten: its own is among them.
    """
    known = state.move_log.level
    others = any(isinstance(decision, LogEvent | SendOrder | EndRun | CancelTimers) for decision in decisions)
    if known is None or (state.move_log.next_line_at(now) is not None and not others):
        return state, decisions
    logged = replace(state, move_log=StopMoveLog(at=now))
    if known == state.stop_loss:
        return logged, decisions
    at = next((n for n, decision in enumerate(decisions) if isinstance(decision, LogEvent)), len(decisions))
    return logged, [*decisions[:at], move_line(known, state.stop_loss), *decisions[at:]]


def move_line(before: Paise, after: Paise) -> LogEvent:
    """The line about a move of the stop-loss; a level of 0 will be reckoned from the fill."""
    return LogEvent(LogWord.STOP_LOSS_MOVED, f"{_level(before)} to {_level(after)}")


def _level(stop_loss: Paise) -> str:
    return f"₹{to_rupees(stop_loss)}" if stop_loss else "a share of the fill"
