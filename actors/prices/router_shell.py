"""The shell of one symbol: who follows it, who must hear of a price at once, and what the mirror shows."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.prices.fanout import Delivery, TickFanout
from actors.domain.prices.tick import Tick
from actors.ports.common import Clock
from actors.ports.prices import FeedStatus, PriceMirror, TickReceiver, TickSource
from actors.prices.price_mirroring import PriceMirroring

log = logging.getLogger(__name__)

FEED_PATIENCE_S = 2.0
"""A feed that does not answer for this long is as good as gone."""

SILENT_LIMIT = timedelta(seconds=30)
"""A strategy without a connection asks again every second."""

HEAD_START_S = 0.05
"""How much later a strategy hears a tick if execution watches its stop-loss as well: fifty processes that wake at one
tick would take the cores from the one that their orders leave from."""

IDLE_LIMIT = timedelta(seconds=60)
"""A router without a follower for this long gives its process back."""


class RouterShell:
    """The router of one instrument. It loses nothing that matters when it restarts: strategies renew their watch."""

    def __init__(
        self, instrument: Instrument, *, source: TickSource, strategies: TickReceiver, mirror: PriceMirror, clock: Clock
    ) -> None:
        self._instrument = instrument
        self._source, self._strategies, self._clock = source, strategies, clock
        self._mirroring = PriceMirroring(mirror, instrument.symbol, lambda: self.status)
        self._fanout = TickFanout()
        self._last: Tick | None = None
        self._feed_live = False
        self._feed = FeedStatus(live=False)
        self._followed_at = clock.now()
        self._asked_at: dict[int, datetime] = {}
        self._yielding: set[int] = set()

    @property
    def status(self) -> FeedStatus:
        """What is known of the stream."""
        return replace(self._feed, live=self._feed_live, last_tick_at=self._last.exchange_time if self._last else None)

    @property
    def idle(self) -> bool:
        """Whether the instrument was without a follower for a while."""
        return len(self._fanout) == 0 and self._clock.now() - self._followed_at > IDLE_LIMIT

    def watch(self, strategy_id: int, stop_loss: Paise | None, *, yields: bool = False) -> FeedStatus:
        """Add or renew a subscriber. The latest tick follows at once, so a breach that still holds is seen.

        `yields`: see `PriceWatch.watch`.
        """
        (self._yielding.add if yields else self._yielding.discard)(strategy_id)
        self._followed_at = self._asked_at[strategy_id] = self._clock.now()
        known = self._fanout.follows(strategy_id, stop_loss)
        self._fanout.subscribe(strategy_id, stop_loss)
        if not known:
            self.catch_up(strategy_id)
        return self.status

    def catch_up(self, strategy_id: int) -> None:
        """Give a subscriber the latest tick: it is new, or what was on its way to it may have been lost."""
        if (latest := self._last) is not None:
            single = Tick.single(latest.token, latest.price, latest.exchange_time, self._clock.now())
            self._strategies.deliver(strategy_id, single)

    def unwatch(self, strategy_id: int) -> None:
        """Forget a subscriber."""
        self._fanout.unsubscribe(strategy_id)
        self._yielding.discard(strategy_id)
        self._asked_at.pop(strategy_id, None)

    def forget_if_silent(self, strategy_id: int) -> None:
        """Forget a subscriber that is not connected and has not asked for a while: its process died for good."""
        if self._clock.now() - self._asked_at.get(strategy_id, self._clock.now()) >= SILENT_LIMIT:
            self.unwatch(strategy_id)

    def on_tick(self, tick: Tick) -> None:
        """Fan one tick out, breached stops first, and mirror it (row F4)."""
        self._last = tick
        self._feed_live = True
        yielding = []
        for delivery in self._fanout.on_tick(tick):
            if delivery.strategy_id in self._yielding:
                yielding.append(delivery)
            else:
                self._strategies.deliver(delivery.strategy_id, delivery.tick)
        if yielding:
            asyncio.get_running_loop().call_later(HEAD_START_S, self._deliver, yielding)
        self._mirroring.on_tick(tick)

    def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._strategies.deliver(delivery.strategy_id, delivery.tick)

    async def renew(self) -> None:
        """Have the feed send us our instrument, and learn whether the stream is alive; a silent feed is a dead one."""
        try:
            async with asyncio.timeout(FEED_PATIENCE_S):
                feed = await self._source.subscribe(self._instrument, armed=self._fanout.armed)
        except Exception as error:  # noqa: BLE001 - whatever broke in the feed, strategies must hear of it
            log.warning("router.feed_unreachable", extra={"symbol": self._instrument.symbol, "error": repr(error)})
            feed = FeedStatus(live=False)
        self._feed, self._feed_live = feed, feed.live
        self._mirroring.on_feed()
