"""Reading what changed of a user's strategies: `events:{user_id}`, and the wake-ups that say it has grown.

The stream is a convenience like all of the mirror: it may be trimmed, expire or be lost, and then says so.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from persistence.errors import MirrorUnavailable
from persistence.mirror.keys import events_key
from persistence.mirror.prices import outages
from persistence.mirror.scripts import EVENTS_KEEP_SECONDS, WAKE_CHANNEL

QUIET_S = 10.0
"""How long the connection may bring no wake-up before it is asked whether Redis still answers."""

_OPENED = "opened"


@dataclass(frozen=True, slots=True)
class MirrorEvent:
    """One entry of a stream. `event`: "strategy", with what `runtime:{id}` said then, or, without, "deleted" or one of
    `event_writing`. `event_id`: None once later ones have gone out before it."""

    event_id: str | None
    event: str
    strategy_id: int
    runtime: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EventPage:
    """The next events, oldest first, and the id to go on from. `more`: there were others that did not fit."""

    events: tuple[MirrorEvent, ...]
    last_id: str
    more: bool


class EventStream:
    """Reads the streams of all users. Every method raises `MirrorUnavailable` when Redis does not answer."""

    def __init__(self, redis: Redis, *, quiet_s: float = QUIET_S) -> None:
        """`redis` must answer in text; `open_redis` makes one that does."""
        self._redis = redis
        self._quiet_s = quiet_s

    async def position(self, user_id: int) -> str:
        """The id of the user's last event. A user without any gets an entry to count from, which is no event."""
        key = events_key(user_id)
        with outages():
            newest = await self._redis.xrevrange(key, count=1)
            if newest:
                return _id_of(newest[0])
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.xadd(key, {"event": _OPENED})
                pipeline.expire(key, EVENTS_KEEP_SECONDS)
                return str((await pipeline.execute())[0])

    async def after(self, user_id: int, last_id: str, limit: int) -> EventPage | None:
        """What came after an event, at most `limit` entries; None if some of it, or all, is no longer there."""
        key = events_key(user_id)
        with outages():
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.xrange(key, count=1)
                pipeline.xrevrange(key, count=1)
                pipeline.xrange(key, min=f"({last_id}", count=limit)
                oldest, newest, entries = await pipeline.execute()
        if not oldest or not _order(_id_of(oldest[0])) <= _order(last_id) <= _order(_id_of(newest[0])):
            return None
        found = [_event(entry) for entry in entries if entry[1]["event"] != _OPENED]
        return EventPage(tuple(found), _id_of(entries[-1]) if entries else last_id, more=len(entries) == limit)

    async def wakeups(self) -> AsyncGenerator[int | None, None]:
        """The id of each user who has news, as it comes; None: ids may have been lost, so all users may have.

        The first is None, when the subscription stands. Close the generator to give the connection back.
        """
        with outages():
            async with self._redis.pubsub() as channel:
                await channel.subscribe(WAKE_CHANNEL)
                async with aclosing(self._messages(channel)) as messages:
                    async for message in messages:
                        if message["type"] == "message":
                            yield int(message["data"])
                        elif message["type"] == "subscribe":
                            yield None

    async def _messages(self, channel: PubSub) -> AsyncGenerator[Mapping[str, Any], None]:
        while True:
            message = await channel.get_message(timeout=self._quiet_s)
            if message is None:
                await channel.ping()
                message = await channel.get_message(timeout=self._quiet_s)
            if message is None:
                raise MirrorUnavailable("Redis does not answer")
            yield message


def _event(entry: tuple[str, Mapping[str, str]]) -> MirrorEvent:
    event_id, fields = entry
    return MirrorEvent(event_id, fields["event"], int(fields["strategy_id"]), json.loads(fields["state"]))


def _id_of(entry: tuple[Any, Any]) -> str:
    return str(entry[0])  # text already, because the client decodes


def _order(event_id: str) -> tuple[int, int]:
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number)
