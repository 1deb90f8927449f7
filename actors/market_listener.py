"""The shell around the broker's tick stream: hygiene before anything else, then each tick to its router (design §2)."""

from datetime import datetime

import structlog

from actors.domain.identifiers import Instrument
from actors.domain.stop_loss import SILENCE_LIMIT, Tick, TickFilter
from actors.ports import Clock, FeedStatus, TickReceiver, TickStream

log = structlog.get_logger(__name__)


class MarketListener:
    """One connection to the broker's ticks. Subscriptions survive reconnects; unusable ticks go no further."""

    def __init__(self, stream: TickStream, *, routers: TickReceiver, clock: Clock) -> None:
        self._stream, self._routers, self._clock = stream, routers, clock
        self._instruments: dict[int, Instrument] = {}
        self._filter = TickFilter()
        self._newest: dict[int, datetime] = {}
        self._heard_at: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether the stream is connected and was heard within the silence limit."""
        return self._heard_at is not None and self._clock.now() - self._heard_at <= SILENCE_LIMIT

    @property
    def dropped(self) -> int:
        """How many ticks were unusable."""
        return self._filter.dropped

    def subscribe(self, instrument: Instrument) -> FeedStatus:
        """Receive the instrument's ticks in FULL mode (the only one with a time); renewing is idempotent."""
        if instrument.token not in self._instruments:
            self._instruments[instrument.token] = instrument
            self._stream.subscribe([instrument.token])
        return FeedStatus(self.live, self._newest.get(instrument.token))

    def on_heard(self) -> None:
        """Something arrived on the stream, be it a heartbeat."""
        self._heard_at = self._clock.now()

    def on_lost(self, reason: str) -> None:
        """The connection broke; the stream reconnects by itself."""
        if self._heard_at is not None:
            log.warning("feed.lost", reason=reason)
        self._heard_at = None

    def on_tick(self, token: int, price: int, exchange_time: datetime) -> None:
        """One tick as the broker sent it: price in paise, time timezone-aware."""
        instrument = self._instruments.get(token)
        received_at = self._clock.now()
        if instrument is None or not self._filter.accepts(token, price, exchange_time, received_at):
            return
        self._newest[token] = exchange_time
        self._routers.deliver(instrument.key, Tick.single(token, price, exchange_time, received_at))
