"""Live push: every change of a user's strategies, as long as the connection, its login and this process last.

The user's stream in Redis has the events; wake-ups only say when to look. One that is lost only delays, since
every heartbeat looks too. While Redis is away a stream stays open and silent; it goes on when Redis is back.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime

import structlog

from api.events.reader import Batch, EventReader, PushedEvent
from api.events.schemas import StreamReplaced
from api.users.tokens import AccessClaims
from persistence.errors import DatabaseUnavailable, MirrorUnavailable
from persistence.mirror.event_stream import EventStream

log = structlog.stdlib.get_logger(__name__)

HEARTBEAT_S = 15.0
"""How often a stream looks for news unasked, and whether its login goes on."""

RESUBSCRIBE_S = 1.0
"""Between the tries to listen for wake-ups while Redis does not answer."""

STREAMS_PER_USER = 5
"""In one process. With one more, the oldest makes way: it is likely that of a phone which has lost its network."""

REPLACED_RETRY_S = 60
"""How soon a browser whose stream has made way may connect again by itself: six devices must not take turns."""

_CANCEL_AGAIN_S = 0.2

IsLive = Callable[[AccessClaims], Awaitable[bool]]


class EventFeed:
    """The events of one connection."""

    def __init__(
        self,
        reader: EventReader,
        claims: AccessClaims,
        is_live: IsLive,
        now: Callable[[], datetime],
        heartbeat_s: float,
        *,
        prices: bool = False,
    ) -> None:
        self._prices = reader.prices_of(claims.user_id) if prices else None
        self._may_have_news = True
        self._reader, self._claims, self._is_live, self._now = reader, claims, is_live, now
        self._heartbeat_s = heartbeat_s
        self._woken = asyncio.Event()
        self._ended = self._replaced = False
        self._next_check = time.monotonic() + heartbeat_s
        self._batch = Batch((), "")

    def wake(self) -> None:
        """There may be news."""
        self._woken.set()

    def end(self) -> None:
        """No event follows."""
        self._ended = True
        self._woken.set()

    def make_way(self) -> None:
        """No event follows but the one that says why."""
        self._replaced = True
        self.end()

    async def begin(self, last_id: str | None) -> None:
        """Read the first events. Raises what `EventReader.read` raises."""
        self._batch = await self._reader.read(self._claims.user_id, last_id)

    async def events(self, *, follow: bool) -> AsyncIterator[PushedEvent]:
        """What there is; with `follow` also what comes, until the login ends, its token expires, or `end` or `make_way`
        is called."""
        while True:
            for event in self._batch.events:
                yield event
            if self._prices is not None and (changed := await self._prices.news()) is not None:
                yield PushedEvent("prices", changed)
            if not self._batch.more and not (follow and await self._wait()):
                break
            await self._read_on()
        if self._replaced:
            yield PushedEvent("replaced", StreamReplaced(), retry_s=REPLACED_RETRY_S)

    async def _read_on(self) -> None:
        last_id, owed = self._batch.last_id, self._batch.owed
        if not (self._batch.more or self._may_have_news):  # it is time for prices, and for nothing else
            self._batch = Batch((), last_id, owed=owed)
            return
        try:
            self._batch = await self._reader.read(self._claims.user_id, last_id, owed)
        except (MirrorUnavailable, DatabaseUnavailable) as error:
            log.warning("events_wait", user_id=self._claims.user_id, reason=str(error))
            self._batch = Batch((), last_id, owed=owed)
        if self._prices is not None and self._batch.events:
            self._prices.strategies_changed()

    async def _wait(self) -> bool:
        """Wait for a wake-up, the next heartbeat or the next prices. False: the stream is over."""
        left_s = (self._claims.expires_at - self._now()).total_seconds()
        patience_s = max(0.0, min(left_s, self._next_check - time.monotonic()))
        if self._prices is not None:
            patience_s = min(patience_s, self._prices.wait_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._woken.wait()
        self._may_have_news = self._woken.is_set() or time.monotonic() >= self._next_check
        self._woken.clear()
        return not self._ended and await self._goes_on()

    async def _goes_on(self) -> bool:
        if self._now() >= self._claims.expires_at:
            return False
        if time.monotonic() < self._next_check:
            return True
        self._next_check = time.monotonic() + self._heartbeat_s
        try:
            return await self._is_live(self._claims)
        except DatabaseUnavailable:
            return True  # it is not known; the token expires in any case


class EventsService:
    """All streams of this process. From `start` to `close` it holds one subscription, however many they are."""

    def __init__(
        self,
        reader: EventReader,
        stream: EventStream,
        is_live: IsLive,
        now: Callable[[], datetime],
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """`is_live` tells whether a login goes on; it may raise DatabaseUnavailable."""
        self._reader, self._stream, self._is_live, self._now = reader, stream, is_live, now
        self._heartbeat_s = heartbeat_s
        self._feeds: dict[int, dict[EventFeed, None]] = {}
        """Of each user, oldest first."""
        self._ending = False
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen for wake-ups. Redis need not answer yet."""
        self._listening = asyncio.create_task(self._listen(), name="event wake-ups")

    def end_streams(self) -> None:
        """Let every stream come to its end, and each new one too: the process is about to go."""
        self._ending = True
        for feed in self._all_feeds():
            feed.end()

    async def close(self) -> None:
        """End the streams and the subscription."""
        self.end_streams()
        while self._listening is not None and not self._listening.done():
            self._listening.cancel()  # redis-py 8.1 can lose one while it connects
            await asyncio.wait([self._listening], timeout=_CANCEL_AGAIN_S)

    @asynccontextmanager
    async def open(
        self, claims: AccessClaims, last_id: str | None, *, prices: bool = False
    ) -> AsyncIterator[EventFeed]:
        """A stream of the user's events after `last_id`, or from a snapshot on; the user's oldest may end for it.

        `prices`: whether it sends prices as well.

        Raises:
            MirrorUnavailable, DatabaseUnavailable: there is nothing to begin with.
        """
        feed = EventFeed(self._reader, claims, self._is_live, self._now, self._heartbeat_s, prices=prices)
        mine = self._feeds.setdefault(claims.user_id, {})
        if len(mine) >= STREAMS_PER_USER:
            oldest = next(iter(mine))
            del mine[oldest]
            oldest.make_way()
        mine[feed] = None
        try:
            await feed.begin(last_id)
            if self._ending:
                feed.end()
            yield feed
        finally:
            mine.pop(feed, None)
            if not mine and self._feeds.get(claims.user_id) is mine:
                del self._feeds[claims.user_id]

    async def _listen(self) -> None:
        lost = False
        while True:
            try:
                async with aclosing(self._stream.wakeups()) as wakeups:
                    async for user_id in wakeups:
                        lost = False
                        for feed in self._all_feeds() if user_id is None else self._feeds.get(user_id, ()):
                            feed.wake()
            except Exception as error:  # noqa: BLE001 - whatever broke, events without wake-ups would stay late
                if not lost:
                    log.warning("event_wakeups_lost", error=repr(error))
                lost = True
            await asyncio.sleep(RESUBSCRIBE_S)

    def _all_feeds(self) -> list[EventFeed]:
        return [feed for feeds in self._feeds.values() for feed in feeds]
