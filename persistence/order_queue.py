"""Keeps `queue:orders` true to PostgreSQL after a crash or a flush (row G2, design §3.4).

In the normal course an event is pushed with its claim and leaves with the record of its result. What a crash left
behind is removed here, what a flush took away is shown again, and what nobody can read is put aside.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import select, tuple_
from sqlmodel import col

from persistence.database import Sessions, transaction
from persistence.models import Intent, Run
from persistence.records import FINAL_INTENT_STATES
from persistence.runtime_mirror import RuntimeMirror

log = structlog.stdlib.get_logger(__name__)

_SETTLING = timedelta(seconds=15)
"""A younger event may be that of an intent that is tried again, whose record says failed for a moment longer."""

_IN_WORK = ("claimed", "sent", "acknowledged")

Key = tuple[int, str, int]
"""Run, leg and sequence number of an intent."""


def final_intents(intents: Iterable[Intent]) -> list[str]:
    """Of these intents, those whose results are recorded, as the queue names them."""
    return [f"{i.run_id}-{i.leg}-{i.seq}" for i in intents if i.state in FINAL_INTENT_STATES]


async def sweep(sessions: Sessions, mirror: RuntimeMirror) -> None:
    """Remove events whose results are recorded, and put aside what nobody can read.

    Raises:
        MirrorUnavailable, DatabaseUnavailable: nothing is lost by trying again later.
    """
    old: dict[Key, str] = {}
    for text in await mirror.pending_orders():
        try:
            event = json.loads(text)
            run_id, leg, seq = str(event["intent_id"]).split("-")
            key, at = (int(run_id), leg, int(seq)), datetime.fromisoformat(event["at"])
            is_old = datetime.now(UTC) - at > _SETTLING
        except (ValueError, KeyError, TypeError):
            log.warning("order_queue.unreadable_event", text=text[:200])
            await mirror.bury(text)
            continue
        if is_old:
            old[key] = str(event["intent_id"])
    if old:
        settled = await _settled(sessions, list(old))
        await mirror.settle([name for key, name in old.items() if key in settled])


async def _settled(sessions: Sessions, keys: Sequence[Key]) -> set[Key]:
    """Those of which nothing is in work: final, or of a run that is over or unknown.

    An exit that continues another may be in work before it is journalled, so an unknown intent of an open run stays.
    """
    named = tuple_(col(Intent.run_id), col(Intent.leg), col(Intent.seq)).in_(keys)
    final = select(col(Intent.run_id), col(Intent.leg), col(Intent.seq)).where(
        named, col(Intent.state).in_(FINAL_INTENT_STATES)
    )
    runs = select(col(Run.id)).where(col(Run.id).in_({key[0] for key in keys}), col(Run.ended_at).is_(None))
    async with transaction(sessions) as session:
        done = {(row[0], row[1], row[2]) for row in await session.execute(final)}
        open_runs = set(await session.scalars(runs))
    return {key for key in keys if key in done or key[0] not in open_runs}


async def show_again(sessions: Sessions, mirror: RuntimeMirror) -> None:
    """After a flush: every intent in work is on the queue again.

    Raises:
        MirrorUnavailable, DatabaseUnavailable: nothing is lost by trying again later.
    """
    in_work = (
        select(Intent, col(Run.strategy_id))
        .join(Run, col(Run.id) == col(Intent.run_id))
        .where(col(Run.ended_at).is_(None), col(Intent.state).in_(_IN_WORK))
    )
    async with transaction(sessions) as session:
        rows = (await session.execute(in_work)).all()
    for intent, strategy_id in rows:
        name = f"{intent.run_id}-{intent.leg}-{intent.seq}"
        event = {
            "event": intent.cause or ("BUY" if intent.leg == "ENTRY" else "SELL"),
            "strategy_id": strategy_id,
            "intent_id": name,
            "at": intent.updated_at.isoformat(),
        }
        await mirror.requeue(name, json.dumps(event))
