"""The broker's instrument list of the day: which symbols exist, and the tick size of each (row C1).

Kite writes the list once a day before the session; tokens are reused, so a list is good for one day only.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

import structlog

from actors.domain.errors import InvalidValue
from actors.domain.identifiers import Instrument
from actors.domain.money import Paise, round_to_paise
from broker.errors import BrokerError
from broker.kite_session import IST, Timeout, explain, kite_client

EXCHANGES = ("NSE", "BSE")
LIST_READY = timedelta(hours=8)
"""After midnight IST: from then on the day's list is there (kite.md §1: about 08:30; tokens are flushed before)."""

INDEX_SEGMENT = "INDICES"

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ListedInstrument:
    """One row of the list. `tick_paise` is the step of its prices."""

    exchange: str
    tradingsymbol: str
    token: int
    tick_paise: Paise
    lot_size: int
    segment: str
    instrument_type: str

    @property
    def tradable(self) -> bool:
        """False for indices, which have prices but cannot be bought."""
        return self.segment != INDEX_SEGMENT

    @property
    def instrument(self) -> Instrument:
        """The identity that the engine trades by."""
        return Instrument(self.exchange, self.tradingsymbol, self.token)


InstrumentTable = Mapping[tuple[str, str], ListedInstrument]
Fetch = Callable[[], InstrumentTable]


@dataclass(slots=True)
class _Cached:
    day: date | None = None
    table: InstrumentTable = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class InstrumentLists:
    """The lists of all brokers, fetched once a day and broker, however many ask at the same time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """`now` tells the time (timezone-aware)."""
        self._now = now
        self._cached: dict[str, _Cached] = {}

    async def find(self, broker: str, exchange: str, tradingsymbol: str, fetch: Fetch) -> ListedInstrument | None:
        """The row of a symbol, or None if the broker does not list it.

        `fetch` is blocking and runs in a thread, only if there is no list of today yet. If it fails, the list of an
        earlier day serves, with a warning.

        Raises:
            BrokerError: if there is no list at all and none can be had.
        """
        cached = self._cached.setdefault(broker, _Cached())
        today = list_day(self._now())
        if cached.day != today:
            async with cached.lock:
                if cached.day != today:
                    await self._refresh(broker, cached, today, fetch)
        return cached.table.get((exchange, tradingsymbol))

    async def _refresh(self, broker: str, cached: _Cached, today: date, fetch: Fetch) -> None:
        try:
            cached.table = await asyncio.to_thread(fetch)
            cached.day = today
        except BrokerError as error:
            if not cached.table:
                raise
            log.warning("instrument_list_outdated", broker=broker, of=str(cached.day), reason=str(error))


def list_day(now: datetime) -> date:
    """The day whose list is in force at that instant."""
    return (now.astimezone(IST) - LIST_READY).date()


def fetch_instruments(api_key: str, access_token: str, *, root: str, timeout_s: Timeout) -> InstrumentTable:
    """Download the lists of all `EXCHANGES`; blocking.

    Raises:
        BrokerError: if that fails.
    """
    try:
        kite = kite_client(api_key, access_token, root=root, timeout_s=timeout_s)
        rows = [row for exchange in EXCHANGES for row in kite.instruments(exchange)]
        return instrument_table(rows)
    except Exception as error:
        raise explain(error) from error


def instrument_table(rows: list[dict[str, object]]) -> InstrumentTable:
    """Rows as `kiteconnect` parses them, by (exchange, tradingsymbol).

    Raises:
        KeyError, InvalidValue: if a row lacks a column or a number makes no sense.
    """
    listed = (_listed(row) for row in rows)
    return {(row.exchange, row.tradingsymbol): row for row in listed}


def _listed(row: dict[str, object]) -> ListedInstrument:
    token, lot_size = row["instrument_token"], row["lot_size"]
    if not isinstance(token, int) or not isinstance(lot_size, int):
        raise InvalidValue(f"{row['tradingsymbol']} has no token or lot size")
    return ListedInstrument(
        exchange=str(row["exchange"]),
        tradingsymbol=str(row["tradingsymbol"]),
        token=token,
        tick_paise=round_to_paise(Decimal(str(row["tick_size"]))),
        lot_size=lot_size,
        segment=str(row["segment"]),
        instrument_type=str(row["instrument_type"]),
    )
