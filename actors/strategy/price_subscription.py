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
from actors.ports.prices import PriceWatch
from actors.strategy.price_trouble import PriceTrouble
from actors.waiting import within

log = logging.getLogger(__name__)

WATCH_RENEWAL_S = 1.0
"""How often the subscription is renewed, besides whenever it is known to be lost."""

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
        self._trouble, self._yields = PriceTrouble(run, watched_since), yields
        self._stop_loss: Paise | None = None
        self._changed = asyncio.Event()
        self._level_changed = asyncio.Event()
        prices.when_changed(self._changed.set)

    @property
    def feed_lag(self) -> timedelta:
        """How far the stream was last known to be behind our clock."""
        return self._trouble.feed_lag

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
                trouble, pause = self._trouble.found(status, asked_at), WATCH_RENEWAL_S
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

    async def leave(self) -> None:
        """Stop following the price; a router that is gone has forgotten us anyway."""
        with contextlib.suppress(PeerUnavailable, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._prices.unwatch(self._run.strategy_id, self._run.instrument)
