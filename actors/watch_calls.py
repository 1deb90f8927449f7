"""A strategy's subscription to its price router, renewed for as long as the run lives."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from actors.domain.events import Event, FeedLost, FeedRestored
from actors.domain.money import Paise
from actors.domain.strategy_spec import StrategyRun
from actors.ports import PeerUnavailable, PriceWatch
from actors.timers import within

log = logging.getLogger(__name__)

WATCH_RENEWAL_S = 1.0
"""How often the subscription is renewed, besides whenever it is known to be lost."""

_RETRY_S = 0.2
"""Between tries to reach a router that is restarting."""

_PATIENCE_S = 2.0
"""A router that does not answer for so long is as good as gone."""


class WatchCalls:
    """The watch of one run. `set_level` never waits; `live` renews it; `leave` ends it.

    `post` is told whether the stream lives (row J2). `orders_first` is awaited before a renewal: see `ORDER_FIRST_S`.
    """

    def __init__(
        self,
        prices: PriceWatch,
        run: StrategyRun,
        post: Callable[[Event], None],
        orders_first: Callable[[], Awaitable[None]],
    ) -> None:
        self._prices, self._run, self._post, self._orders_first = prices, run, post, orders_first
        self._stop_loss: Paise | None = None
        self._changed = asyncio.Event()
        self._level_changed = asyncio.Event()
        prices.when_changed(self._changed.set)

    def set_level(self, stop_loss: Paise | None) -> None:
        """Watch for this stop-loss from now on; None: for the price alone."""
        self._stop_loss = stop_loss
        self._level_changed.set()
        self._changed.set()

    async def live(self) -> None:
        """Renew the subscription until cancelled; the answer tells whether the stream is alive."""
        live, loop = True, asyncio.get_running_loop()
        while True:
            self._changed.clear()
            self._level_changed.clear()
            asked_at = loop.time()
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    status = await self._prices.watch(self._run.strategy_id, self._run.instrument, self._stop_loss)
                now_live, pause = status.live, WATCH_RENEWAL_S
            except Exception as error:  # noqa: BLE001 - whatever broke over there, the watch is renewed
                about = {"strategy_id": self._run.strategy_id, "run_id": self._run.run_id, "error": repr(error)}
                log.warning("strategy.watch_waits", extra=about)
                now_live, pause = False, _RETRY_S
            if now_live is not live:
                self._post(FeedRestored() if now_live else FeedLost())
                live = now_live
            await within(self._changed, pause)
            await self._orders_first()
            # a lost link is not asked for at once again and again: two of us may take turns at one. A level is.
            await within(self._level_changed, asked_at + _RETRY_S - loop.time())

    async def leave(self) -> None:
        """Follow the price no more; a router that is gone has forgotten us anyway."""
        with contextlib.suppress(PeerUnavailable, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._prices.unwatch(self._run.strategy_id, self._run.instrument)
