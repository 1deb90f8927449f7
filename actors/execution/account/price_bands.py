"""The price bands of the shares of one account's parked exits, read rarely and never waited for."""

import asyncio

import structlog

from actors.domain.identifiers import Instrument
from actors.domain.orders.no_buyers import LOOK_INTERVAL
from actors.domain.orders.price_band import PriceBand
from actors.ports.execution import BrokerUnavailable, OrderGateway

log = structlog.get_logger(__name__)

_FORGOTTEN_S = 120.0
"""A band that could not be read again for this long is not known any more."""

_SPACING_S = 1.5
"""Kite answers one quote a second and API key, and the feed asks for some too (kite.md §4.6)."""


class PriceBands:
    """Bands by instrument. A question gets what is known, and has it read again if that is old."""

    def __init__(self, gateway: OrderGateway) -> None:
        self._gateway = gateway
        self._known: dict[Instrument, tuple[float, PriceBand | None]] = {}
        self._wanted: dict[Instrument, None] = {}
        self._reading: asyncio.Task[None] | None = None

    def latest(self, instrument: Instrument) -> PriceBand | None:
        """The band as it was a moment ago; None while nothing is known of it yet, or it cannot be read."""
        now = asyncio.get_running_loop().time()
        read_at, band = self._known.get(instrument, (-_FORGOTTEN_S, None))
        if now - read_at >= LOOK_INTERVAL.total_seconds():
            self._want(instrument)
        return band if now - read_at < _FORGOTTEN_S else None

    def _want(self, instrument: Instrument) -> None:
        self._wanted[instrument] = None
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        while self._wanted:
            instrument = next(iter(self._wanted))
            try:
                band = await self._gateway.price_band(instrument)
            except BrokerUnavailable as error:
                log.warning("execution.band_unknown", instrument=instrument.key, reason=str(error))
                band = None
            self._known[instrument] = loop.time(), band
            del self._wanted[instrument]
            await asyncio.sleep(_SPACING_S)
