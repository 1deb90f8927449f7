"""What is on `queue:orders` (row G2), and the sweep that removes what should not be there any more.

An event leaves the queue when the result of its intent is recorded. A process that dies between the two, or a Redis
that is away just then, leaves it behind; the sweep finds it by what PostgreSQL says.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlmodel import col

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import IntentId, Leg
from actors.domain.orders.order import OrderEvent
from persistence.database.engine import Sessions, transaction
from persistence.database.models.runs import Intent, Run
from persistence.journal.records import FINAL_INTENT_STATES, WORKING_INTENT_STATES, IntentRecord
from persistence.mirror.mirror import RunOrders, RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

_LARGEST_ID = 2**63 - 1
_RUNS_AT_ONCE = 1000
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class QueuedOrder:
    """One readable event of the queue; `raw` is how Redis holds it."""

    strategy_id: int
    intent_id: IntentId
    raw: bytes


def order_event(strategy_id: int, intent_id: IntentId, cause: str, at: datetime) -> str:
    """An event as the queue carries it."""
    event = {"event": cause, "strategy_id": strategy_id, "intent_id": str(intent_id), "at": at.isoformat()}
    return json.dumps(event)


def read_order(raw: bytes) -> QueuedOrder | None:
    """The event, or None if it is not one that we could have written."""
    try:
        event = json.loads(raw)
        OrderEvent(event["event"])
        strategy_id, text, _ = event["strategy_id"], event["intent_id"], event["at"]
        intent_id = IntentId.parse(text)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidValue):
        return None
    numbers = (strategy_id, intent_id.run_id, intent_id.seq)
    if str(intent_id) != text or any(type(n) is not int or not 0 < n <= _LARGEST_ID for n in numbers):
        return None
    return QueuedOrder(strategy_id, intent_id, raw)


def intent_id_of(intent: Intent | IntentRecord) -> IntentId:
    """The id of an intent of the journal."""
    return IntentId(intent.run_id, Leg(intent.leg), intent.seq)


def pending_events(strategy_id: int, intents: Iterable[Intent]) -> dict[str, str]:
    """The events of those intents that are working, by intent id; one that was never acted on has none to show."""
    working = (intent for intent in intents if intent.state in WORKING_INTENT_STATES)
    return {
        str(intent_id_of(intent)): order_event(strategy_id, intent_id_of(intent), intent.cause, intent.updated_at)
        for intent in working
        if intent.cause is not None
    }


def run_orders(intents: Iterable[Intent | IntentRecord], pending: Mapping[str, str] | None = None) -> RunOrders:
    """What the queue learns of a run's intents: which are settled, and which of those may be tried again."""
    final = [intent for intent in intents if intent.state in FINAL_INTENT_STATES]
    return RunOrders(
        settled=[str(intent_id_of(intent)) for intent in final if intent.state != "failed"],
        failed=[str(intent_id_of(intent)) for intent in final if intent.state == "failed"],
        pending=pending or {},
    )


async def sweep_orders(sessions: Sessions, mirror: RuntimeMirror) -> None:
    """Take off the queue what is settled in PostgreSQL; what no order of ours can have put there is buried.

    Costs one read of Redis while the queue is empty.

    Raises:
        MirrorUnavailable: Redis does not answer.
        DatabaseUnavailable: PostgreSQL does not answer; what is unreadable has been buried.
    """
    raw_events = await mirror.raw_orders()
    if not raw_events:
        return
    orders = [order for raw in raw_events if (order := read_order(raw)) is not None]
    readable = {order.raw for order in orders}
    await _bury(mirror, [raw for raw in raw_events if raw not in readable], "not an order event")
    runs = await _runs(sessions, orders)
    foreign = [order.raw for order in orders if not _is_ours(order, runs)]
    await _bury(mirror, foreign, "no run of that strategy has this id")
    for order in orders:
        if not _is_ours(order, runs):
            continue
        run = runs[order.intent_id.run_id]
        if run.ended:
            await mirror.settle_run(order.intent_id.run_id)
        elif order.intent_id in run.final:
            # It may have been tried again since we asked PostgreSQL.
            await mirror.settle(order.strategy_id, [str(order.intent_id)], unless_held=True)


@dataclass(frozen=True, slots=True)
class _RunFacts:
    strategy_id: int
    ended: bool
    final: set[IntentId]


async def _runs(sessions: Sessions, orders: Sequence[QueuedOrder]) -> dict[int, _RunFacts]:
    run_ids = sorted({order.intent_id.run_id for order in orders})
    facts: dict[int, _RunFacts] = {}
    for start in range(0, len(run_ids), _RUNS_AT_ONCE):
        final = (col(Intent.run_id) == col(Run.id)) & col(Intent.state).in_(sorted(FINAL_INTENT_STATES))
        statement = (
            select(col(Run.id), col(Run.strategy_id), col(Run.ended_at), col(Intent.leg), col(Intent.seq))
            .outerjoin(Intent, final)
            .where(col(Run.id).in_(run_ids[start : start + _RUNS_AT_ONCE]))
        )
        async with transaction(sessions) as session:
            rows = (await session.execute(statement)).all()
        for run_id, strategy_id, ended_at, leg, seq in rows:
            known = facts.setdefault(run_id, _RunFacts(strategy_id, ended_at is not None, set()))
            if leg is not None:
                known.final.add(IntentId(run_id, Leg(leg), seq))
    return facts


def _is_ours(order: QueuedOrder, runs: dict[int, _RunFacts]) -> bool:
    run = runs.get(order.intent_id.run_id)
    return run is not None and run.strategy_id == order.strategy_id


async def _bury(mirror: RuntimeMirror, events: list[bytes], reason: str) -> None:
    if not events:
        return
    await mirror.bury(events)
    for event in events:
        log.warning("order_event_buried", reason=reason, order_event=event[:_SHOWN].decode(errors="backslashreplace"))
