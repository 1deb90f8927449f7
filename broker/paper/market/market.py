"""The market: last prices, the tick of every instrument, and when the next one is due."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from broker.paper.base.clock import NANOSECONDS
from broker.paper.market.price_sources import HoldSource, PriceSource, WalkSource
from broker.paper.market.stamps import Stamps
from broker.paper.orders.instrument_rules import Rulebook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from broker.paper.base.clock import Cancellable, Clock
    from broker.paper.base.config import PaperConfig
    from broker.paper.base.instruments import Instrument, InstrumentList

SHARES_PER_TICK = 100  # volume shown for one tick; cosmetic, liquidity has its own setting
SLACK_SECONDS = 0.001
# Walks and held prices that are this many ticks behind skip them, so that a pace beyond the machine does not stop it.
LATE_TICKS = 10


@dataclass
class Tick:
    """The latest snapshot of one instrument; prices in paise.

    ``exchange_ns`` is when the price was made (wall clock) as ticks say it, and stays that when the snapshot is served
    again; ``quote_ns`` is the same as quotes say it. ``has_buyers`` and ``has_sellers``: whether the depth shows any.
    """

    instrument: Instrument
    last: int
    close: int  # of the day before
    open: int
    high: int
    low: int
    exchange_ns: int
    last_quantity: int = 0
    volume: int = 0
    turnover: int = 0
    quote_ns: int = 0
    has_buyers: bool = True
    has_sellers: bool = True

    @property
    def average(self) -> int:
        """Volume-weighted average price of the day."""
        return self.turnover // self.volume if self.volume else self.last

    def begin_day(self) -> None:
        """The last price becomes the previous close; the day's prices and volumes begin again."""
        self.close = self.open = self.high = self.low = self.last
        self.last_quantity = self.volume = self.turnover = 0

    def move(self, price: int, exchange_ns: int, quote_ns: int | None = None) -> None:
        """Trade at ``price``."""
        self.last = price
        self.exchange_ns = exchange_ns
        self.quote_ns = exchange_ns if quote_ns is None else quote_ns
        self.last_quantity = SHARES_PER_TICK
        self.volume += SHARES_PER_TICK
        self.turnover += SHARES_PER_TICK * max(price, 0)
        self.high = max(self.high, price)
        # A zero or negative print is a fault under test, not a low of the day.
        self.low = min(self.low, price) if price > 0 else self.low


@dataclass
class _Listing:
    tick: Tick
    source: PriceSource
    source_name: str
    started: float  # monotonic
    published: float  # monotonic
    liquidity_per_tick: int | None
    liquidity: int | None = field(default=None)

    @property
    def rests_with_the_session(self) -> bool:
        """Whether its price stands still, without ticks, while it is not in continuous trading.

        Scripts and recordings keep their own times.
        """
        return isinstance(self.source, WalkSource | HoldSource)


class Market:
    """Prices of all instruments. ``publish`` gets the ticks first, ``matched`` (their tokens) after that.

    That order keeps the way from a new price to the subscribers' sockets as short as it can be.
    """

    def __init__(
        self,
        config: PaperConfig,
        clock: Clock,
        instruments: InstrumentList,
        publish: Callable[[Sequence[Tick]], None],
        matched: Callable[[int], None],
        rules: Rulebook | None = None,
        may_trade: Callable[[int], bool] = lambda _token: True,
    ) -> None:
        self._config = config
        self._clock = clock
        self._publish = publish
        self._matched = matched
        self._rules = rules or Rulebook()
        self._may_trade = may_trade
        self.stamps = Stamps()
        self._timer: Cancellable | None = None
        self._running = False
        self._listings = {instrument.token: self._list(instrument) for instrument in instruments}

    def start(self) -> None:
        """Begin to tick."""
        self._running = True
        now = self._clock.monotonic()
        for listing in self._listings.values():
            listing.started = listing.published = now
        self._schedule()

    def stop(self) -> None:
        """Stop ticking."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()

    def skip(self, seconds: float) -> None:
        """Go on after a jump of the clock, as if there had been no trade meanwhile.

        Walks stand still over it. Scripts and recordings do not: of the steps that were jumped over, the last holds.
        """
        now, wall = self._clock.monotonic(), self._clock.now_ns()
        for listing in self._listings.values():
            listing.published = now - self._config.tick_seconds
            if listing.rests_with_the_session:
                listing.started += seconds
                continue
            price = None
            while (step := listing.source.next_due()) is not None and listing.started + step <= now:
                price = listing.source.step()
            if price is not None:
                self._move(listing, price, wall)
                self._publish([listing.tick])
                self._matched(listing.tick.instrument.token)
        self._running = True
        self._run_due()

    def begin_day(self) -> None:
        """Begin a trading day: last prices become previous closes, and bands given in percent follow them."""
        for listing in self._listings.values():
            tick = listing.tick
            tick.begin_day()
            rules = self._rules.of(tick.instrument.token)
            if rules.band_percent is not None:
                rules.percent_band(rules.band_percent, tick.close, tick.instrument.tick_paise)

    def tick(self, token: int) -> Tick:
        """The latest snapshot of an instrument."""
        return self._listings[token].tick

    def source_name(self, token: int) -> str:
        """What moves its price: walk, hold, script or recorded."""
        return self._listings[token].source_name

    def last_paise(self, token: int) -> int:
        """Last price."""
        return self._listings[token].tick.last

    def liquidity(self, token: int) -> int | None:
        """Shares that can still trade before the next tick; ``None`` is no limit."""
        return self._listings[token].liquidity

    def take_liquidity(self, token: int, quantity: int) -> None:
        """Use up some of it."""
        listing = self._listings[token]
        if listing.liquidity is not None:
            listing.liquidity -= quantity

    def set_liquidity(self, token: int, per_tick: int | None) -> None:
        """Change how many shares of an instrument trade per tick, from now on."""
        listing = self._listings[token]
        listing.liquidity_per_tick = listing.liquidity = per_tick

    def show_depth(self, token: int) -> None:
        """Let the depth say whether anybody buys and sells, after the rules or the price have changed."""
        tick, rules = self._listings[token].tick, self._rules.of(token)
        tick.has_buyers = rules.takers(tick.last, is_buy=False) != 0
        tick.has_sellers = rules.takers(tick.last, is_buy=True) != 0

    def set_source(self, token: int, name: str, source: PriceSource) -> None:
        """Give an instrument a new price source; its times count from now."""
        listing = self._listings[token]
        listing.source, listing.source_name = source, name
        listing.started = self._clock.monotonic()
        self._run_due()

    def set_price(self, token: int, price: int, exchange_ns: int | None = None, repeat: int = 1) -> int:
        """Publish a price at once and hold it; the wall clock (ns) just before it went to the sockets.

        ``exchange_ns`` other than now, and ``repeat`` above 1, produce the stale and duplicate ticks that a feed
        has to put up with.
        """
        listing = self._listings[token]
        if not isinstance(listing.source, HoldSource):
            listing.source, listing.source_name = HoldSource(), "hold"
        published_ns = self._clock.now_ns()
        for _ in range(repeat):
            self._move(listing, price, published_ns, exchange_ns)
            self._publish([listing.tick])
        self._matched(token)
        return published_ns

    def _list(self, instrument: Instrument) -> _Listing:
        price, now = instrument.reference_paise, self._clock.monotonic()
        tick = Tick(instrument, price, price, price, price, price, self._clock.now_ns())
        per_tick = self._config.liquidity_per_tick
        name = self._config.default_source
        source = HoldSource() if name == "hold" else self.walk(instrument, price)
        return _Listing(tick, source, name, now, now, per_tick, per_tick)

    def walk(self, instrument: Instrument, start_paise: int, seed: int | None = None) -> WalkSource:
        """A random walk for an instrument, different for each but the same in each run of one seed."""
        return WalkSource(
            f"{self._config.seed if seed is None else seed}:{instrument.key}",
            start_paise,
            instrument.tick_paise,
            self._config.walk_volatility,
            self._config.tick_seconds,
        )

    def _run_due(self) -> None:
        now = self._clock.monotonic() + SLACK_SECONDS
        self._drop_what_is_late(now)
        while due := [listing for listing in self._listings.values() if self._due_at(listing) <= now]:
            # One frame for all that is due, as Kite sends it; several rounds only when steps were overtaken.
            wall = self._clock.now_ns()
            moving = []
            for listing in due:
                if listing.rests_with_the_session and not self._may_trade(listing.tick.instrument.token):
                    self._stand_still(listing)
                else:
                    self._take_step(listing, now, wall)
                    moving.append(listing.tick)
            if moving:
                self._publish(moving)
            for tick in moving:
                self._matched(tick.instrument.token)
        self._schedule()

    def _drop_what_is_late(self, now: float) -> None:
        for listing in self._listings.values():
            late = now - self._due_at(listing)
            if late > LATE_TICKS * self._config.tick_seconds and listing.rests_with_the_session:
                listing.started += late
                listing.published += late

    def _stand_still(self, listing: _Listing) -> None:
        listing.started += self._config.tick_seconds
        listing.published += self._config.tick_seconds

    def _take_step(self, listing: _Listing, now: float, wall_ns: int) -> None:
        step = listing.source.next_due()
        moves = step is not None and listing.started + step <= now
        price = listing.source.step() if moves else listing.tick.last
        self._move(listing, price, wall_ns)

    def _move(self, listing: _Listing, price: int, wall_ns: int, stamp_ns: int | None = None) -> None:
        tick, token = listing.tick, listing.tick.instrument.token
        rules = self._rules.of(token)
        # A zero or negative print is a fault under test, and no price that a band could hold.
        price = rules.clip(price) if price > 0 else price
        tick_ns, quote_ns = (stamp_ns, stamp_ns) if stamp_ns else self.stamps.of(token, wall_ns)
        tick.move(price, tick_ns, quote_ns)
        self.show_depth(token)
        listing.published = self._clock.monotonic()
        listing.liquidity = listing.liquidity_per_tick

    def _due_at(self, listing: _Listing) -> float:
        step = listing.source.next_due()
        moves = listing.started + step if step is not None else float("inf")
        repeats = float("inf") if listing.source.silent else listing.published + self._config.tick_seconds
        return min(moves, repeats)

    def _schedule(self) -> None:
        if not self._running:
            return
        if self._timer is not None:
            self._timer.cancel()
        due = min(self._due_at(listing) for listing in self._listings.values())
        delay = max(due - self._clock.monotonic(), 0)
        # Sources may be silent for good; looking again now and then costs nothing.
        self._timer = self._clock.call_later(min(delay, self._config.tick_seconds), self._run_due)


def epoch_seconds(epoch_ns: int) -> int:
    """What a tick packet carries as time."""
    return epoch_ns // NANOSECONDS
