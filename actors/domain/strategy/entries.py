"""The way into a position: one BUY, sent at its instant, and its result (rows E1, E4, H1-H3).

Functions take a state and return (state, decisions), like `machine.step`, which alone calls them.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from actors.domain.money import to_rupees
from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import FailureKind, Order, OrderEvent, OrderStage
from actors.domain.prices.stop_loss import watch_start
from actors.domain.prices.stop_share import stop_below
from actors.domain.strategy import exits
from actors.domain.strategy.decisions import ArmIntent, Decision, LogEvent, RaiseAlert, SendOrder, SetTimer, WatchPrice
from actors.domain.strategy.events import Timer
from actors.domain.strategy.outcomes import FAILURE_STATUS, PROBE_INTERVAL, Step, cancel_or_withdraw, end
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail, StrategyState

HAND_OVER = timedelta(seconds=2)
"""How early at the latest a BUY is handed to execution, which takes the claim, readies a connection and waits. Fifty
strategies that wake up at one instant on two cores would delay the last order by a tenth of a second."""

_SPREAD, _SPREAD_STEPS = timedelta(seconds=2), 20
"""Runs of one instant are handed over one after the other, each up to this much earlier: fifty at once are up to three
seconds of work for a core, and what is left of it at the instant makes BUYs late."""

ENTRY_PATIENCE = timedelta(seconds=10)
"""How long a BUY that parked as an open LIMIT may wait for its fill before the rest is cancelled."""

PRICE_LASTS = timedelta(minutes=15)
"""How long the last trade shows the price when it is judged whether to buy at all: a thin share trades seldom."""

RETRY_WINDOW = timedelta(seconds=60)
"""A BUY is never sent later than this after its time, however its retries go: it must not surprise.

Its *first* request must leave within the run's `missed_grace` of its time, and each repeat within the same grace of the
instant that the retry policy gave it: what stood still meanwhile, a process or the whole machine, makes it late, and
a late BUY is missed (row E4)."""


def hand_over_at(state: StrategyState) -> datetime:
    """When the BUY is handed to execution: the same instant for each incarnation of the run."""
    return state.run.buy_at - HAND_OVER - _SPREAD / _SPREAD_STEPS * (state.run.run_id % _SPREAD_STEPS)


def enter(state: StrategyState, now: datetime, *, look_up_first: bool) -> Step:
    """Have the BUY sent at its time, or now if that has passed (row E1)."""
    if below_stop(state, now):
        return not_bought(state, now)
    buy_at = state.run.buy_at
    late_ms = int((now - buy_at) / timedelta(milliseconds=1))
    early = now < buy_at
    entering = replace(
        state,
        phase=Phase.ENTERING,
        entry=replace(state.entry, sent=True, failure=None),
        entry_absent=False,
        below_stop=False,
        status=RunStatus.RUNNING,
        detail=StatusDetail.NONE,
        last_action=OrderEvent.BUY,
        message=f"Buying at {buy_at:%H:%M:%S}" if early else "Buying",
    )
    reason = f"handed over {-late_ms} ms before its time" if early else f"{late_ms} ms after its time"
    log = LogEvent(LogWord.BUY_TRIGGERED, reason, state.entry.intent.id, quantity=state.run.quantity)
    return entering, [
        SendOrder(
            state.entry.intent,
            look_up_first=look_up_first,
            not_before=buy_at,
            not_after=buy_at + RETRY_WINDOW,
            grace=state.run.missed_grace,
        ),
        log,
    ]


def missed(state: StrategyState, now: datetime) -> Step:
    """Row E4: the BUY comes too late; log it, say it, and end the run."""
    reason = f"missed execution: BUY was due at {state.run.buy_at.isoformat()}"
    message = "Missed execution – the buy time passed, nothing was bought"
    ended, decisions = end(replace(state, detail=StatusDetail.MISSED_EXECUTION, message=message), now)
    log = LogEvent(LogWord.MISSED_EXECUTION, reason, state.entry.intent.id)
    return ended, [log, RaiseAlert("missed_execution", message), *decisions]


def below_stop(state: StrategyState, now: datetime) -> bool:
    """Whether the last known price, if it is recent, is one at which the stop-loss would sell at once."""
    if state.last_price is None or state.last_tick_at is None:
        return False
    return state.last_price <= state.stop_loss and abs(now - state.last_tick_at) <= PRICE_LASTS


def tick_before_buy(state: StrategyState, now: datetime) -> list[Decision]:
    """Call the BUY back if the price falls to the stop-loss between its hand-over and its instant."""
    waiting = state.phase is Phase.ENTERING and state.entry.order_id is None and now < state.run.buy_at
    return cancel_or_withdraw(state.entry) if waiting and below_stop(state, now) else []


def not_bought(state: StrategyState, now: datetime) -> Step:
    """The run ends without a BUY, whose position its own stop-loss would have sold at once."""
    price, stop = to_rupees(state.last_price or state.stop_loss), to_rupees(state.stop_loss)
    message = f"Not bought – the price ₹{price} is at or below the stop-loss ₹{stop}"
    ended, decisions = end(replace(state, detail=StatusDetail.PRICE_BELOW_STOP, message=message), now)
    log = LogEvent(LogWord.PRICE_BELOW_STOP, message, state.entry.intent.id)
    return ended, [log, RaiseAlert("price_below_stop", message), *decisions]


def not_listed(state: StrategyState, now: datetime) -> Step:
    """The broker does not list the instrument on the session's day: it is not known what a BUY of it would buy."""
    message = f"Buy Failed – the broker does not list {state.run.instrument.symbol} today"
    ended, decisions = end(
        replace(state, status=RunStatus.FAILED, detail=StatusDetail.NOT_LISTED, message=message), now
    )
    log = LogEvent(LogWord.ORDER_FAILED, message, state.entry.intent.id)
    return ended, [log, RaiseAlert("buy_failed", message), *decisions]


def progress(state: StrategyState, now: datetime) -> Step:
    """Take in what the broker reports of the BUY while nothing is bought yet."""
    entry = state.entry
    if entry.filled_quantity:
        armed, decisions = arm(state, now)
        return armed, decisions + (cancel_or_withdraw(armed.entry) if state.stop_requested else [])
    if entry.stage is OrderStage.REJECTED:
        return failed(state, FailureKind.REFUSED, entry.reason or "the broker rejected the order", now)
    if entry.stage.terminal:
        return stopped_empty(state, now) if state.stop_requested else _unfilled(state, now)
    entering = replace(state, phase=Phase.ENTERING, status=RunStatus.RUNNING, detail=StatusDetail.NONE)
    unwanted = state.stop_requested or now >= state.run.sell_at
    return entering, cancel_or_withdraw(entering.entry) if unwanted else []


def arm(state: StrategyState, now: datetime) -> Step:
    """The entry has its first fill: journal the exit, and watch the stop-loss from this instant (mechanism 3)."""
    intent = state.run.exit_intent(1, state.entry.filled_quantity)
    armed = replace(
        with_stop_of_fill(state),
        phase=Phase.ARMING,
        exits=(Order(intent),),
        watched_since=watch_start(state.entry.first_fill_at, now),
        breach_seen=False,
        status=RunStatus.RUNNING,
        detail=StatusDetail.NONE,
        last_action=OrderEvent.BUY,
        message=f"Bought {state.entry.filled_quantity} {state.run.instrument.symbol}",
    )
    return armed, [ArmIntent(intent), WatchPrice(armed.stop_loss), SetTimer(Timer.SELL, state.run.sell_at)]


def with_stop_of_fill(state: StrategyState) -> StrategyState:
    """The stop-loss as the fills so far have it, if it is a share of them (row N5); the first fill has come."""
    if state.stop_share is None:
        return state
    return replace(state, stop_loss=stop_below(state.entry.average_price, state.stop_share, state.run.tick))


def grown(state: StrategyState, now: datetime) -> Step:
    """More is bought while the stop-loss is watched: the exit sells that too, and a stop-loss that is a share of the
    fills goes with their average. Lows that were heard before do not touch the new level.
    """
    after = with_stop_of_fill(exits.grow_exit(state))
    if after.stop_loss == state.stop_loss:
        return after, []
    return replace(after, level_set_at=now), [WatchPrice(after.stop_loss)]


def late_fill(before: StrategyState, merged: StrategyState) -> Step:
    """Shares bought after the run had ended: call the rest back, and say so."""
    extra = merged.entry.filled_quantity - before.entry.filled_quantity
    if merged.entry == before.entry:
        return before, []
    decisions = cancel_or_withdraw(merged.entry)
    if extra:
        message = f"{extra} shares were bought after the run had ended; close them by hand"
        decisions.append(RaiseAlert("late_fill", message))
    return merged, decisions


def stopped_empty(state: StrategyState, now: datetime) -> Step:
    """The trader's STOP found, or left, nothing bought (row I1)."""
    message = "Stopped before anything was bought"
    return end(replace(state, detail=StatusDetail.STOPPED_BY_USER, message=message), now)


def failed(state: StrategyState, kind: FailureKind, reason: str, now: datetime) -> Step:
    """Rows H1-H3: it is proven that the broker holds no BUY of this run."""
    without = replace(state, entry=replace(state.entry, failure=kind), entry_absent=True)
    log = LogEvent(LogWord.ORDER_FAILED, reason, state.entry.intent.id, state.entry.order_id)
    if state.stop_requested:
        ended, decisions = stopped_empty(without, now)
        return ended, [log, *decisions]
    if state.below_stop:
        return not_bought(without, now)
    if kind is FailureKind.MISSED:
        return missed(without, now)
    if kind is FailureKind.MARKET_CLOSED:
        return _market_closed(without, reason, now)
    if kind is FailureKind.FORBIDDEN:
        return _forbidden(without, reason, now)
    status, detail = FAILURE_STATUS[kind]
    if status is RunStatus.PAUSED:
        message = f"Paused – {reason}"
        paused = replace(without, phase=Phase.PAUSED, status=status, detail=detail, message=message, probes=0)
        return paused, [SetTimer(Timer.RETRY, now + PROBE_INTERVAL), log, RaiseAlert(detail, message)]
    rejected = kind in {FailureKind.REFUSED, FailureKind.ACCOUNT_SHORT}
    told = rejected or kind is FailureKind.BUDGET_USED_UP
    message = f"Buy Failed – {reason}" if told else "Order Failed – Strategy Stopped"
    ended, decisions = end(replace(without, status=status, detail=detail, message=message), now)
    return ended, [log, RaiseAlert("buy_failed" if rejected else "order_failed", f"{message} ({reason})"), *decisions]


def _market_closed(state: StrategyState, reason: str, now: datetime) -> Step:
    message = f"Not bought – {reason}"
    ended, decisions = end(replace(state, detail=StatusDetail.MARKET_CLOSED, message=message), now)
    log = LogEvent(LogWord.MARKET_CLOSED, message, state.entry.intent.id)
    return ended, [log, RaiseAlert("market_closed", message), *decisions]


def _forbidden(state: StrategyState, reason: str, now: datetime) -> Step:
    """Row N8: the run ends, so that allowing entries again buys nothing that was meant for an earlier moment."""
    message = f"Not bought – {reason}"
    ended, decisions = end(replace(state, detail=StatusDetail.ENTRIES_FORBIDDEN, message=message), now)
    log = LogEvent(LogWord.ORDER_FAILED, message, state.entry.intent.id)
    return ended, [log, RaiseAlert("entries_forbidden", message), *decisions]


def _unfilled(state: StrategyState, now: datetime) -> Step:
    reason = state.entry.reason or "the buy order was cancelled without a fill"
    message = f"Buy Failed – {reason}"
    ended, decisions = end(replace(state, status=RunStatus.FAILED, detail=StatusDetail.UNFILLED, message=message), now)
    return ended, [RaiseAlert("buy_failed", message), *decisions]
