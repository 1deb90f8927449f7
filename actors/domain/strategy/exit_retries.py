"""An exit that cannot be filled, or cannot be sent, for as long as the market is as it is: what the trader reads.

Functions take a state and return (state, decisions), like `machine.step`, which alone calls them. The position
stays open and guarded by the exit itself: it is in the broker's queue, or it leaves at a known instant.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from actors.domain.identifiers import Product
from actors.domain.money import to_rupees
from actors.domain.orders.log_events import LogWord
from actors.domain.strategy import events as ev
from actors.domain.strategy.decisions import CancelTimers, Decision, LogEvent, RaiseAlert, SetTimer
from actors.domain.strategy.events import Timer
from actors.domain.strategy.outcomes import PROBE_INTERVAL, Step
from actors.domain.strategy.state import Phase, RunStatus, StatusDetail, StrategyState

EXIT_RETRY_DELAY = timedelta(seconds=15)
"""Between the first tries of an exit that could not be placed (ruling 3: "keeps retrying the exit, slowly")."""

_RETRY_PAUSES = tuple(EXIT_RETRY_DELAY * n for n in (1, 1, 1, 1, 2, 4, 8, 20, 40))
_OFTEN = len(_RETRY_PAUSES) - 1

_FIRST_OPEN = timedelta(milliseconds=100)
_SPREAD, _PLACES = timedelta(milliseconds=20), 45
"""Exits that wait for the same opening leave within its first second, not all in its first millisecond. The broker's
clock is not ours: none leaves in the very instant."""

_PLACED_OFTEN, _RARE_TRIES = 5, 15


def retry_pause(tries: int) -> timedelta:
    """How long until the next try of an exit that has failed `tries` times in a row (ruling 3: "slowly")."""
    return _RETRY_PAUSES[min(max(tries - 1, 0), _OFTEN)]


def leaves_at(opens: datetime, run_id: int) -> datetime:
    """When an exit of the run leaves that waits for this opening."""
    return opens + _FIRST_OPEN + (run_id % _PLACES) * _SPREAD


def first_probe(tries: int) -> timedelta:
    """Until the first look at the broker: one that answers, and lets no order arrive, is asked more rarely."""
    return PROBE_INTERVAL if tries <= _PLACED_OFTEN else PROBE_INTERVAL * _RARE_TRIES


def refused_often(state: StrategyState) -> list[Decision]:
    """Tell the trader once, when the tries have become as rare as they get."""
    if state.exit_tries != _OFTEN + 1:
        return []
    minutes = int(_RETRY_PAUSES[-1] / timedelta(minutes=1))
    message = (
        f"The exit has failed {state.exit_tries} times; it is tried again every {minutes} minutes. "
        "Press STOP to try it now, or sell by hand"
    )
    return [LogEvent(LogWord.EXIT_FAILS_OFTEN, message), RaiseAlert("exit_fails_often", message)]


# --- a market that is closed ------------------------------------------------------------------------------------------


def for_market(state: StrategyState, event: ev.PlacementFailed, now: datetime) -> Step:
    """Nothing was sent: wait for the instant at which the market takes the exit, and say when that is."""
    opens = event.not_before or now + _RETRY_PAUSES[-1]
    shown = opens.astimezone(state.run.buy_at.tzinfo)
    what = "what is left of it" if state.run.product is Product.MIS else "the exit"
    message = (
        f"Market closed – position still open, {event.reason}; "
        f"{what} will be sent at {shown:%H:%M:%S} on {shown:%A}, {shown.day} {shown:%B}"
    )
    waiting = replace(
        state,
        phase=Phase.EXIT_FAILED,
        status=RunStatus.PAUSED,
        detail=StatusDetail.MARKET_CLOSED,
        message=message,
        told_open=opens,
        exit_tries=0,
    )
    decisions: list[Decision] = [CancelTimers(), SetTimer(Timer.RETRY, leaves_at(opens, state.run.run_id))]
    if state.told_open != opens:
        log = LogEvent(LogWord.MARKET_CLOSED, message, state.exits[-1].intent.id, quantity=state.open_quantity)
        decisions += [log, RaiseAlert("market_closed", message)]
    return waiting, decisions


# --- no buyers --------------------------------------------------------------------------------------------------------


def no_buyers(state: StrategyState, event: ev.NoBuyers, now: datetime) -> Step:
    """The exit waits in the queue at the circuit: show it, and tell the trader once."""
    current = state.exits[-1] if state.exits else None
    if state.phase is not Phase.EXITING or current is None or current.intent.id != event.intent_id:
        return state, []
    message = _in_queue(state, event)
    waiting = replace(
        state,
        no_buyers_since=state.no_buyers_since or now,
        status=RunStatus.RUNNING,
        detail=StatusDetail.NO_BUYERS,
        message=message,
    )
    if state.no_buyers_since is not None:
        return waiting, []
    log = LogEvent(LogWord.NO_BUYERS, message, event.intent_id, current.order_id, quantity=state.open_quantity)
    return waiting, [log, RaiseAlert("no_buyers", message)]


def _in_queue(state: StrategyState, event: ev.NoBuyers) -> str:
    shares = f"{state.open_quantity} {state.run.instrument.symbol}"
    return f"No buyers – {shares} are offered at ₹{to_rupees(event.price)}, the lower circuit, and wait in the queue"


def afterwards(before: StrategyState, after: StrategyState, event: ev.Event) -> Step:
    """What every event means for a wait: one that goes on is shown on, one that is over is said to be, once."""
    decisions: list[Decision] = []
    if isinstance(event, ev.OrderReported) and after.exit_tries and _sold(after) > _sold(before):
        after = replace(after, exit_tries=0)
    since = after.no_buyers_since
    if since is None:
        return after, decisions
    order = after.exits[-1]
    same = before.exits and before.exits[-1].intent.id == order.intent.id
    if after.phase is Phase.EXITING and order.live and same:
        if after.detail is StatusDetail.NONE:
            after = replace(after, detail=StatusDetail.NO_BUYERS, message=_still_in_queue(before, after))
        return after, decisions
    log = LogEvent(LogWord.NO_BUYERS_RESOLVED, f"since {since.isoformat()}", order.intent.id, order.order_id)
    return replace(after, no_buyers_since=None), [log]


def _still_in_queue(before: StrategyState, after: StrategyState) -> str:
    """The earlier message, for the shares that are left."""
    told = before.message if before.detail is StatusDetail.NO_BUYERS else "No buyers – the shares wait in the queue"
    return told.replace(f" {before.open_quantity} ", f" {after.open_quantity} ", 1)


def _sold(state: StrategyState) -> int:
    return sum(order.filled_quantity for order in state.exits)
