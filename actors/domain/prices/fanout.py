"""Who gets a tick, in which order, and how soon: breached stops first and at once, the others conflated."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from actors.domain.money import Paise
from actors.domain.prices.stop_levels import StopLevels
from actors.domain.prices.tick import Tick

CONFLATION = timedelta(milliseconds=250)
"""A subscriber whose stop is not touched gets at most one tick in this time."""

UNARMED_CONFLATION = timedelta(seconds=1)
"""So does one that watches no stop-loss: a price decides nothing for it, and waking it costs more than its waiting."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One tick for one subscriber."""

    strategy_id: int
    tick: Tick


@dataclass(frozen=True, slots=True)
class _Subscriber:
    stop_loss: Paise | None
    joined: int
    """How many ticks of the present window came before the level was set; they are not its to see."""


class _Window:
    """The ticks since the last delivery to those who get one tick in each interval."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._flushed_at: datetime | None = None
        self.ticks: list[Tick] = []

    def add(self, tick: Tick) -> bool:
        """Whether it is time to deliver. A clock that was set back must not hold ticks up."""
        self.ticks.append(tick)
        since, now = self._flushed_at, tick.received_at
        if since is not None and timedelta(0) <= now - since < self._interval:
            return False
        self._flushed_at = now
        return True

    def empty(self) -> list[Tick]:
        """Its ticks; a new window begins."""
        ticks, self.ticks = self.ticks, []
        return ticks


class TickFanout:
    """The subscribers of one symbol, with their stop-loss levels kept sorted.

    A tick costs O(log n + breached). The order is a courtesy: each strategy makes its own check.
    """

    def __init__(self) -> None:
        self._subscribers: dict[int, _Subscriber] = {}
        self._levels = StopLevels()
        self._armed_window, self._unarmed_window = _Window(CONFLATION), _Window(UNARMED_CONFLATION)

    def __len__(self) -> int:
        return len(self._subscribers)

    @property
    def armed(self) -> bool:
        """Whether anybody watches a stop-loss."""
        return bool(self._levels)

    def follows(self, strategy_id: int, stop_loss: Paise | None) -> bool:
        """Whether the strategy is subscribed with exactly this level."""
        current = self._subscribers.get(strategy_id)
        return current is not None and current.stop_loss == stop_loss

    def subscribe(self, strategy_id: int, stop_loss: Paise | None) -> None:
        """Add a subscriber or move its level; `None` follows the price without a stop.

        Moving the level forgets the low seen before it: a stop is touched only by prices after it was set.
        """
        if self.follows(strategy_id, stop_loss):
            return
        self.unsubscribe(strategy_id)
        window = self._unarmed_window if stop_loss is None else self._armed_window
        self._subscribers[strategy_id] = _Subscriber(stop_loss, len(window.ticks))
        if stop_loss is not None:
            self._levels.set(strategy_id, stop_loss)

    def unsubscribe(self, strategy_id: int) -> None:
        """Forget a subscriber; unknown ones are ignored."""
        self._subscribers.pop(strategy_id, None)
        self._levels.remove(strategy_id)

    def on_tick(self, tick: Tick) -> list[Delivery]:
        """The deliveries this tick causes, in the order they should go out."""
        breached = self._levels.breached_by(tick.low)
        deliveries = [Delivery(strategy_id, tick) for strategy_id in breached]
        if self._armed_window.add(tick):
            deliveries += self._flush(self._armed_window.empty(), armed=True, skip=set(breached))
        if self._unarmed_window.add(tick):
            deliveries += self._flush(self._unarmed_window.empty(), armed=False)
        return deliveries

    def _flush(self, ticks: list[Tick], *, armed: bool, skip: Collection[int] = ()) -> list[Delivery]:
        whole = conflated(ticks)
        deliveries: list[Delivery] = []
        for strategy_id, subscriber in self._subscribers.items():
            if (subscriber.stop_loss is not None) is not armed:
                continue
            if strategy_id not in skip:
                tick = whole if subscriber.joined == 0 else conflated(ticks[subscriber.joined :])
                deliveries.append(Delivery(strategy_id, tick))
            self._subscribers[strategy_id] = _Subscriber(subscriber.stop_loss, 0)
        return deliveries


def conflated(window: Sequence[Tick]) -> Tick:
    """Several ticks of one symbol, oldest first, as one: the newest, with low and high of them all."""
    return replace(
        window[-1],
        low=min(tick.low for tick in window),
        high=max(tick.high for tick in window),
        extremes_since=window[0].extremes_since,
        extremes_from=window[0].extremes_from,
    )
