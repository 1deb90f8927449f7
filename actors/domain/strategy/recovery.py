"""A new incarnation of a run: what it makes of its journal and the broker's book before it acts (row J1, mechanism 12).

The one path for a crashed actor, a lost node and a restarted cluster. An exit that the earlier incarnation sent without
a record is either in the book that has just been read, or its claim still holds the strategy's lock, and then execution
looks before it sends. The shares may be gone all the same, sold by hand or squared off in the meantime: the first
exit of every new incarnation asks the account, and an intraday position of an earlier day is asked for at once.

A run out of a backup has a past that its journal does not know. The order book shows what the broker did in it, as long
as no session has passed that today's book does not show; it never shows what the trader did. So such a run buys nothing
by itself, goes on guarding only where the book proves what is left, and otherwise waits for the trader's word.
"""

from dataclasses import replace
from datetime import datetime

from actors.domain.identifiers import Product
from actors.domain.money import to_rupees
from actors.domain.orders.log_events import LogWord
from actors.domain.orders.order import Order
from actors.domain.prices.stop_loss import watch_start
from actors.domain.session import TriggerVerdict, trigger_verdict
from actors.domain.strategy import entries, exits
from actors.domain.strategy import events as ev
from actors.domain.strategy.decisions import (
    AskCover,
    Decision,
    LogEvent,
    RaiseAlert,
    SendOrder,
    SetTimer,
    WatchPrice,
)
from actors.domain.strategy.events import Timer
from actors.domain.strategy.outcomes import CLOSED_OUTSIDE, Step, end, report_log
from actors.domain.strategy.reconciliation import adopt
from actors.domain.strategy.spec import Restored
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail, StrategyState


def resume(state: StrategyState, event: ev.RunRecovered, now: datetime) -> Step:
    """See the head of this module."""
    adopted = replace(adopt(state, event.reports), ask_first=not event.first)
    if state.restored is not None and state.phase is not Phase.ENDED:
        after, decisions = _resume_restored(state, adopted, state.restored, event, now)
    else:
        after, decisions = _resume(state, adopted, event, now)
    return after, [*decisions, *_found(state, adopted)]


def reopened(state: StrategyState, forgiven: int, now: datetime) -> StrategyState:
    """A run that ended because its shares seemed to be gone, guarding again: the trader says that he holds them.

    `forgiven`: shares that were sold by hand today and that were not the run's, by his word. Its next incarnation goes
    on from here as after a crash.
    """
    intent = state.run.exit_intent(len(state.exits) + 1, state.open_quantity)
    return replace(
        state,
        phase=Phase.GUARDING,
        exits=(*state.exits, Order(intent)),
        exit_event=None,
        exit_failures=0,
        exit_alarmed=False,
        stop_requested=False,
        closed_outside=False,
        status=RunStatus.RUNNING,
        detail=StatusDetail.NONE,
        message=f"Bought {state.open_quantity} {state.run.instrument.symbol}",
        terminated_at=None,
        forgiven=forgiven,
        forgiven_on=now.astimezone(state.run.buy_at.tzinfo).date(),
    )


def closed_by_word(state: StrategyState) -> StrategyState:
    """A run that ended in doubt after a restore: its trader says that he has sold, and the shares are not there."""
    return replace(state, detail=StatusDetail.CLOSED_OUTSIDE, message=CLOSED_OUTSIDE)


def _found(before: StrategyState, adopted: StrategyState) -> list[Decision]:
    """What the earlier incarnation has not logged."""
    known = {order.intent.id: order for order in before.exits}
    pairs = [(before.entry, adopted.entry)]
    pairs += [(known.get(order.intent.id, Order(order.intent)), order) for order in adopted.exits]
    return [line for old, new in pairs for line in report_log(old, new)]


def _resume(state: StrategyState, adopted: StrategyState, event: ev.RunRecovered, now: datetime) -> Step:
    watch = WatchPrice(None)
    if state.phase is Phase.ENDED:
        late, told = entries.late_fill(state, adopted)
        ended, decisions = end(late, state.terminated_at or now)
        return ended, [*told, *decisions]
    if any(order.live for order in adopted.exits) or (adopted.exits and adopted.exits[-1].sent):
        return _resume_exit(adopted, now)
    if adopted.entry.filled_quantity:
        return _resume_position(adopted, now)
    if adopted.entry.order_id is not None:
        after, decisions = entries.progress(adopted, now)
        return after, [*_follow_entry(after, now), *decisions, watch]
    timers: list[Decision] = [SetTimer(Timer.SELL, state.run.sell_at), watch]
    match state.phase:
        case Phase.ENTERING:
            deadline = now if state.stop_requested else state.run.buy_at + state.run.missed_grace
            send = SendOrder(adopted.entry.intent, look_up_first=True, not_before=state.run.buy_at, not_after=deadline)
            return adopted, [send, *timers]
        case Phase.PAUSED:
            return adopted, [SetTimer(Timer.RETRY, now), *timers]
    missed = trigger_verdict(state.run.buy_at, now, state.run.missed_grace) is TriggerVerdict.MISSED
    if not event.first and now >= entries.hand_over_at(state) and not missed:  # it may be in execution's hands already
        entering, decisions = entries.enter(adopted, now, look_up_first=True)
        return entering, [*decisions, *timers]
    return adopted, [SetTimer(Timer.BUY, entries.hand_over_at(state)), *timers]


def _resume_position(state: StrategyState, now: datetime) -> Step:
    if state.phase is not Phase.GUARDING:
        armed, decisions = entries.arm(state, now)
        return armed, decisions + _follow_entry(armed, now)
    unproven = _of_an_earlier_day(state, now)
    since = state.watched_since or watch_start(state.entry.first_fill_at, now)
    guarding = replace(entries.with_stop_of_fill(exits.grow_exit(state)), watched_since=since, unproven=unproven)
    ask: list[Decision] = [AskCover()] if unproven else [SetTimer(Timer.SELL, state.run.sell_at)]
    return guarding, [WatchPrice(guarding.stop_loss), *ask, *_follow_entry(guarding, now)]


def _of_an_earlier_day(state: StrategyState, now: datetime) -> bool:
    """The broker squares intraday positions off before a session ends; it may have failed to."""
    bought_on = state.run.buy_at.date()
    return state.run.product is Product.MIS and now.astimezone(state.run.buy_at.tzinfo).date() > bought_on


def _follow_entry(state: StrategyState, now: datetime) -> list[Decision]:
    if not state.entry.live:
        return []
    patience = SetTimer(Timer.ENTRY_PATIENCE, now + entries.ENTRY_PATIENCE)
    return [_follow(state.entry, not_after=now), patience]


def _follow(order: Order, not_after: datetime | None) -> SendOrder:
    """Find out what happened to an order of an earlier incarnation."""
    return SendOrder(order.intent, look_up_first=True, not_after=not_after, order_id=order.order_id)


def _resume_exit(state: StrategyState, now: datetime) -> Step:
    cause = state.exit_event or exits.cause_of_adopted_exit(state, now)
    named = tuple(replace(order, intent=replace(order.intent, event=cause)) for order in state.exits)
    exiting = replace(state, exit_event=cause, exits=named)
    after, decisions = exits.settle(exiting, now)
    decisions = [replace(d, look_up_first=True) if isinstance(d, SendOrder) else d for d in decisions]
    for order in exiting.exits:
        if order.live:
            decisions = [_follow(order, not_after=now if state.closed_outside else None), *decisions]
    if after.phase is Phase.EXIT_FAILED and state.phase is Phase.EXIT_FAILED:
        decisions = [SetTimer(Timer.RETRY, now), *decisions]
    return after, [*decisions, *_follow_entry(after, now), WatchPrice(None)]


def _resume_restored(
    marked: StrategyState, found: StrategyState, restored: Restored, event: ev.RunRecovered, now: datetime
) -> Step:
    before, adopted = replace(marked, restored=None), replace(found, restored=None)
    provable = now.astimezone(adopted.run.buy_at.tzinfo).date() <= restored.provable_until
    bought = adopted.entry.filled_quantity > 0
    over = bought and adopted.open_quantity <= 0 and not any(order.live for order in adopted.exits)
    if over or (provable and (bought or adopted.entry.order_id is not None)):
        after, decisions = _resume(before, adopted, event, now)
        return after, [*decisions, *_goes_on(after, restored)]
    if bought:
        return _wait_for_word(adopted, restored, now)
    return _buy_no_more(adopted, restored, now, provable=provable)


def _goes_on(state: StrategyState, restored: Restored) -> list[Decision]:
    """What the trader has changed since the backup is lost, and he must hear it while it matters."""
    if state.phase is Phase.ENDED:
        return []
    what = f"{state.open_quantity or state.run.quantity} {state.run.instrument.symbol}"
    message = (
        f"{_since(state, restored)}: {what}, stop-loss ₹{to_rupees(state.stop_loss)}. "
        "A stop-loss that was moved since then is back where it was; move it again"
    )
    return [LogEvent(LogWord.RESTORED, message), RaiseAlert("restored", message)]


def _wait_for_word(state: StrategyState, restored: Restored, now: datetime) -> Step:
    """The shares may have been sold on a day that no order book shows any more: those of the account may be others."""
    quantity, symbol = state.open_quantity, state.run.instrument.symbol
    message = (
        f"{_since(state, restored)}. Whether its {quantity} {symbol} were sold since cannot be seen any more: "
        "they are not guarded until you say that you still hold them. If you have sold them, say that"
    )
    waiting = replace(state, closed_outside=True, detail=StatusDetail.NEEDS_CONFIRMATION, message=message)
    return _end_restored(waiting, RaiseAlert("needs_confirmation", message), now)


def _buy_no_more(state: StrategyState, restored: Restored, now: datetime, *, provable: bool) -> Step:
    """The trader may have stopped it since, which no order book shows: only a new START buys."""
    message = f"{_since(state, restored)}. Nothing was bought: start the strategy again if you still want it"
    if not provable and state.run.buy_at <= now:
        what = f"{state.run.quantity} {state.run.instrument.symbol}"
        message = (
            f"{_since(state, restored)}. Whether it has bought {what} since cannot be seen any more: "
            "look into the account; what it holds is not guarded"
        )
    ending = replace(state, detail=StatusDetail.RESTORED, message=message)
    return _end_restored(ending, RaiseAlert("restored", message), now)


def _end_restored(state: StrategyState, alert: RaiseAlert, now: datetime) -> Step:
    ended, decisions = end(state, now)
    return ended, [LogEvent(LogWord.RESTORED, state.message), alert, *decisions]


def _since(state: StrategyState, restored: Restored) -> str:
    return f"Restored from the backup of {restored.backed_up_at.astimezone(state.run.buy_at.tzinfo):%Y-%m-%d %H:%M:%S}"
