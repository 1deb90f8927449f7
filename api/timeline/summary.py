"""A run in one plain sentence: what was bought and sold, when, and if not, why."""

from dataclasses import dataclass
from datetime import tzinfo

from actors.domain.money import round_rupees, to_rupees
from actors.domain.orders.log_events import ExitCause
from actors.domain.strategy.state import StatusDetail
from api.timeline.schemas import TimelineLeg
from persistence.database.models.runs import Run
from persistence.database.repositories.timelines import Exits

_TIME = "%H:%M:%S"
_HOW: dict[str, str] = {
    ExitCause.STOPLOSS: "by stop-loss",
    ExitCause.SELL: "at the sell time",
    ExitCause.STOP: "on STOP",
}


@dataclass(frozen=True, slots=True)
class RunLegs:
    """What the sentence about a run is made of; `failure` is the last reason why an order failed."""

    run: Run
    symbol: str
    entry: TimelineLeg | None
    first_exit: TimelineLeg | None
    last_exit: TimelineLeg | None
    exits: Exits
    failure: str | None
    zone: tzinfo


def summary_of(of: RunLegs) -> str:
    """The sentence; times of day are in the zone of the exchange."""
    if of.entry is None:  # its intent is stored with the run, so only a run made by hand has none
        return of.run.message
    if not of.entry.filled_quantity:
        return f"{_not_bought(of, of.entry)}."
    return f"{_bought(of.symbol, of.entry)}; {_sold(of, of.entry.filled_quantity)}."


def _not_bought(of: RunLegs, entry: TimelineLeg) -> str:
    run, symbol = of.run, of.symbol
    if run.ended_at is not None:
        return f"Did not buy {symbol}: {_why_not(of, entry)}"
    if entry.outcome == "waiting":
        return f"Waiting to buy {entry.quantity} {symbol} at {run.buy_at.astimezone(of.zone):%H:%M:%S on %Y-%m-%d}"
    if entry.outcome == "failed":
        return f"Not bought {symbol} yet: {run.message}"
    return f"Buying {entry.quantity} {symbol}{_when(entry)}: {_unfilled(run)}"


def _why_not(of: RunLegs, entry: TimelineLeg) -> str:
    if entry.outcome == "missed":
        return f"its time {of.run.buy_at.astimezone(of.zone):{_TIME}} had passed before it could be acted on"
    if of.run.status_detail == StatusDetail.STOPPED_BY_USER:
        return "stopped before anything was bought"
    return f"{of.failure or of.run.message}{_attempts(entry)}"


def _bought(symbol: str, entry: TimelineLeg) -> str:
    filled, wanted = entry.filled_quantity, entry.quantity
    quantity = f"{filled} of {wanted}" if filled < wanted else str(filled)
    return f"Bought {quantity} {symbol}{_at(entry.average_price)}{_when(entry)}{_attempts(entry)}"


def _sold(of: RunLegs, bought: int) -> str:
    run, first, sold = of.run, of.first_exit, of.exits.sold
    if first is None or not sold:
        return _unsold(of)
    quantity = f"{sold} of {bought} " if sold < bought else ""
    price = None if run.sell_price is None else float(round_rupees(run.sell_price))
    parts = f" in {of.exits.orders} orders" if of.exits.orders > 1 else ""
    done = f"sold {quantity}{_how(first)}{_at(price)}{parts}{_when(first)}"
    return done if sold >= bought else f"{done}; the rest: {run.message}"


def _unsold(of: RunLegs) -> str:
    run, first, last = of.run, of.first_exit, of.last_exit
    if run.status_detail == StatusDetail.CLOSED_OUTSIDE:
        return "closed outside TradeActors"
    if run.status_detail in {StatusDetail.MISSED_EXECUTION, StatusDetail.NEEDS_CONFIRMATION}:
        return run.message
    if first is None or last is None or last.outcome == "waiting":
        stop_loss = to_rupees(run.stop_loss_paise)  # bought: it has a level, also if that is a share of the fill
        return f"held until {run.sell_at.astimezone(of.zone):{_TIME}}, or the stop-loss at {stop_loss}"
    return f"selling {_how(first)}{_when(first)}: {_unfilled(run)}"


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
    return f" (after {leg.attempts_total} attempts)" if leg.attempts_total > 1 else ""
