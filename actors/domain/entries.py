"""The way into a position: one BUY, sent at its instant, and what becomes of it (rows E1, E4, H1-H3).

Functions take a state and return (state, decisions), like `strategy_machine.step`, which alone calls them.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from actors.domain import exits
from actors.domain.decisions import LogEvent, RaiseAlert, SendOrder, SetTimer
from actors.domain.events import Timer
from actors.domain.exits import FAILURE_STATUS, PROBE_INTERVAL, Step
from actors.domain.order import FailureKind, OrderEvent, OrderStage
from actors.domain.strategy_state import Phase, RunStatus, StatusDetail, StrategyState

HAND_OVER = timedelta(seconds=2)
"""So long before its time a BUY is handed to execution, which takes the claim, readies a session and waits: at the
instant itself fifty strategies would wake up on two cores, and the last of them buy a tenth of a second late."""

ENTRY_PATIENCE = timedelta(seconds=10)
"""How long a BUY that parked as an open LIMIT may wait for its fill before the rest is cancelled."""

RETRY_WINDOW = timedelta(seconds=60)
"""A BUY is never sent later than this after its time, however its retries go: it must not surprise."""


def hand_over_at(state: StrategyState) -> datetime:
    """When the BUY is handed to execution."""
    return state.run.buy_at - HAND_OVER


def enter(state: StrategyState, now: datetime, *, look_up_first: bool) -> Step:
    """Have the BUY sent at its time, or now if that has passed (row E1)."""
    buy_at = state.run.buy_at
    late_ms = int((now - buy_at) / timedelta(milliseconds=1))
    early = now < buy_at
    entering = replace(
        state,
        phase=Phase.ENTERING,
        entry=replace(state.entry, sent=True, failure=None),
        status=RunStatus.RUNNING,
        detail=StatusDetail.NONE,
        last_action=OrderEvent.BUY,
        message=f"Buying at {buy_at:%H:%M:%S}" if early else "Buying",
    )
    reason = f"handed over {-late_ms} ms before buy_at" if early else f"{late_ms} ms after buy_at"
    log = LogEvent("BUY_TRIGGERED", reason, state.entry.intent.id, quantity=state.run.quantity)
    return entering, [
        SendOrder(state.entry.intent, look_up_first=look_up_first, not_before=buy_at, not_after=buy_at + RETRY_WINDOW),
        log,
    ]


def missed(state: StrategyState, now: datetime) -> Step:
    """Row E4: the BUY comes too late; log it, say it, and end the run."""
    reason = f"missed execution: BUY was due at {state.run.buy_at.isoformat()}"
    message = "Missed execution – the buy time passed, nothing was bought"
    ended, decisions = exits.end(replace(state, detail=StatusDetail.MISSED_EXECUTION, message=message), now)
    log = LogEvent("MISSED_EXECUTION", reason, state.entry.intent.id)
    return ended, [log, RaiseAlert("missed_execution", message), *decisions]


def not_listed(state: StrategyState, now: datetime) -> Step:
    """The broker does not list the instrument on the session's day: nobody knows what a BUY of it would buy."""
    message = f"Buy Failed – the broker does not list {state.run.instrument.symbol} today"
    ended, decisions = exits.end(
        replace(state, status=RunStatus.FAILED, detail=StatusDetail.NOT_LISTED, message=message), now
    )
    log = LogEvent("ORDER_FAILED", message, state.entry.intent.id)
    return ended, [log, RaiseAlert("buy_failed", message), *decisions]


def progress(state: StrategyState, now: datetime) -> Step:
    """Take in what the broker reports of the BUY while nothing is bought yet."""
    entry = state.entry
    if entry.filled_quantity:
        armed, decisions = exits.arm(state, now)
        return armed, decisions + (exits.call_back(armed.entry) if state.stop_requested else [])
    if entry.stage is OrderStage.REJECTED:
        return failed(state, FailureKind.REFUSED, entry.reason or "the broker rejected the order", now)
    if entry.stage.terminal:
        return stopped_empty(state, now) if state.stop_requested else _unfilled(state, now)
    entering = replace(state, phase=Phase.ENTERING, status=RunStatus.RUNNING, detail=StatusDetail.NONE)
    unwanted = state.stop_requested or now >= state.run.sell_at
    return entering, exits.call_back(entering.entry) if unwanted else []


def stopped_empty(state: StrategyState, now: datetime) -> Step:
    """The trader's STOP found, or left, nothing bought (row I1)."""
    message = "Stopped before anything was bought"
    return exits.end(replace(state, detail=StatusDetail.STOPPED_BY_USER, message=message), now)


def failed(state: StrategyState, kind: FailureKind, reason: str, now: datetime) -> Step:
    """Rows H1-H3: it is proven that the broker holds no BUY of this run."""
    without = replace(state, entry=replace(state.entry, failure=kind))
    log = LogEvent("ORDER_FAILED", reason, state.entry.intent.id, state.entry.order_id)
    if state.stop_requested:
        ended, decisions = stopped_empty(without, now)
        return ended, [log, *decisions]
    status, detail = FAILURE_STATUS[kind]
    if status is RunStatus.PAUSED:
        message = f"Paused – {reason}"
        paused = replace(without, phase=Phase.PAUSED, status=status, detail=detail, message=message)
        return paused, [SetTimer(Timer.RETRY, now + PROBE_INTERVAL), log, RaiseAlert(detail, message)]
    rejected = kind is FailureKind.REFUSED
    told = rejected or kind is FailureKind.BUDGET_USED_UP
    message = f"Buy Failed – {reason}" if told else "Order Failed – Strategy Stopped"
    ended, decisions = exits.end(replace(without, status=status, detail=detail, message=message), now)
    return ended, [log, RaiseAlert("buy_failed" if rejected else "order_failed", f"{message} ({reason})"), *decisions]


def _unfilled(state: StrategyState, now: datetime) -> Step:
    reason = state.entry.reason or "the buy order was cancelled without a fill"
    message = f"Buy Failed – {reason}"
    ended, decisions = exits.end(
        replace(state, status=RunStatus.FAILED, detail=StatusDetail.UNFILLED, message=message), now
    )
    return ended, [RaiseAlert("buy_failed", message), *decisions]
