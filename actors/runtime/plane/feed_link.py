"""`FeedTicks` over the socket plane: a link of execution's own for each instrument, made again when it breaks."""

import asyncio
import logging
from collections.abc import Callable

from actors.domain.identifiers import Instrument
from actors.domain.prices.tick import Tick
from actors.ports.prices import FeedStatus
from actors.runtime import names
from actors.runtime.names import Pools
from actors.runtime.peers import Peers
from actors.runtime.plane import linked_ticks
from actors.waiting import every_second_or_when

log = logging.getLogger(__name__)

FEED_PATIENCE_S = 2.0
"""How long an answer of the feed is waited for; then it is taken for dead until the next question."""

_DEAD = FeedStatus(live=False)


class LinkedFeedTicks:
    """The feeds' ticks for the second guard, over a link per instrument. Made in the loop that the callbacks run in."""

    def __init__(self, peers: Peers, pools: Pools) -> None:
        self._peers, self._pools = peers, pools
        self._followed: dict[tuple[str, str], _Following] = {}

    def follow(self, broker: str, instrument: Instrument, on_tick: Callable[[Tick], None]) -> None:
        found = self._followed.get((broker, instrument.key))
        if found is None:
            feed = names.feed_name(self._pools.suffix(broker))
            found = self._followed[broker, instrument.key] = _Following(self._peers, feed, on_tick)
        found.instrument = instrument
        found.start()

    def leave(self, broker: str, key: str) -> None:
        if (found := self._followed.pop((broker, key), None)) is not None:
            found.stop()

    def status(self, broker: str, key: str) -> FeedStatus:
        found = self._followed.get((broker, key))
        return found.status if found is not None else _DEAD


class _Following:
    """One instrument, asked for again every second; over a link that is up that costs no call."""

    instrument: Instrument

    def __init__(self, peers: Peers, feed: str, on_tick: Callable[[Tick], None]) -> None:
        self.status = _DEAD
        self._source = linked_ticks.LinkedWatch(peers, feed, on_tick)
        self._changed = asyncio.Event()
        self._source.when_changed(self._changed.set)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._keep_asking())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._source.close()

    async def _keep_asking(self) -> None:
        while True:
            try:
                async with asyncio.timeout(FEED_PATIENCE_S):
                    self.status = await self._source.subscribe(self.instrument)
            except Exception as error:  # noqa: BLE001 - whatever broke in the feed, the guard must say that it hears none
                log.warning("guard.feed_unreachable", extra={"symbol": self.instrument.key, "error": repr(error)})
                self.status = _DEAD
            await every_second_or_when(self._changed)
