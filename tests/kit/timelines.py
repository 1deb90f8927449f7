"""A run's rows in memory as the page of a timeline that holds them all, for tests without a database."""

from collections.abc import Sequence

from actors.domain.identifiers import Leg
from actors.domain.orders.log_events import REPORTS
from actors.domain.orders.order import OrderEvent
from persistence.database.models.order_logs import OrderLog
from persistence.database.models.runs import Intent
from persistence.database.repositories.base import Total
from persistence.database.repositories.timelines import Exits, LegLines, RunPage

_FAILURES = frozenset({"ORDER_FAILED", "ORDER_REJECTED", "ORDER_CANCELLED"})


def whole_page(intents: Sequence[Intent], lines: Sequence[OrderLog]) -> RunPage:
    """What `Timelines.page` finds of a run that is no longer than a page; intents and lines in their order."""
    exits = [intent for intent in intents if intent.leg == Leg.EXIT]
    known = {(intent.leg, intent.seq) for intent in intents}
    notes = [line for line in lines if not _is_told_by_a_leg(line, known)]
    of_legs: dict[tuple[str, int], LegLines] = {}
    for leg, seq in known:
        own = [line for line in lines if (line.leg, line.seq) == (leg, seq)]
        of_legs[leg, seq] = LegLines(own, sum(line.event in set(OrderEvent) for line in own))
    failures = [note.reason for note in notes if note.reason and note.event in _FAILURES]
    filled = [intent.filled_quantity for intent in exits]
    return RunPage(
        entry=next((intent for intent in intents if intent.leg == Leg.ENTRY), None),
        first_exit=exits[0] if exits else None,
        last_exit=exits[-1] if exits else None,
        exits=exits,
        lines=of_legs,
        notes=notes,
        notes_total=Total(len(notes), capped=False),
        all_exits=Exits(len(exits), sum(filled), sum(quantity > 0 for quantity in filled)),
        failure=failures[-1] if failures else None,
    )


def _is_told_by_a_leg(line: OrderLog, known: set[tuple[str, int]]) -> bool:
    if line.leg is None or line.seq is None or (line.leg, line.seq) not in known:
        return False
    return line.event in set(OrderEvent) or (line.event in REPORTS and not line.reason)
