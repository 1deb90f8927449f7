"""A run's legs and notes out of its row, its intents and its order log: why a trade did or did not happen.

Pure: rows in, the answer out. Every line of the log belongs to a leg or to the notes
(`persistence.database.repositories.timelines`): attempts and the instants of orders to legs; whatever gives a reason,
and whatever no leg shows, to the notes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from actors.domain.identifiers import Leg
from actors.domain.money import round_rupees
from actors.domain.orders.log_events import REPORTS, TRIGGERED, ExitCause, LogWord
from actors.domain.orders.order import OrderEvent
from actors.domain.orders.placement_policy import AttemptOutcome
from api.timeline.schemas import OutcomeWord, StrategyTimeline, TimelineAttempt, TimelineLeg, TimelineNote
from api.timeline.summary import RunLegs, summary_of
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Intent, Run
from persistence.database.repositories.timelines import STOP_IN_OLD_LINES, LegLines, RunPage

_ATTEMPTS = frozenset(OrderEvent)
_DECISIONS = frozenset({*TRIGGERED.values(), LogWord.EXIT_CONTINUED})
_FINAL = frozenset({"filled", "cancelled", "rejected"})
_OUTCOMES: dict[str, OutcomeWord] = {
    "claimed": "sent",
    "sent": "sent",
    "acknowledged": "working",
    "filled": "filled",
    "rejected": "rejected",
    "cancelled": "cancelled",
    "failed": "failed",
}


def timeline_of_run(run: Run, symbol: str, page: RunPage, zone: tzinfo, limit: int, offset: int) -> StrategyTimeline:
    """`page` is the run's, of the newest `limit` exits and notes but for `offset`; instants are in `zone`."""
    shown = _Shown(run, page, zone)
    entry, first, last = (shown.leg(intent) for intent in (page.entry, page.first_exit, page.last_exit))
    legs = [] if entry is None else [entry]
    cause: str | None = ExitCause.STOP if page.after_stop else None
    for intent in page.exits:
        legs.append(_Leg(run, intent, shown.lines(intent), cause, zone).shown())
        cause = legs[-1].cause
    return StrategyTimeline(
        strategy_id=run.strategy_id,
        run_id=run.id,
        started_at=run.started_at.astimezone(zone),
        ended_at=None if run.ended_at is None else run.ended_at.astimezone(zone),
        message=run.message,
        summary=summary_of(RunLegs(run, symbol, entry, first, last, page.all_exits, page.failure, zone)),
        legs=legs,
        legs_total=page.all_exits.number + (entry is not None),
        notes=[TimelineNote(at=_at(line, zone), event=line.event, reason=_reason(line)) for line in page.notes],
        notes_total=page.notes_total.number,
        notes_total_capped=page.notes_total.capped,
        limit=limit,
        offset=offset,
    )


def timeline_before_start(strategy_id: int, limit: int, offset: int) -> StrategyTimeline:
    """Of a strategy that never ran."""
    return StrategyTimeline(
        strategy_id=strategy_id,
        run_id=None,
        started_at=None,
        ended_at=None,
        message="Not started yet",
        summary="Not started yet.",
        legs=[],
        legs_total=0,
        notes=[],
        notes_total=0,
        notes_total_capped=False,
        limit=limit,
        offset=offset,
    )


def _at(line: OrderLog, zone: tzinfo) -> datetime:
    return line.occurred_at.astimezone(zone)


def _reason(line: OrderLog) -> str | None:
    """The line's reason; of an attempt that no leg shows, what it has proven."""
    return line.reason or (line.status if line.event in _ATTEMPTS else None)


def _asked_by_trader(line: OrderLog) -> bool:
    """Whether the line is the decision to sell on STOP; the log calls its attempts SELL, as those of a timed exit."""
    if line.event != LogWord.SELL_TRIGGERED:
        return False
    cause = line.detail.get("exit_cause")
    return cause == ExitCause.STOP or (cause is None and line.reason == STOP_IN_OLD_LINES)


@dataclass(frozen=True, slots=True)
class _Shown:
    """Single legs of a page."""

    run: Run
    page: RunPage
    zone: tzinfo

    def lines(self, intent: Intent) -> LegLines:
        return self.page.lines.get((intent.leg, intent.seq), LegLines())

    def leg(self, intent: Intent | None) -> TimelineLeg | None:
        return None if intent is None else _Leg(self.run, intent, self.lines(intent), None, self.zone).shown()


@dataclass(frozen=True, slots=True)
class _Leg:
    """One intent and its own lines. `cause_before` is that of the leg before it, which an exit's remainder shares."""

    run: Run
    intent: Intent
    read: LegLines
    cause_before: str | None
    zone: tzinfo

    @property
    def lines(self) -> Sequence[OrderLog]:
        return self.read.lines

    def shown(self) -> TimelineLeg:
        intent, attempts = self.intent, [self._attempt(line) for line in self.lines if line.event in _ATTEMPTS]
        cause, scheduled_at = self._cause(), self._scheduled_at()
        triggered_at = self._triggered_at(timed=scheduled_at is not None)
        reached = [a.sent_at for a in attempts if a.sent_at and a.status != AttemptOutcome.NOT_SENT]
        sent_at = min(reached, default=None)
        accepted = [a.order_id for a in attempts if a.order_id is not None]
        return TimelineLeg(
            leg="ENTRY" if intent.leg == Leg.ENTRY else "EXIT",
            seq=intent.seq,
            cause=cause,
            scheduled_at=scheduled_at,
            triggered_at=triggered_at,
            sent_at=sent_at,
            acknowledged_at=self._acknowledged_at(attempts),
            filled_at=self._filled_at(),
            late_ms=_milliseconds(scheduled_at or triggered_at, sent_at),
            order_id=intent.order_id or (accepted[0] if accepted else None),
            quantity=intent.quantity,
            filled_quantity=intent.filled_quantity,
            average_price=None if intent.average_price is None else float(round_rupees(intent.average_price)),
            outcome=self._outcome(),
            attempts=attempts,
            attempts_total=self.read.attempts,
        )

    def _attempt(self, line: OrderLog) -> TimelineAttempt:
        return TimelineAttempt(
            status=line.status,
            sent_at=self._instant(line.detail.get("sent_at")),
            answered_at=_at(line, self.zone),
            order_id=line.order_id,
            reason=line.reason,
        )

    def _cause(self) -> str | None:
        if self.intent.leg == Leg.ENTRY:
            return OrderEvent.BUY
        if any(_asked_by_trader(line) for line in self.lines):
            return ExitCause.STOP
        continued = self.intent.seq > 1 and self.intent.cause == OrderEvent.SELL and self.cause_before == ExitCause.STOP
        return ExitCause.STOP if continued else self.intent.cause

    def _scheduled_at(self) -> datetime | None:
        """When the leg was to go out by the clock: no remainder is, nor what the price or STOP sells."""
        if self.intent.leg == Leg.ENTRY:
            return self.run.buy_at.astimezone(self.zone)
        timed = self.intent.seq == 1 and self._cause() in {None, OrderEvent.SELL}
        return self.run.sell_at.astimezone(self.zone) if timed else None

    def _triggered_at(self, *, timed: bool) -> datetime | None:
        """When it was decided. What is not timed counts from its cause, such as the arrival of the tick."""
        decided = [line.occurred_at for line in self.lines if line.event in _DECISIONS]
        if not timed:
            due = [self._instant(line.detail.get("triggered_at")) for line in self.lines if line.event in _ATTEMPTS]
            decided += [instant for instant in due if instant is not None]
        return min(decided).astimezone(self.zone) if decided else None

    def _acknowledged_at(self, attempts: Sequence[TimelineAttempt]) -> datetime | None:
        """When the broker's order was first known: by its answer, or because it was found in the order book."""
        known = [a.answered_at for a in attempts if a.order_id is not None]
        known += [line.occurred_at for line in self.lines if line.event in REPORTS and line.order_id is not None]
        return min(known).astimezone(self.zone) if known else None

    def _filled_at(self) -> datetime | None:
        """When the last share of a final order was filled."""
        fills = [line for line in self.lines if line.event in REPORTS and line.quantity]
        if not fills or self.intent.state not in _FINAL:
            return None
        most = max(line.quantity or 0 for line in fills)
        return min(line.occurred_at for line in fills if line.quantity == most).astimezone(self.zone)

    def _outcome(self) -> OutcomeWord:
        if self.intent.state != "armed":
            return _OUTCOMES[self.intent.state]
        if any(line.event == LogWord.MISSED_EXECUTION for line in self.lines):
            return "missed"
        return "waiting" if self.run.ended_at is None else "not_sent"

    def _instant(self, text: Any) -> datetime | None:
        return datetime.fromisoformat(text).astimezone(self.zone) if text else None


def _milliseconds(due: datetime | None, sent_at: datetime | None) -> int | None:
    if due is None or sent_at is None:
        return None
    return round((sent_at - due) / timedelta(milliseconds=1))
