"""The shell around a broker's tick stream: hygiene before anything else, then each tick to its router."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import structlog

from actors.domain.identifiers import Instrument
from actors.domain.instrument_list_day import list_day
from actors.domain.money import Paise
from actors.domain.prices.feed_silence import SILENCE_LIMIT_S, is_quiet
from actors.domain.prices.stream_clock import StreamClock
from actors.domain.prices.tick import Tick
from actors.domain.prices.tick_filter import TickFilter
from actors.ports.common import Clock
from actors.ports.prices import FeedStatus, TickReceiver, TickStream
from actors.prices.listing import Listing

log = structlog.get_logger(__name__)

LAG_LIMIT = timedelta(seconds=5)
"""A feed whose stamps are further behind our clock is late, unless the settings say otherwise."""

TOKEN_PATIENCE_S = 5.0
"""How long ticks of an instrument wait for the word that its token is still its own; then they count without it."""


@dataclass(slots=True)
class _Followed:
    """An instrument, where its ticks come from, and what is known of its price and of its token.

    `armed`: a stop-loss is watched. `held_since`: its ticks wait for its token. `token_day`: the day of the broker's
    list on which that was last considered. `brought`: its connection has brought a tick of it, since it was asked there
    and has not broken. `since`, `last_at`, `held_since`: by the monotonic clock, since a wall clock that is set back
    would hide a silence.
    """

    instrument: Instrument
    connection: int
    armed: bool
    since: float
    held_since: float | None
    token_day: date
    last: Tick | None = None
    last_at: float | None = None
    brought: bool = False
    listing: Listing = field(default_factory=Listing)


class FeedShell:
    """A broker's ticks. Subscriptions survive reconnects; unusable ticks go no further.

    An instrument is its exchange and symbol. The token that a subscriber knows is a hint, since brokers give tokens
    again: with `confirms_tokens` the owner of the listener asks for those of `unconfirmed`, and says what it found.
    """

    def __init__(
        self,
        stream: TickStream,
        *,
        routers: TickReceiver,
        clock: Clock,
        lag_limit: timedelta = LAG_LIMIT,
        confirms_tokens: bool = False,
    ) -> None:
        self._stream, self._routers, self._clock = stream, routers, clock
        self._lag_limit, self._confirms = lag_limit, confirms_tokens
        self._followed: dict[int, _Followed] = {}
        self._by_key: dict[str, _Followed] = {}
        self._filter = TickFilter()
        self._heard_at: dict[int, float] = {}
        self._clocks: dict[int, StreamClock] = {}

    @property
    def dropped(self) -> int:
        """How many ticks were unusable."""
        return self._filter.dropped

    def live(self, connection: int = 0) -> bool:
        """Whether the connection was heard within the silence limit."""
        heard_at = self._heard_at.get(connection)
        return heard_at is not None and self._clock.monotonic() - heard_at <= SILENCE_LIMIT_S

    def subscribe(self, instrument: Instrument, *, armed: bool = False) -> FeedStatus:
        """Receive the instrument's ticks in FULL mode (the only one with a time); renewing is idempotent.

        `armed`: a stop-loss is watched, so that it matters if no tick comes. Raises TooManyInstruments.
        """
        followed = self._by_key.get(instrument.key)
        if followed is None:
            connection = self._stream.subscribe(instrument.token)
            now, today = self._clock.monotonic(), list_day(self._clock.now())
            followed = _Followed(instrument, connection, armed, now, now if self._confirms else None, today)
            self._followed[instrument.token] = self._by_key[instrument.key] = followed
        followed.armed = armed
        return self.status_of(instrument.key)

    def unsubscribe(self, key: str) -> None:
        """Stop receiving ticks of an instrument; unknown ones are ignored."""
        followed = self._by_key.pop(key, None)
        if followed is not None:
            self._leave(followed)

    def _leave(self, followed: _Followed) -> None:
        token = followed.instrument.token
        if self._followed.get(token) is followed:  # else another instrument has been given its token
            del self._followed[token]
            self._stream.unsubscribe(token)
            self._clock_of(followed.connection).forget(token)

    def resubscribe(self, connection: int) -> None:
        """Ask for all instruments of a connection again: the stream may put them on another one."""
        for followed in list(self._followed.values()):
            if followed.connection == connection:
                token = followed.instrument.token
                self._stream.unsubscribe(token)
                followed.connection, followed.brought = self._stream.subscribe(token), False
                self._clock_of(followed.connection).forget(token)

    def brings(self, key: str) -> bool:
        """Whether the instrument's connection is live and has brought a tick of it: an older one proves nothing."""
        followed = self._by_key.get(key)
        return followed is not None and followed.brought and self.live(followed.connection)

    def status_of(self, key: str) -> FeedStatus:
        """What is known of the stream that an instrument's ticks come from; unknown ones have none."""
        followed = self._by_key.get(key)
        if followed is None:
            return FeedStatus(live=False)
        now, clock = self._clock.now(), self._clock_of(followed.connection)
        if clock.judge(now):
            event = "feed.late" if clock.late_since else "feed.late_no_more"
            log.warning(event, connection=followed.connection, lag_s=_seconds(clock.lag(now)))
        return FeedStatus(
            self.live(followed.connection),
            followed.last.exchange_time if followed.last else None,
            clock.lag(now),
            clock.newest,
            clock.late_since,
            followed.listing.listed,
        )

    def streams(self) -> dict[int, FeedStatus]:
        """What is known of each connection."""
        now = self._clock.now()
        return {
            number: FeedStatus(self.live(number), None, clock.lag(now), clock.newest, clock.late_since)
            for number, clock in self._clocks.items()
        }

    def latest(self, key: str) -> Tick | None:
        """The newest usable tick of an instrument."""
        followed = self._by_key.get(key)
        return followed.last if followed is not None else None

    def on_heard(self, connection: int = 0) -> bool:
        """Something arrived on a connection, be it a heartbeat. Whether it was dead before."""
        was_live = self.live(connection)
        self._heard_at[connection] = self._clock.monotonic()
        return not was_live

    def on_lost(self, connection: int, reason: str) -> None:
        """A connection broke; the stream reconnects by itself."""
        self._clock_of(connection).reconnected()
        for followed in self._followed.values():
            if followed.connection == connection:
                followed.brought = False
        if self._heard_at.pop(connection, None) is not None:
            log.warning("feed.lost", connection=connection, reason=reason)

    def on_tick(self, token: int, price: Paise, traded_at: datetime, sent_at: datetime | None = None) -> None:
        """One tick as the broker sent it: price in paise, the time of its last trade, and that of the message."""
        followed = self._followed.get(token)
        if followed is None:
            return
        received_at, stamp = self._clock.now(), sent_at or traded_at
        lag = self._clock_of(followed.connection).note(token, stamp, received_at)
        if not self._filter.accepts(token, price, stamp, received_at, lag):
            return
        if self._confirms and self._waits_for_token(followed, received_at):
            return
        followed.last = Tick.single(token, price, min(traded_at, stamp), received_at)
        followed.last_at, followed.brought = self._clock.monotonic(), True
        self._routers.deliver(followed.instrument.key, followed.last)

    def _waits_for_token(self, followed: _Followed, now: datetime) -> bool:
        """Whether it is not known yet that its token is its own: so it is with a new instrument, and on a new day."""
        monotonic, today = self._clock.monotonic(), list_day(now)
        if followed.token_day != today:
            followed.token_day = today
            followed.held_since = None if followed.listing.token_of == today else monotonic
        return followed.held_since is not None and monotonic - followed.held_since < TOKEN_PATIENCE_S

    def _clock_of(self, connection: int) -> StreamClock:
        clock = self._clocks.get(connection)
        if clock is None:
            clock = self._clocks[connection] = StreamClock(self._lag_limit)
        return clock

    # --- symbols that fell silent while others tick -------------------------------------------------------------------

    def quiet(self) -> list[Instrument]:
        """Armed instruments, on a live connection, that have been silent for long enough to ask for a quote."""
        now = self._clock.monotonic()
        return [
            followed.instrument
            for followed in self._followed.values()
            if followed.armed and self.live(followed.connection) and is_quiet(followed.since, followed.last_at, now)
        ]

    def on_quote(self, instrument: Instrument, price: Paise, traded_at: datetime) -> bool:
        """A quote asked for because no tick came. Whether the stream has missed a trade: then it is subscribed again.

        The quote is the share's last trade, stamped by the exchange, and goes to the router like any other, at whatever
        price; so it may touch a stop-loss. It proves nothing about a run that bought after that trade: the BUY itself
        was a trade, so a quote whose last trade is older shows the state of before, however low its price. It does not
        make later ticks old: a stream that lags still has the trades in between to tell.
        """
        followed = self._by_key.get(instrument.key)
        if followed is None:
            return False
        last, followed.since = followed.last, self._clock.monotonic()
        if price <= 0 or (last is not None and traded_at <= last.exchange_time):
            return False
        token = followed.instrument.token
        self._stream.unsubscribe(token)
        followed.connection = self._stream.subscribe(token)
        self._clock_of(followed.connection).forget(token)
        followed.last, followed.last_at = Tick.single(token, price, traded_at, self._clock.now()), followed.since
        self._routers.deliver(instrument.key, followed.last)
        return True

    # --- tokens, which are good for a day ---------------------------------------------------------------------------

    def unconfirmed(self, day: date) -> list[Instrument]:
        """Instruments whose token was not looked up on this day of the broker's list, or that it did not list."""
        return [f.instrument for f in self._by_key.values() if not f.listing.is_confirmed(day)]

    def on_token(self, instrument: Instrument, token: int | None, day: date) -> bool:
        """What the broker says of an instrument's token today; None: it does not list it. Whether that is news.

        A token of another instrument's is replaced, and what came under it is forgotten.
        """
        followed = self._by_key.get(instrument.key)
        if followed is None:
            return False
        if token is None:
            return followed.listing.not_found()
        back = followed.listing.found(day)
        changed = token != followed.instrument.token
        if changed:
            self._leave(followed)
            followed.instrument = Instrument(instrument.exchange, instrument.tradingsymbol, token)
            followed.last, followed.last_at, followed.since = None, None, self._clock.monotonic()
            followed.brought = False
            followed.connection = self._stream.subscribe(token)
            self._followed[token] = followed
        followed.held_since = None
        return back or changed

    def without_tokens(self, instruments: list[Instrument]) -> None:
        """The broker does not say which tokens are right: the ticks of those that are known count."""
        for instrument in instruments:
            if (followed := self._by_key.get(instrument.key)) is not None:
                followed.held_since, followed.token_day = None, list_day(self._clock.now())


def _seconds(lag: timedelta | None) -> float | None:
    return None if lag is None else round(lag.total_seconds(), 3)
