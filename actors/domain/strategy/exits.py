"""The way out of a position: every cause competes for the one current EXIT intent, and none gives up before flat.

Functions take a state and return (state, decisions), like `machine.step`, which alone calls them.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from actors.domain.orders.log_events import TRIGGERED, ExitCause, LogWord
from actors.domain.orders.order import FailureKind, Order, OrderEvent
from actors.domain.session import LateExit, TriggerVerdict, trigger_verdict
from actors.domain.strategy import exit_retries
from actors.domain.strategy.decisions import (
    ArmIntent,
    CancelTimers,
    Decision,
    LogEvent,
    RaiseAlert,
    SendOrder,
    SetTimer,
    WatchPrice,
)
from actors.domain.strategy.events import Timer
from actors.domain.strategy.outcomes import FAILURE_STATUS, Step, cancel_or_withdraw, end, probe
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail, StrategyState

EXIT_FAILURE_LIMIT = 3
"""Exits in a row that the broker may end without a fill before the run says that its exit failed."""

PROBED = frozenset({FailureKind.UNREACHABLE, FailureKind.SESSION_EXPIRED, FailureKind.HALTED})
"""Failures that are over when the broker answers for the account again: the exit goes out at that moment."""


def timed_exit(state: StrategyState, now: datetime) -> Step:
    """The sell time has come, or has been missed: on its day the position may still be sold, later it is held."""
    due = state.run.sell_at
    if trigger_verdict(due, now, state.run.missed_grace) is not TriggerVerdict.MISSED:
        late_ms = int((now - due) / timedelta(milliseconds=1))
        return begin_exit(state, ExitCause.SELL, f"{late_ms} ms after its time")
    reason = f"missed execution: SELL was due at {due.isoformat()}"
    missed: list[Decision] = [LogEvent(LogWord.MISSED_EXECUTION, reason), RaiseAlert("missed_execution", reason)]
    same_session = now.astimezone(due.tzinfo).date() == due.date()
    if state.run.late_exit is LateExit.SELL and same_session:
        exiting, decisions = begin_exit(state, ExitCause.SELL, reason)
        return exiting, decisions + missed
    held = replace(
        state,
        detail=StatusDetail.MISSED_EXECUTION,
        message="Missed execution – the sell time passed, the position is held under its stop-loss",
    )
    return held, missed


def begin_exit(state: StrategyState, cause: ExitCause, reason: str, *, look_up_first: bool = False) -> Step:
    """Send the armed exit now, for whatever cause comes first (rows E2, F1, I1; mechanism 1).

    `look_up_first`: execution has sent it already; it may have died since.
    """
    event = cause.event
    intent = replace(state.exits[-1].intent, quantity=state.open_quantity, event=event)
    exiting = replace(
        state,
        phase=Phase.EXITING,
        exits=(*state.exits[:-1], replace(state.exits[-1], intent=intent, sent=True)),
        exit_event=event,
        breach_seen=False,
        status=RunStatus.RUNNING,
        detail=StatusDetail.NONE,
        last_action=event,
    )
    exiting = replace(exiting, message=_exit_message(exiting))
    log = LogEvent(TRIGGERED[event], reason, intent.id, quantity=intent.quantity, cause=cause)
    send = SendOrder(intent, look_up_first=look_up_first, check_position=state.ask_first)
    return exiting, [send, *cancel_or_withdraw(exiting.entry), CancelTimers(), WatchPrice(None), log]


def settle(state: StrategyState, now: datetime) -> Step:
    """Look at where the exit stands: flat ends the run, a remainder goes out as the next sequence number."""
    live = [order for order in state.exits if order.live]
    if live or (state.open_quantity <= 0 and state.entry.live and not state.closed_outside):
        return _exit_outstanding(state, live)
    if state.open_quantity <= 0 or state.closed_outside:
        return end(state, now)
    current = state.exits[-1]
    if not current.stage.terminal:
        return replace(state, phase=Phase.EXIT_FAILED), []
    failures = 0 if current.filled_quantity else state.exit_failures + 1
    if failures >= EXIT_FAILURE_LIMIT:
        reason = current.reason or f"the exit order was {current.stage}"
        return exit_failed(replace(state, exit_failures=failures - 1), FailureKind.REFUSED, reason, now)
    return send_next_exit(replace(state, exit_failures=failures))


def _exit_outstanding(state: StrategyState, live: list[Order]) -> Step:
    """Wait for the working orders; cancel or withdraw those that would sell more than is open."""
    working = replace(
        state,
        phase=Phase.EXITING,
        status=RunStatus.RUNNING,
        detail=StatusDetail.NONE,
        message=_exit_message(state),
    )
    if not live:
        return working, cancel_or_withdraw(state.entry)
    outstanding = sum(order.intent.quantity - order.filled_quantity for order in live)
    if outstanding > state.open_quantity and any(order.filled_quantity for order in state.exits if order not in live):
        return working, [decision for order in live for decision in cancel_or_withdraw(order)]
    return working, []


def send_next_exit(state: StrategyState) -> Step:
    """Sell what is left under the next sequence number. Its tag is deterministic: it need not be journalled first."""
    event = state.exit_event or OrderEvent.SELL
    intent = state.run.exit_intent(len(state.exits) + 1, state.open_quantity, event)
    following = replace(
        state,
        phase=Phase.EXITING,
        exits=(*state.exits, Order(intent, sent=True)),
        status=RunStatus.RUNNING,
        detail=StatusDetail.NONE,
        message=_exit_message(state),
    )
    log = LogEvent(LogWord.EXIT_CONTINUED, f"{intent.quantity} left to sell", intent.id, quantity=intent.quantity)
    return following, [SendOrder(intent, check_position=True), ArmIntent(intent), log]


def retry_exit(state: StrategyState, now: datetime) -> Step:
    """Try a failed exit again: the same intent if the broker never had it, else the next one (ruling 3)."""
    current = state.exits[-1]
    if state.open_quantity <= 0:
        return end(state, now)
    if current.order_id is not None:
        return send_next_exit(state)
    retried = replace(current, sent=True, failure=None)
    exiting = replace(
        state,
        phase=Phase.EXITING,
        exits=(*state.exits[:-1], retried),
        status=RunStatus.RUNNING,
        detail=StatusDetail.NONE,
        message=_exit_message(state),
    )
    in_doubt = current.failure not in {FailureKind.REFUSED, FailureKind.MARKET_CLOSED}
    return exiting, [SendOrder(retried.intent, look_up_first=in_doubt, check_position=True)]


def exit_failed(state: StrategyState, kind: FailureKind, reason: str, now: datetime) -> Step:
    """Ruling 3: say everything that rows H1 and H3 say, but keep the position guarded by trying again without limit.

    The alert goes out once; every failure is logged.
    """
    status, detail = FAILURE_STATUS[kind]
    message = _FAILED_EXIT.get(kind, "Order Failed – position still open, retrying the exit")
    counted = replace(state, exit_tries=state.exit_tries + 1, probes=0, told_open=None)
    probed = exit_retries.first_probe(counted.exit_tries)
    again = probed if kind in PROBED else exit_retries.retry_pause(counted.exit_tries)
    failed = replace(counted, phase=Phase.EXIT_FAILED, status=status, detail=detail, message=message, exit_alarmed=True)
    log = LogEvent(LogWord.ORDER_FAILED, reason, state.exits[-1].intent.id, quantity=state.open_quantity)
    decisions: list[Decision] = [CancelTimers(), SetTimer(Timer.RETRY, now + again), log]
    alarm = [] if state.exit_alarmed else [RaiseAlert("exit_failed", f"{message}: {reason}")]
    return failed, decisions + alarm + ([] if kind in PROBED else exit_retries.refused_often(failed))


SESSION_EXPIRED = "Broker session expired – reconnect your broker; position still open, exit waiting"

_FAILED_EXIT = {
    FailureKind.SESSION_EXPIRED: SESSION_EXPIRED,
    FailureKind.UNREACHABLE: "Broker unreachable – position still open, retrying the exit",
    FailureKind.BUDGET_USED_UP: "Order limit of the day reached – position still open, retrying the exit",
}


def waits_for_broker(state: StrategyState) -> bool:
    """Whether the run goes on as soon as the broker answers for its account, and asks it until then."""
    if state.phase is Phase.EXIT_FAILED:
        return state.exits[-1].failure in PROBED
    return state.phase is Phase.PAUSED


def exit_retry_due(state: StrategyState, now: datetime) -> Step:
    """A failed exit's timer: ask whether the broker is back, or try the exit again (ruling 3)."""
    if state.exits[-1].failure in PROBED:
        return probe(state, now)
    return retry_exit(state, now)


def _exit_message(state: StrategyState) -> str:
    return "STOP-LOSS Triggered" if state.exit_event is OrderEvent.STOPLOSS else "Selling"


def closed_outside(state: StrategyState, now: datetime, found: list[Decision]) -> Step:
    """The shares are gone without us: cancel what is working, and end once nothing of it can trade.

    `found` is said in between.
    """
    closed = replace(state, closed_outside=True)
    back = [decision for order in (state.entry, *state.exits) for decision in cancel_or_withdraw(order)]
    if any(order.live for order in state.exits):
        return closed, back + found
    ended, decisions = end(closed, now)
    return ended, back + found + decisions


def grow_exit(state: StrategyState) -> StrategyState:
    """The entry has filled more while it is guarded: the armed exit sells that too."""
    current = state.exits[-1]
    intent = replace(current.intent, quantity=state.open_quantity)
    return replace(state, exits=(*state.exits[:-1], replace(current, intent=intent)))


def cause_of_adopted_exit(state: StrategyState, now: datetime) -> OrderEvent:
    """What another incarnation sent an exit for, as far as this one can tell."""
    if state.stop_requested or now >= state.run.sell_at:
        return OrderEvent.SELL
    return OrderEvent.STOPLOSS
