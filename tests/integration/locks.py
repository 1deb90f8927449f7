"""Transactions that wait for each other, as tests bring it about."""

import asyncio

from sqlalchemy import text

from persistence.database.engine import Sessions, transaction


async def until_waiting(sessions: Sessions, count: int) -> None:
    """Until as many transactions of this database wait for locks of others."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(30):
        while True:
            async with transaction(sessions) as session:
                if await session.scalar(waiting) == count:
                    return
