"""The shell around the broker's tick stream: hygiene before anything else, then each tick to its router (design §2)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from actors.domain.identifiers import Instrument
from actors.domain.money import Paise
from actors.domain.stop_loss import SILENCE_LIMIT, Tick, TickFilter
from actors.ports import Clock, FeedStatus, TickReceiver, TickStream

log = structlog.get_logger(__name__)

QUIET_LIMIT = timedelta(seconds=15)
"""A liquid instrument ticks every second, a thin one may be quiet for minutes: after so long, ask for its quote."""


@dataclass(slots=True)
class _Followed:
    """An instrument, where its ticks come from, and what is known of its price. `armed`: a stop-loss is watched."""

    instrument: Instrument
    connection: int
    armed: bool
    since: datetime
    last: Tick | None = None


class MarketListener:
    """The broker's ticks. Subscriptions survive reconnects; unusable ticks go no further."""

    def __init__(self, stream: TickStream, *, routers: TickReceiver, clock: Clock) -> None:
        self._stream, self._routers, self._clock = stream, routers, clock
        self._followed: dict[int, _Followed] = {}
        self._by_key: dict[str, _Followed] = {}
        self._filter = TickFilter()
        self._heard_at: dict[int, datetime] = {}

    @property
    def dropped(self) -> int:
        """How many ticks were unusable."""
        return self._filter.dropped

    def live(self, connection: int = 0) -> bool:
        """Whether the connection was heard within the silence limit."""
        heard_at = self._heard_at.get(connection)
        return heard_at is not None and self._clock.now() - heard_at <= SILENCE_LIMIT

    def subscribe(self, instrument: Instrument, *, armed: bool = False) -> FeedStatus:
        """Receive the instrument's ticks in FULL mode (the only one with a time); renewing is idempotent.

        `armed`: a stop-loss is watched, so that it matters if no tick comes. Raises TooManyInstruments.
        """
        followed = self._followed.get(instrument.token)
        if followed is None:
            connection = self._stream.subscribe(instrument.token)
            followed = _Followed(instrument, connection, armed, self._clock.now())
            self._followed[instrument.token] = self._by_key[instrument.key] = followed
        followed.armed = armed
        return self.status_of(instrument.key)

    def unsubscribe(self, key: str) -> None:
        """Receive no more ticks of an instrument; unknown ones are ignored."""
        followed = self._by_key.pop(key, None)
        if followed is not None:
            del self._followed[followed.instrument.token]
            self._stream.unsubscribe(followed.instrument.token)

    def status_of(self, key: str) -> FeedStatus:
        """What is known of the stream that an instrument's ticks come from; unknown ones have none."""
        followed = self._by_key.get(key)
        if followed is None:
            return FeedStatus(live=False)
        return FeedStatus(self.live(followed.connection), followed.last.exchange_time if followed.last else None)

    def latest(self, key: str) -> Tick | None:
        """The newest usable tick of an instrument."""
        followed = self._by_key.get(key)
        return followed.last if followed is not None else None

    def on_heard(self, connection: int = 0) -> bool:
        """Something arrived on a connection, be it a heartbeat. Whether it was dead before."""
        was_live = self.live(connection)
        self._heard_at[connection] = self._clock.now()
        return not was_live

    def on_lost(self, connection: int, reason: str) -> None:
        """A connection broke; the stream reconnects by itself."""
        if self._heard_at.pop(connection, None) is not None:
            log.warning("feed.lost", connection=connection, reason=reason)

    def on_tick(self, token: int, price: Paise, exchange_time: datetime) -> None:
        """One tick as the broker sent it: price in paise, time timezone-aware."""
        followed = self._followed.get(token)
        received_at = self._clock.now()
        if followed is None or not self._filter.accepts(token, price, exchange_time, received_at):
            return
        followed.last = Tick.single(token, price, exchange_time, received_at)
        self._routers.deliver(followed.instrument.key, followed.last)

    # --- symbols that fell silent while the feed lives (catalogue C45) --------------------------------------------

    def quiet(self) -> list[Instrument]:
        """Armed instruments, on a live connection, without a tick for so long that somebody should ask their price."""
        now = self._clock.now()
        return [
            followed.instrument
            for followed in self._followed.values()
            if followed.armed
            and self.live(followed.connection)
            and now - max(followed.since, followed.last.received_at if followed.last else followed.since) > QUIET_LIMIT
        ]

    def on_quote(self, instrument: Instrument, price: Paise, traded_at: datetime) -> bool:
        """A quote asked for because no tick came. Whether the stream has missed ticks: then it is subscribed anew.

        The quote is a tick like any other: it passes the same checks, and may touch a stop-loss.
        """
        followed = self._by_key.get(instrument.key)
        if followed is None:
            return False
        last, followed.since = followed.last, self._clock.now()
        if last is not None and (price == last.price or traded_at <= last.exchange_time):
            return False
        self._stream.unsubscribe(instrument.token)
        followed.connection = self._stream.subscribe(instrument.token)
        self.on_tick(instrument.token, price, traded_at)
        return True
