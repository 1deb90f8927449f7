"""Whether a user has forbidden entries, as PostgreSQL and Redis keep it (row N8)."""

import asyncio
from collections.abc import Awaitable

import structlog

from actors.ports.execution import EntryBans
from persistence.errors import DatabaseUnavailable, MirrorUnavailable
from persistence.journal.ledger import RunLedger
from persistence.mirror.mirror import RuntimeMirror

log = structlog.get_logger(__name__)

PATIENCE_S = 1.0
"""How long a reading waits for a store. A BUY is handed over two seconds ahead or more, so its claim can still be
tried again."""


async def stored_bans(ledger: RunLedger, mirror: RuntimeMirror) -> EntryBans:
    """A mark in either store forbids: a flushed Redis allows nothing, and neither does a panic that PostgreSQL has not
    heard of. Never raises."""
    answers = await asyncio.gather(_in_time(ledger.users_without_entries()), _in_time(mirror.users_without_entries()))
    users = frozenset[int]().union(*(answer for answer in answers if answer is not None))
    return EntryBans(users, complete=None not in answers)


async def _in_time(call: Awaitable[frozenset[int]]) -> frozenset[int] | None:
    """What a store says; None if it does not answer. To cancel a query of a server that hangs takes longer than this
    may, so its end is not waited for."""
    asked = asyncio.ensure_future(call)
    await asyncio.wait({asked}, timeout=PATIENCE_S)
    if not asked.done():
        asked.cancel()
        log.info("entry_bans.store_silent", reason="no answer in time")
        return None
    try:
        return asked.result()
    except (DatabaseUnavailable, MirrorUnavailable) as error:
        log.info("entry_bans.store_silent", reason=str(error))
        return None
