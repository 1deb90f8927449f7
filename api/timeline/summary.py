"""A run in one plain sentence: what was bought and sold, when, and if not, why."""

from collections.abc import Sequence
from datetime import tzinfo

from actors.domain.identifiers import Leg
from actors.domain.money import round_rupees, to_rupees
from actors.domain.orders.log_events import ExitCause, LogWord
from actors.domain.strategy.state import StatusDetail
from api.timeline.schemas import TimelineLeg, TimelineNote
from persistence.database.models.runs import Run

_TIME = "%H:%M:%S"
_HOW: dict[str, str] = {
    ExitCause.STOPLOSS: "by stop-loss",
    ExitCause.SELL: "at the sell time",
    ExitCause.STOP: "on STOP",
}
_WHY = frozenset({LogWord.ORDER_FAILED, LogWord.ORDER_REJECTED, LogWord.ORDER_CANCELLED})


def summary_of(run: Run, symbol: str, legs: Sequence[TimelineLeg], notes: Sequence[TimelineNote], zone: tzinfo) -> str:
    """The sentence for a run whose `legs` and `notes` are known already; times of day are in `zone`."""
    entry = next((leg for leg in legs if leg.leg == Leg.ENTRY), None)
    if entry is None:  # its intent is stored with the run, so only a run made by hand has none
        return run.message
    if not entry.filled_quantity:
        return f"{_not_bought(run, symbol, entry, notes, zone)}."
    exits = [leg for leg in legs if leg.leg == Leg.EXIT]
    return f"{_bought(symbol, entry)}; {_sold(run, entry.filled_quantity, exits, zone)}."


def _not_bought(run: Run, symbol: str, entry: TimelineLeg, notes: Sequence[TimelineNote], zone: tzinfo) -> str:
    if run.ended_at is not None:
        return f"Did not buy {symbol}: {_why_not(run, entry, notes, zone)}"
    if entry.outcome == "waiting":
        return f"Waiting to buy {entry.quantity} {symbol} at {run.buy_at.astimezone(zone):%H:%M:%S on %Y-%m-%d}"
    if entry.outcome == "failed":
        return f"Not bought {symbol} yet: {run.message}"
    return f"Buying {entry.quantity} {symbol}{_when(entry)}: {_unfilled(run)}"


def _why_not(run: Run, entry: TimelineLeg, notes: Sequence[TimelineNote], zone: tzinfo) -> str:
    if entry.outcome == "missed":
        return f"its time {run.buy_at.astimezone(zone):{_TIME}} had passed before it could be acted on"
    if run.status_detail == StatusDetail.STOPPED_BY_USER:
        return "stopped before anything was bought"
    reasons = [note.reason for note in notes if note.event in _WHY and note.reason]
    return f"{reasons[-1] if reasons else run.message}{_attempts(entry)}"


def _bought(symbol: str, entry: TimelineLeg) -> str:
    filled, wanted = entry.filled_quantity, entry.quantity
    quantity = f"{filled} of {wanted}" if filled < wanted else str(filled)
    return f"Bought {quantity} {symbol}{_at(entry.average_price)}{_when(entry)}{_attempts(entry)}"


def _sold(run: Run, bought: int, exits: Sequence[TimelineLeg], zone: tzinfo) -> str:
    sold = sum(leg.filled_quantity for leg in exits)
    if not sold:
        return _unsold(run, exits, zone)
    first, orders = exits[0], sum(leg.filled_quantity > 0 for leg in exits)
    quantity = f"{sold} of {bought} " if sold < bought else ""
    price = None if run.sell_price is None else float(round_rupees(run.sell_price))
    parts = f" in {orders} orders" if orders > 1 else ""
    done = f"sold {quantity}{_how(first)}{_at(price)}{parts}{_when(first)}"
    return done if sold >= bought else f"{done}; the rest: {run.message}"


def _unsold(run: Run, exits: Sequence[TimelineLeg], zone: tzinfo) -> str:
    if run.status_detail == StatusDetail.CLOSED_OUTSIDE:
        return "closed outside TradeActors"
    if run.status_detail in {StatusDetail.MISSED_EXECUTION, StatusDetail.NEEDS_CONFIRMATION}:
        return run.message
    if not exits or exits[-1].outcome == "waiting":
        stop_loss = to_rupees(run.stop_loss_paise)
        return f"held until {run.sell_at.astimezone(zone):{_TIME}}, or the stop-loss at {stop_loss}"
    return f"selling {_how(exits[0])}{_when(exits[0])}: {_unfilled(run)}"


def _unfilled(run: Run) -> str:
    return run.message if run.status_detail else "not filled yet"


def _how(leg: TimelineLeg) -> str:
    return _HOW.get(leg.cause or "", "")


def _at(price: float | None) -> str:
    return "" if price is None else f" at {price:.2f}"


def _when(leg: TimelineLeg) -> str:
    if leg.late_ms is None:
        return ""
    if leg.scheduled_at is not None:
        return f", {leg.late_ms} ms after {leg.scheduled_at:{_TIME}}"
    due = "the price touched it" if leg.cause == ExitCause.STOPLOSS else "it was decided"
    return f", {leg.late_ms} ms after {due} at {leg.triggered_at:{_TIME}}"


def _attempts(leg: TimelineLeg) -> str:
    return f" (after {len(leg.attempts)} attempts)" if len(leg.attempts) > 1 else ""
