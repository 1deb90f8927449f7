"""The strategy state machine: `step(state, event, now)` is the only way a state changes.

It knows no clock, no broker and no Ray. The order of the decisions it returns is the order in which a shell carries
them out; a request to the broker always comes before what can wait.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from actors.domain.errors import BrokenInvariant, IllegalEvent, InvalidValue
from actors.domain.identifiers import IntentId, Leg
from actors.domain.money import Paise, to_rupees
from actors.domain.orders.log_events import ExitCause, LogWord
from actors.domain.orders.order import FailureKind, OrderReport
from actors.domain.prices.stop_loss import is_breached, move_start
from actors.domain.prices.stop_move_log import StopMoveLog
from actors.domain.session import TriggerVerdict, trigger_verdict
from actors.domain.strategy import entries, exit_retries, exits, recovery
from actors.domain.strategy import events as ev
from actors.domain.strategy.decisions import (
    Decision,
    LogEvent,
    RaiseAlert,
    SetTimer,
    WatchPrice,
)
from actors.domain.strategy.events import Event, Timer
from actors.domain.strategy.outcomes import (
    Step,
    cancel_or_withdraw,
    follow_adopted,
    log_move,
    move_line,
    probe,
    report_log,
)
from actors.domain.strategy.state import TRANSITIONS, Phase, RunStatus, StatusDetail, StrategyState


def step(state: StrategyState, event: Event, now: datetime) -> tuple[StrategyState, tuple[Decision, ...]]:
    """What the strategy becomes by one event, and what is to be done about it.

    Raises:
        IllegalEvent: the event cannot happen in this phase, or is about an order the run does not know.
        BrokenInvariant: a bug: the machine left its own table.
    """
    allowed = TRANSITIONS[state.phase].get(type(event))
    if allowed is None:
        raise IllegalEvent(f"{type(event).__name__} cannot happen while {state.phase}")
    after, decisions = _HANDLERS[type(event)](state, event, now)
    if after.no_buyers_since is not None or after.exit_tries:
        after, told = exit_retries.afterwards(state, after, event)
        decisions = decisions + told
    if after.move_log.level is not None and not isinstance(event, ev.StopLossMoved):
        after, decisions = log_move(after, decisions, now)
    if after.phase not in allowed:
        raise BrokenInvariant(f"{state.phase} became {after.phase} by {type(event).__name__}")
    return after, tuple(decisions)


# --- timers -----------------------------------------------------------------------------------------------------


def _on_timer(state: StrategyState, event: ev.TimerFired, now: datetime) -> Step:
    if now < event.due:
        return state, [SetTimer(event.timer, event.due)]
    match event.timer:
        case Timer.BUY if state.phase is Phase.SCHEDULED:
            return _buy_due(state, now)
        case Timer.SELL if not state.unproven:
            return _sell_due(state, now)
        case Timer.ENTRY_PATIENCE:
            return state, cancel_or_withdraw(state.entry)
        case Timer.RETRY if state.phase is Phase.EXIT_FAILED:
            return exits.exit_retry_due(state, now)
        case Timer.RETRY if state.phase is Phase.PAUSED:
            return probe(state, now)
    return state, []


def _buy_due(state: StrategyState, now: datetime) -> Step:
    if trigger_verdict(state.run.buy_at, now, state.run.missed_grace) is TriggerVerdict.MISSED:
        return entries.missed(state, now)
    if state.unlisted:
        return entries.not_listed(state, now)
    return entries.enter(state, now, look_up_first=False)


def _sell_due(state: StrategyState, now: datetime) -> Step:
    match state.phase:
        case Phase.GUARDING:
            return exits.timed_exit(state, now)
        case Phase.ENTERING:
            return state, cancel_or_withdraw(state.entry)
        case Phase.PAUSED:
            return entries.missed(state, now)
    return state, []


# --- ticks and the feed -------------------------------------------------------------------------------------------


def _on_tick(state: StrategyState, event: ev.TickReceived, now: datetime) -> Step:
    tick = event.tick
    seen = replace(state, last_price=tick.price, last_tick_at=tick.exchange_time)
    if called_back := entries.tick_before_buy(seen, now):
        return replace(seen, below_stop=True), called_back
    since = None if state.unproven else state.watched_since
    if since is None or not is_breached(state.stop_loss, tick, since, state.level_set_at):
        return seen, []
    if state.phase is Phase.ARMING:
        return replace(seen, breach_seen=True), []
    if state.phase is Phase.GUARDING:
        return exits.begin_exit(seen, ExitCause.STOPLOSS, _touch(state, min(tick.price, tick.low)))
    return seen, []


def _on_stop_loss_triggered(state: StrategyState, event: ev.StopLossTriggered, _now: datetime) -> Step:
    """The exit of the second guard becomes our own: the command that is given now joins it where orders leave."""
    if state.phase is not Phase.GUARDING or event.intent_id != state.exits[-1].intent.id:
        return state, []
    if event.price is None:
        seen = "an exit of it had begun before"
    elif event.price > state.stop_loss:
        seen = f"price ₹{to_rupees(event.price)} at or below the stop-loss before its last move"
    else:
        seen = _touch(state, event.price)
    return exits.begin_exit(state, ExitCause.STOPLOSS, f"{seen}, seen where orders leave", look_up_first=True)


def _touch(state: StrategyState, price: Paise) -> str:
    return f"price ₹{to_rupees(price)} at or below ₹{to_rupees(state.stop_loss)}"


def _on_feed_lost(state: StrategyState, event: ev.FeedLost, _now: datetime) -> Step:
    worse = state.feed_late and not event.late
    lost = replace(state, feed_live=False, feed_late=event.late, unlisted=event.unlisted)
    if event.unlisted:
        message = f"{event.reason[:1].upper()}{event.reason[1:]}: no price of it comes, and nothing is bought"
        if state.unlisted or state.phase is Phase.ENDED:
            return lost, []
        told = replace(lost, feed_told=True)
        return told, [LogEvent(LogWord.SYMBOL_NOT_LISTED, event.reason), RaiseAlert("symbol_not_listed", message)]
    if state.phase not in {Phase.ARMING, Phase.GUARDING} or (state.feed_told and not worse):
        return lost, []
    told = replace(lost, feed_told=True)
    if event.late:
        message = f"Prices come late – {event.reason}; the stop-loss acts on each as soon as it is heard"
        return told, [LogEvent(LogWord.TICKS_STALE, event.reason), RaiseAlert("ticks_stale", message)]
    message = "Price feed lost – no stop-loss decision until it is back"
    return told, [LogEvent(LogWord.FEED_LOST, event.reason), RaiseAlert("feed_lost", message)]


def _on_feed_restored(state: StrategyState, _event: ev.FeedRestored, _now: datetime) -> Step:
    missed = state.unlisted or (not state.feed_live and state.phase in {Phase.ARMING, Phase.GUARDING})
    restored = replace(state, feed_live=True, feed_late=False, feed_told=False, unlisted=False)
    return restored, [LogEvent(LogWord.FEED_RESTORED)] if missed else []


def _on_stop_loss_moved(state: StrategyState, event: ev.StopLossMoved, now: datetime) -> Step:
    if event.stop_loss <= 0 and event.stop_share is None:
        raise InvalidValue("stop_loss must be above zero")
    since = state.watched_since
    renamed = replace(state, stop_loss=event.stop_loss, stop_share=event.stop_share)
    moved = replace(
        entries.with_stop_of_fill(renamed) if state.entry.filled_quantity else renamed,
        watched_since=None if since is None else move_start(since, now, event.feed_lag),
        level_set_at=None if since is None else now,
    )
    watch = [WatchPrice(moved.stop_loss)] if state.phase in {Phase.ARMING, Phase.GUARDING} else []
    known = state.stop_loss if state.move_log.level is None else state.move_log.level
    if (later := state.move_log.next_line_at(now)) is not None:
        unlogged = replace(moved, move_log=replace(state.move_log, level=known))
        return unlogged, [*watch, SetTimer(Timer.MOVE_LOG, later)]
    return replace(moved, move_log=StopMoveLog(at=now)), [*watch, move_line(known, moved.stop_loss)]


# --- the trader and the journal -------------------------------------------------------------------------------------


def _on_stop_requested(state: StrategyState, _event: ev.StopRequested, now: datetime) -> Step:
    if state.phase is Phase.ENDED:
        return state, []
    asked = replace(state, stop_requested=True)
    match state.phase:
        case Phase.SCHEDULED | Phase.PAUSED:
            return entries.stopped_empty(asked, now)
        case Phase.ENTERING:
            return replace(asked, message="Stopping: cancelling the buy order"), cancel_or_withdraw(asked.entry)
        case Phase.GUARDING:
            return exits.begin_exit(asked, ExitCause.STOP, "STOP pressed")
        case Phase.EXIT_FAILED:
            return exits.retry_exit(asked, now)
    return asked, []


def _on_intent_armed(state: StrategyState, event: ev.IntentArmed, now: datetime) -> Step:
    if event.intent_id not in {order.intent.id for order in state.exits}:
        raise IllegalEvent(f"intent {event.intent_id} is not of run {state.run.run_id}")
    if state.phase is not Phase.ARMING:
        return state, []
    guarding = replace(state, phase=Phase.GUARDING)
    if state.stop_requested:
        return exits.begin_exit(guarding, ExitCause.STOP, "STOP pressed")
    if state.breach_seen:
        return exits.begin_exit(guarding, ExitCause.STOPLOSS, "stop-loss touched while the exit was being journalled")
    if now >= state.run.sell_at:
        sold, decisions = exits.timed_exit(guarding, now)
        return sold, decisions
    return guarding, []


# --- what the broker says ---------------------------------------------------------------------------------------------


def _on_order_reported(state: StrategyState, event: ev.OrderReported, now: datetime) -> Step:
    if event.intent_id == state.entry.intent.id:
        return _entry_reported(state, event.report, now)
    return _exit_reported(state, event.intent_id, event.report, now)


def _entry_reported(state: StrategyState, report: OrderReport, now: datetime) -> Step:
    entry = state.entry.merged(report)
    logs = report_log(state.entry, entry)
    merged = replace(state, entry=entry)
    match state.phase:
        case Phase.SCHEDULED | Phase.PAUSED | Phase.ENTERING:
            after, decisions = entries.progress(merged, now)
        case Phase.ARMING | Phase.GUARDING:
            after, decisions = entries.grown(merged, now)
        case Phase.EXITING | Phase.EXIT_FAILED:
            news = entry != state.entry and state.phase is Phase.EXITING
            after, decisions = exits.settle(merged, now) if news else (merged, [])
        case _:
            after, decisions = entries.late_fill(state, merged)
    if state.entry.order_id is None and after.entry.live:
        decisions = [*decisions, SetTimer(Timer.ENTRY_PATIENCE, now + entries.ENTRY_PATIENCE)]
    return after, follow_adopted(state.entry, entry) + logs + decisions


def _exit_reported(state: StrategyState, intent_id: IntentId, report: OrderReport, now: datetime) -> Step:
    index = next((i for i, order in enumerate(state.exits) if order.intent.id == intent_id), None)
    if index is None:
        raise IllegalEvent(f"intent {intent_id} is not of run {state.run.run_id}")
    before = state.exits[index]
    order = before.merged(report)
    logs = report_log(before, order)
    if order == before or state.phase is Phase.ENDED:
        return state, logs
    cause = state.exit_event or exits.cause_of_adopted_exit(state, now)
    if not before.sent:
        order = replace(order, intent=replace(order.intent, event=cause))
    merged = replace(state, exits=(*state.exits[:index], order, *state.exits[index + 1 :]), exit_event=cause)
    if state.phase is Phase.EXIT_FAILED and not order.live and merged.open_quantity > 0:
        return merged, logs
    after, decisions = exits.settle(merged, now)
    return after, follow_adopted(before, order) + logs + decisions


def _on_placement_failed(state: StrategyState, event: ev.PlacementFailed, now: datetime) -> Step:
    if event.intent_id == state.entry.intent.id:
        if state.phase is not Phase.ENTERING or state.entry.order_id is not None:
            return state, []
        return entries.failed(state, event.kind, event.reason, now)
    if state.phase is not Phase.EXITING or event.intent_id != state.exits[-1].intent.id:
        return state, []
    current = state.exits[-1]
    if current.order_id is not None:
        return state, []
    failed = replace(state, exits=(*state.exits[:-1], replace(current, failure=event.kind)))
    if state.closed_outside or event.kind is FailureKind.NOTHING_TO_SELL:
        return _on_closed_outside(failed, ev.PositionClosedOutside(event.reason), now)
    if event.kind is FailureKind.MARKET_CLOSED:
        return exit_retries.for_market(failed, event, now)
    return exits.exit_failed(failed, event.kind, event.reason, now)


def _on_placement_unresolved(state: StrategyState, event: ev.PlacementUnresolved, _now: datetime) -> Step:
    paused = event.unreachable or event.login_expired
    detail = StatusDetail.BROKER_UNREACHABLE if event.unreachable else StatusDetail.ORDER_UNKNOWN
    if event.login_expired:
        detail = StatusDetail.SESSION_EXPIRED
    awaited = {Phase.ENTERING: Leg.ENTRY, Phase.EXITING: Leg.EXIT}.get(state.phase)
    if event.intent_id.leg is not awaited or state.detail is detail:
        return state, []
    status = RunStatus.PAUSED if paused else RunStatus.RUNNING
    is_exit = event.intent_id.leg is Leg.EXIT
    message = _WAITING.get((detail, is_exit), "Order outcome unknown – looking it up at the broker")
    unknown = replace(state, status=status, detail=detail, message=message)
    return unknown, [
        LogEvent(LogWord.ORDER_UNKNOWN, event.reason, event.intent_id),
        RaiseAlert(detail, f"{message}: {event.reason}"),
    ]


_WAITING = {
    (StatusDetail.BROKER_UNREACHABLE, True): (
        "Broker unreachable – position still open, the exit goes on when it answers"
    ),
    (StatusDetail.SESSION_EXPIRED, True): exits.SESSION_EXPIRED,
    (StatusDetail.SESSION_EXPIRED, False): (
        "Broker session expired – reconnect your broker, so that the order can be looked up"
    ),
}


def _on_order_queued(state: StrategyState, event: ev.OrderQueued, _now: datetime) -> Step:
    waiting = {Phase.ENTERING: state.entry, Phase.EXITING: state.exits[-1] if state.exits else None}.get(state.phase)
    if waiting is None or waiting.intent.id != event.intent_id or waiting.order_id is not None:
        return state, []
    expected = event.expected_at.astimezone(state.run.buy_at.tzinfo)
    what = state.message.partition(" – ")[0]
    message = f"{what} – waiting for the broker's order limit, expected at {expected:%H:%M:%S}"
    queued = replace(state, detail=StatusDetail.ORDER_QUEUED, message=message)
    return queued, [LogEvent(LogWord.ORDER_QUEUED, f"expected at {expected:%H:%M:%S}", event.intent_id)]


def _on_broker_restored(state: StrategyState, _event: ev.BrokerRestored, now: datetime) -> Step:
    if state.phase is Phase.EXIT_FAILED:
        return exits.retry_exit(state, now)
    if state.phase is not Phase.PAUSED:
        return state, []
    if trigger_verdict(state.run.buy_at, now, state.run.missed_grace) is TriggerVerdict.MISSED:
        return entries.missed(state, now)
    # an incarnation that was loaded paused does not know what the one before has sent since
    return entries.enter(state, now, look_up_first=not state.entry_absent)


def _on_closed_outside(state: StrategyState, event: ev.PositionClosedOutside, now: datetime) -> Step:
    if state.phase is Phase.ENDED or (state.closed_outside and any(order.live for order in state.exits)):
        return state, []
    message = f"{event.reason[:1].upper()}{event.reason[1:]}. {_HELD_HINT}"
    return exits.closed_outside(
        state, now, [LogEvent(LogWord.CLOSED_OUTSIDE, event.reason), RaiseAlert("closed_outside", message)]
    )


_HELD_HINT = (
    "The strategy guards nothing any more. If you still hold its shares, say so in the app, and it guards them again"
)


def _on_closed_by_trader(state: StrategyState, _event: ev.ClosedByTrader, now: datetime) -> Step:
    if state.phase is Phase.ENDED:
        return state, []
    log = LogEvent(LogWord.CLOSED_BY_TRADER, "the trader has closed the position himself")
    return exits.closed_outside(state, now, [log])


def _on_exit_uncovered(state: StrategyState, event: ev.ExitUncovered, _now: datetime) -> Step:
    if state.phase is not Phase.EXITING or state.recalled >= len(state.exits):
        return state, []
    recalled = replace(state, recalled=len(state.exits))
    back = [decision for order in state.exits for decision in cancel_or_withdraw(order)]
    message = f"The exit is called back, and what is left of it goes out again: {event.reason}"
    return recalled, [*back, LogEvent(LogWord.EXIT_RECALLED, event.reason), RaiseAlert("exit_recalled", message)]


def _on_cover_read(state: StrategyState, event: ev.CoverRead, now: datetime) -> Step:
    if not state.unproven:
        return state, []
    proven = replace(state, unproven=False)
    if event.covered <= 0:
        return _on_closed_outside(proven, ev.PositionClosedOutside(event.reason), now)
    return proven, [SetTimer(Timer.SELL, state.run.sell_at)]


_HANDLERS: Mapping[type[Event], Callable[[StrategyState, Any, datetime], Step]] = {
    ev.TimerFired: _on_timer,
    ev.TickReceived: _on_tick,
    ev.IntentArmed: _on_intent_armed,
    ev.OrderReported: _on_order_reported,
    ev.PlacementFailed: _on_placement_failed,
    ev.PlacementUnresolved: _on_placement_unresolved,
    ev.OrderQueued: _on_order_queued,
    ev.BrokerRestored: _on_broker_restored,
    ev.StopRequested: _on_stop_requested,
    ev.StopLossMoved: _on_stop_loss_moved,
    ev.FeedLost: _on_feed_lost,
    ev.FeedRestored: _on_feed_restored,
    ev.PositionClosedOutside: _on_closed_outside,
    ev.ClosedByTrader: _on_closed_by_trader,
    ev.ExitUncovered: _on_exit_uncovered,
    ev.CoverRead: _on_cover_read,
    ev.RunRecovered: recovery.resume,
    ev.NoBuyers: exit_retries.no_buyers,
    ev.StopLossTriggered: _on_stop_loss_triggered,
}
