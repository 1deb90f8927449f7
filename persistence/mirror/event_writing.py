"""Writing to `events:{user_id}` from outside of a script, as `tell` of `scripts` does within one."""

from redis.asyncio.client import Pipeline

from persistence.mirror.keys import events_key
from persistence.mirror.scripts import EVENTS_KEEP_SECONDS, EVENTS_KEPT, WAKE_CHANNEL

ACCOUNT = "account"
"""An event that names no strategy: something about the user's account has changed."""

CHANGED = "changed"
"""An event without a state: a strategy was made or changed in the database."""


def tell(pipeline: Pipeline, user_id: int, event: str, strategy_id: int = 0) -> None:
    """Append an event without a state, and wake the user's streams."""
    key = events_key(user_id)
    fields = {"event": event, "strategy_id": str(strategy_id), "state": "{}"}
    pipeline.xadd(key, fields, maxlen=EVENTS_KEPT, approximate=True)  # type: ignore[arg-type]
    pipeline.expire(key, EVENTS_KEEP_SECONDS)
    pipeline.publish(WAKE_CHANNEL, user_id)
