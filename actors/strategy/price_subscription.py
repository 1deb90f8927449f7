"""A strategy's subscription to its price router, renewed for as long as the run is open."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from actors.domain.money import Paise
from actors.domain.strategy.events import Event, FeedLost, FeedRestored
from actors.domain.strategy.spec import StrategyRun
from actors.ports.common import PeerUnavailable
from actors.ports.prices import FeedStatus, PriceWatch
from actors.waiting import within

log = logging.getLogger(__name__)

WATCH_RENEWAL_S = 1.0
"""How often the subscription is renewed, besides whenever it is known to be lost."""

UNHEARD_S = 8.0
"""A stream that has not reached the BUY for this long says nothing that counts for the stop-loss. A dead one is known
to be dead sooner."""

_RETRY_S = 0.2
"""Between tries to reach a router that is restarting."""

_PATIENCE_S = 2.0
"""A router that does not answer for this long is as good as gone."""


class WatchCalls:
    """The watch of one run. `set_level` never waits; `run` renews it; `leave` ends it.

    `post` hears whether the stream is alive (row J2), with each renewal while it does not. `orders_first` is awaited
    before a renewal: see `ORDER_FIRST_S`. `watched_since` tells from when trades count (`StrategyState`), `yields`
    whether execution watches the stop-loss as well.
    """

    def __init__(
        self,
        prices: PriceWatch,
        run: StrategyRun,
        post: Callable[[Event], None],
        orders_first: Callable[[], Awaitable[None]],
        watched_since: Callable[[], datetime | None] = lambda: None,
        yields: Callable[[], bool] = lambda: False,
    ) -> None:
        self._prices, self._run, self._post, self._orders_first = prices, run, post, orders_first
        self._watched_since, self._yields = watched_since, yields
        self._behind_since: float | None = None
        self.feed_lag = timedelta(0)
        """How far the stream was last known to be behind our clock."""
        self._stop_loss: Paise | None = None
        self._changed = asyncio.Event()
        self._level_changed = asyncio.Event()
        prices.when_changed(self._changed.set)

    def set_level(self, stop_loss: Paise | None) -> None:
        """Watch for this stop-loss from now on; None: for the price alone."""
        self._stop_loss = stop_loss
        self._level_changed.set()
        self._changed.set()

    async def run(self) -> None:
        """Renew the subscription until cancelled; the answer tells whether the stream is alive."""
        live, loop = True, asyncio.get_running_loop()
        trouble: FeedLost | None
        while True:
            self._changed.clear()
            self._level_changed.clear()
            asked_at = loop.time()
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    status = await self._prices.watch(
                        self._run.strategy_id, self._run.instrument, self._stop_loss, yields=self._yields()
                    )
                trouble, pause = self._trouble(status, asked_at), WATCH_RENEWAL_S
            except Exception as error:  # noqa: BLE001 - whatever broke in the router, the watch is renewed
                about = {"strategy_id": self._run.strategy_id, "run_id": self._run.run_id, "error": repr(error)}
                log.warning("strategy.watch_waits", extra=about)
                trouble, pause = FeedLost("the price router does not answer"), _RETRY_S
            if trouble is not None:
                self._post(trouble)
            elif not live:
                self._post(FeedRestored())
            live = trouble is None
            await within(self._changed, pause)
            await self._orders_first()
            # a lost link is not asked for at once again and again: two of us may take turns at one. A level is.
            await within(self._level_changed, asked_at + _RETRY_S - loop.time())

    def _trouble(self, status: FeedStatus, now: float) -> FeedLost | None:
        """What is wrong with the stream, if anything is. `now` is of the loop's clock."""
        self.feed_lag = self.feed_lag if status.lag is None else status.lag
        symbol, zone = self._run.instrument.symbol, self._run.buy_at.tzinfo
        if not status.listed:
            return FeedLost(f"the broker does not list {symbol} today", unlisted=True)
        if not status.live:
            return FeedLost("its connection is dead")
        if status.late_since is not None:
            since = f"since {status.late_since.astimezone(zone):%H:%M:%S}"
            return FeedLost(f"{self.feed_lag.total_seconds():.1f} s behind our clock {since}", late=True)
        watched = self._watched_since()
        if watched is None or status.stream_at is None or status.stream_at >= watched:
            self._behind_since = None
            return None
        self._behind_since = now if self._behind_since is None else self._behind_since
        if now - self._behind_since <= UNHEARD_S:
            return None
        return FeedLost(f"nothing stamped at or after {watched.astimezone(zone):%H:%M:%S} has come", late=True)

    async def leave(self) -> None:
        """Stop following the price; a router that is gone has forgotten us anyway."""
        with contextlib.suppress(PeerUnavailable, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._prices.unwatch(self._run.strategy_id, self._run.instrument)
