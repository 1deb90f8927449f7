"""A deployment that operators' commands look at: two stores of the tests' own, without processes."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from persistence.database.engine import Sessions, open_database, sessions_of, transaction
from persistence.database.models.runs import Run
from persistence.mirror.fields import runtime_fields
from persistence.mirror.mirror import RuntimeMirror
from persistence.mirror.prices import FeedState
from tests.integration.rows import new_run


@dataclass(frozen=True)
class TwoStores:
    """Two stores that the settings name, in which `make` writes."""

    database_url: str
    redis_url: str

    def make(self, write: Callable[[Sessions, RuntimeMirror], Coroutine[Any, Any, Any]]) -> Any:
        """What `write` returns, after it has written."""

        async def writing() -> Any:
            engine, mirror = open_database(self.database_url, pool_size=2), RuntimeMirror.connect(self.redis_url)
            try:
                return await write(sessions_of(engine), mirror)
            finally:
                await mirror.close()
                await engine.dispose()

        return asyncio.run(writing())


def holding(two_stores: TwoStores, guards: str) -> Run:
    """A run that holds ten shares and is guarded by these."""

    async def write(sessions: Sessions, mirror: RuntimeMirror) -> Run:
        made = await new_run(sessions)
        now = datetime.now(UTC)
        async with transaction(sessions) as session:
            held = await session.get_one(Run, made.id)
            held.position, held.filled_quantity, held.epoch = "bought", 10, 1
            held.sell_at, held.updated_at = now + timedelta(hours=1), now - timedelta(minutes=1)
        await mirror.put_run(held.strategy_id, "INFY", {"symbol": "INFY"}, runtime_fields(held, "INFY"))
        await mirror.put_stream("paper", {0: FeedState(live=True, lag_ms=3)})
        if guards:
            await mirror.show_guards([(held.strategy_id, held.id, guards, now.isoformat())])
        return held

    made: Run = two_stores.make(write)
    return made
