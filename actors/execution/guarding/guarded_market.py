"""The prices of one broker as the second guard hears them, and the stop levels that it watches there.

An instrument comes over the WebSocket of an account as long as one brings it: no process lies in between. Otherwise it
comes from the broker's feed over a link that no router and no strategy shares. So it is if no account's plan has market
data (kite.md §1), with streams that are down, and with one that is late or has fallen silent.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import structlog

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.prices.stop_levels import StopLevels
from actors.domain.prices.tick import Tick
from actors.execution.guarding.tick_streams import TickStreams
from actors.ports.common import Clock
from actors.ports.prices import FeedStatus, FeedTicks
from actors.prices.feed_shell import LAG_LIMIT, FeedShell

log = structlog.get_logger(__name__)

_NO_STREAM = FeedStatus(live=False)

FIRST_TICK_WITHIN_S = 2.0
"""How long the first tick of an account's stream is waited for before the feed is asked, and then that of the feed."""


class GuardedMarket:
    """`judge(strategy_id, tick)` is called for each strategy whose level a tick touches."""

    def __init__(
        self,
        broker: str,
        streams: TickStreams,
        feed: FeedTicks,
        clock: Clock,
        judge: Callable[[int, Tick], None],
    ) -> None:
        self.streams = streams
        self.listener = FeedShell(streams, routers=self, clock=clock, lag_limit=LAG_LIMIT)
        self._broker, self._feed, self._clock, self._judge = broker, feed, clock, judge
        self._levels: dict[str, StopLevels] = {}
        self._tokens: dict[str, tuple[date, int]] = {}
        self._instruments: dict[str, Instrument] = {}
        self._followed_since: dict[str, float] = {}
        self._from_feed: dict[str, Tick | None] = {}
        self._asked_at: dict[str, float] = {}
        self._quiet: set[str] = set()

    def follow(self, instrument: Instrument, day: date) -> None:
        """Hear the instrument under its token of the day. What came under that of another day is forgotten."""
        key = instrument.key
        if self.token_of(key, day) is None:
            self.listener.unsubscribe(key)
        self._tokens[key] = day, instrument.token
        self._instruments[key] = instrument
        self._followed_since.setdefault(key, self._clock.monotonic())
        self.listener.subscribe(instrument, armed=True)
        self.listener.on_token(instrument, instrument.token, day)

    def token_of(self, key: str, day: date) -> int | None:
        """The token of the instrument's that was heard on this day; also while it is not watched."""
        heard_on, token = self._tokens.get(key, (None, None))
        return token if heard_on == day else None

    def set_level(self, key: str, strategy_id: int, stop_loss: Paise) -> None:
        """Watch the level of a strategy, in place of an earlier one."""
        self._levels.setdefault(key, StopLevels()).set(strategy_id, stop_loss)

    def remove_level(self, key: str, strategy_id: int) -> None:
        """Watch it no longer. An instrument without a level is not heard any more."""
        if (levels := self._levels.get(key)) is None:
            return
        levels.remove(strategy_id)
        if not levels:
            del self._levels[key], self._instruments[key], self._followed_since[key]
            self.listener.unsubscribe(key)
            self._leave_feed(key)

    # --- what is heard --------------------------------------------------------------------------------------------

    def latest(self, key: str) -> Tick | None:
        """The newest usable tick of the instrument, by whichever way it came."""
        ticks = [tick for tick in (self.listener.latest(key), self._from_feed.get(key)) if tick is not None]
        return max(ticks, key=lambda tick: tick.exchange_time, default=None)

    def silence_s(self) -> float | None:
        """For how long the watched instrument that is silent longest has had no price; None: none is watched."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        return max(
            (
                monotonic - self._followed_since[key]
                if (tick := self.latest(key)) is None
                else (now - tick.received_at).total_seconds()
                for key in self._instruments
            ),
            default=None,
        )

    def status(self, key: str) -> FeedStatus:
        """Of the best way on which prices of a watched instrument come; dead if none has brought one, or is alive.

        A stream that is alive and has brought no tick for long proves nothing once the feed has had time to answer.
        """
        if key not in self._levels:
            return _NO_STREAM
        ways = list[FeedStatus]()
        if self.listener.brings(key) and not (key in self._quiet and self._could_answer(key)):
            ways.append(self.listener.status_of(key))
        if self._from_feed.get(key) is not None:
            ways.append(self._feed.status(self._broker, key))
        return max(ways, key=_worth, default=_NO_STREAM)

    def _could_answer(self, key: str) -> bool:
        """Whether the feed has answered, or would have if it could: in the moment in which it is asked it has not."""
        asked_at = self._asked_at.get(key)
        if asked_at is None:
            return False
        late = self._clock.monotonic() - asked_at >= FIRST_TICK_WITHIN_S
        return late or self._from_feed.get(key) is not None

    def needs_feed(self) -> bool:
        """Whether there is a watched instrument that no account's stream brings well."""
        return any(key in self._from_feed or not self._is_brought(key) for key in self._levels)

    def gather(self) -> None:
        """Ask for what comes over an account's stream that is down or mute on a better one, if there is any."""
        for account_id in self.streams.misplaced():
            self.listener.resubscribe(account_id)

    def deliver(self, receiver: int | str, tick: Tick) -> None:
        """Take a tick that an account's stream has brought, with the instrument's key as its receiver."""
        self._on_tick(str(receiver), tick)

    def breached_by(self, key: str, tick: Tick) -> Sequence[int]:
        """The strategies whose level the tick touches, by the distance."""
        levels = self._levels.get(key)
        return levels.breached_by(tick.low) if levels is not None else ()

    def _on_tick(self, key: str, tick: Tick) -> None:
        for strategy_id in self.breached_by(key, tick):
            self._judge(strategy_id, tick)

    # --- the feed -------------------------------------------------------------------------------------------------

    def look_around(self) -> bool:
        """Follow at the feed exactly those instruments that no account's stream brings. Whether any has changed."""
        self.gather()
        self._quiet, changed = {instrument.key for instrument in self.listener.quiet()}, False
        for key, instrument in self._instruments.items():
            if self._is_brought(key) and key not in self._quiet:
                changed |= self._leave_feed(key)
            elif self._clock.monotonic() - self._followed_since[key] >= FIRST_TICK_WITHIN_S:
                changed |= self._ask_feed(instrument)
        return changed

    def _is_brought(self, key: str) -> bool:
        return self.listener.brings(key) and self.listener.status_of(key).late_since is None

    def _ask_feed(self, instrument: Instrument) -> bool:
        key = instrument.key
        is_new = key not in self._from_feed
        if is_new:
            log.info("guard.feed_followed", instrument=key)
            self._from_feed[key], self._asked_at[key] = None, self._clock.monotonic()
        self._feed.follow(self._broker, instrument, lambda tick: self._on_feed_tick(key, tick))
        return is_new

    def _leave_feed(self, key: str) -> bool:
        if key not in self._from_feed:
            return False
        del self._from_feed[key], self._asked_at[key]
        self._feed.leave(self._broker, key)
        return True

    def _on_feed_tick(self, key: str, tick: Tick) -> None:
        if key in self._from_feed:
            self._from_feed[key] = tick
            self._on_tick(key, tick)


def _worth(status: FeedStatus) -> tuple[bool, bool, bool, datetime]:
    return status.live, status.listed, status.late_since is None, status.stream_at or datetime.min.replace(tzinfo=UTC)
