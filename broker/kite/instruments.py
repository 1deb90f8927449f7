"""The broker's instrument list of the day: which shares exist, and what the rules about each depend on (row C1).

Kite writes the list once a day before the session; tokens are reused, so a list is good for one day only.
"""

import asyncio
import csv
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import structlog

from actors.domain.errors import InvalidValue
from actors.domain.money import Paise
from broker.errors import BrokerError, BrokerUnreachable
from broker.exchange_time import IST
from broker.kite.answers.broker_text import clean_status, clean_text
from broker.kite.deadline import finished_by
from broker.kite.login import Timeout, explain, kite_client
from broker.market.former_symbols import former_symbols
from broker.market.instrument_list import DERIVATIVES_EXCHANGE, EXCHANGES, InstrumentTable, ListedInstrument
from broker.market.nearest import Nearest, NearestShares
from broker.market.share_search import FoundShares, ShareSearch

RETRY_AFTER = timedelta(seconds=30)
"""While an older list serves: all callers would otherwise wait for the broker's silence, one after another."""
LIST_PATIENCE_S = 60.0
"""How long all lists together may take to arrive: some ten megabytes, over whatever line the operator has."""
LIST_READY = timedelta(hours=8)
"""After midnight IST: from then on the day's list is there (kite.md §1.4: about 08:30; tokens are flushed before)."""


log = structlog.stdlib.get_logger(__name__)


ODD_ROW = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What reading a row that makes no sense raises."""

Fetch = Callable[[], InstrumentTable]


@dataclass(slots=True)
class _Cached:
    day: date | None = None
    not_before: datetime | None = None
    table: InstrumentTable = field(default_factory=dict)
    shares: tuple[InstrumentTable, NearestShares, ShareSearch] | None = None
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
        earlier day serves, with a warning, and a broker that does not answer is asked again after `RETRY_AFTER`.

        Raises:
            BrokerError: if there is no list at all and none can be had.
        """
        return (await self._current(broker, fetch)).table.get((exchange, tradingsymbol))

    async def search(self, broker: str, text: str, most: int, fetch: Fetch) -> FoundShares:
        """At most `most` shares for what a person has typed. Raises as `find` does, with `fetch` as there."""
        cached = await self._current(broker, fetch)
        _, search = await self._prepared(cached)
        return await asyncio.to_thread(search.find, text, most)

    async def nearest(self, broker: str, exchange: str, tradingsymbol: str) -> Nearest:
        """The shares that a symbol may stand for that `find` did not find; nothing as long as there is no list.

        The list is prepared once, which takes some tenths of a second, and searched in some milliseconds: in a thread.
        """
        cached = self._cached.setdefault(broker, _Cached())
        nearest, _ = await self._prepared(cached)
        return await asyncio.to_thread(nearest.find, exchange, tradingsymbol)

    async def _current(self, broker: str, fetch: Fetch) -> _Cached:
        cached = self._cached.setdefault(broker, _Cached())
        if self._outdated(cached):
            async with cached.lock:
                if self._outdated(cached):
                    await self._refresh(broker, cached, list_day(self._now()), fetch)
        return cached

    async def _prepared(self, cached: _Cached) -> tuple[NearestShares, ShareSearch]:
        async with cached.lock:
            if cached.shares is None or cached.shares[0] is not cached.table:
                cached.shares = await asyncio.to_thread(_prepare, cached.table)
        return cached.shares[1:]

    def _outdated(self, cached: _Cached) -> bool:
        now = self._now()
        return cached.day != list_day(now) and (cached.not_before is None or now >= cached.not_before)

    async def _refresh(self, broker: str, cached: _Cached, today: date, fetch: Fetch) -> None:
        try:
            cached.table = await asyncio.to_thread(fetch)
            cached.day = today
        except BrokerError as error:
            if not cached.table:
                raise
            if isinstance(error, BrokerUnreachable):
                cached.not_before = self._now() + RETRY_AFTER
            log.warning("instrument_list_outdated", broker=broker, of=str(cached.day), reason=str(error))


def _prepare(table: InstrumentTable) -> tuple[InstrumentTable, NearestShares, ShareSearch]:
    nearest = NearestShares(table, former_symbols())
    return table, nearest, ShareSearch(table, nearest)


def list_day(now: datetime) -> date:
    """The day whose list is in force at that instant."""
    return (now.astimezone(IST) - LIST_READY).date()


def fetch_instruments(api_key: str, access_token: str, *, root: str, timeout_s: Timeout) -> InstrumentTable:
    """Download the lists of all `EXCHANGES`, and which shares have futures; blocking, for `LIST_PATIENCE_S` at most.

    Raises:
        BrokerError: if that fails.
    """
    try:
        with (
            finished_by(time.monotonic() + LIST_PATIENCE_S),
            kite_client(api_key, access_token, root=root, timeout_s=timeout_s) as kite,
        ):
            rows = [row for exchange in EXCHANGES for row in kite.instruments(exchange)]
            # Not parsed by the client: it spends seconds on the dates of some 80 000 options that are not needed here.
            derivatives = kite._get("market.instruments", url_args={"exchange": DERIVATIVES_EXCHANGE})  # noqa: SLF001
        return instrument_table(rows, underlyings(derivatives.decode("utf-8")))
    except Exception as error:
        raise explain(error) from error


def underlyings(dump: str) -> frozenset[str]:
    """The names that futures are written on, from the CSV of `DERIVATIVES_EXCHANGE`. A share's is its tradingsymbol.

    Raises:
        KeyError: if the columns are not there.
    """
    header, *lines = dump.splitlines()
    futures = csv.DictReader([header, *(line for line in lines if ",FUT," in line)])
    return frozenset(row["name"] for row in futures if row["instrument_type"] == "FUT")


def instrument_table(
    rows: Iterable[Mapping[str, object]], with_derivatives: frozenset[str] = frozenset()
) -> InstrumentTable:
    """Rows as `kiteconnect` parses them, by (exchange, tradingsymbol). A row that makes no sense hides no other.

    Raises:
        KeyError, InvalidValue, …: as the last row raised, if every one lacks a column or has a number that is none.
    """
    table: dict[tuple[str, str], ListedInstrument] = {}
    odd: list[Exception] = []
    for row in rows:
        try:
            listed = _listed(row, with_derivatives)
        except ODD_ROW as error:
            odd.append(error)
        else:
            table[listed.exchange, listed.tradingsymbol] = listed
    if odd and not table:
        raise odd[-1]
    if odd:
        log.warning("odd_instruments", rows=len(odd), last=repr(odd[-1]))
    return table


def _listed(row: Mapping[str, object], with_derivatives: frozenset[str]) -> ListedInstrument:
    token, lot_size = row["instrument_token"], row["lot_size"]
    exchange, symbol = clean_status(row["exchange"]), clean_status(row["tradingsymbol"])
    if not (exchange, symbol) == (row["exchange"], row["tradingsymbol"]):
        raise InvalidValue("an instrument whose name is none")
    if not isinstance(token, int) or not isinstance(lot_size, int):
        raise InvalidValue(f"{symbol} has no token or lot size")
    return ListedInstrument(
        exchange=exchange,
        tradingsymbol=symbol,
        token=token,
        tick_paise=_tick_paise(row["tick_size"]),
        lot_size=lot_size,
        segment=clean_text(row["segment"]),
        instrument_type=clean_text(row["instrument_type"]),
        has_derivatives=row["exchange"] == "NSE" and row["tradingsymbol"] in with_derivatives,
        freeze_quantity=_freeze_quantity(row.get("freeze_quantity")),
        name=clean_text(row.get("name")),
    )


def _tick_paise(column: object) -> Paise:
    """The step between prices of whole paise on the exchange's grid: of 0.025 rupees it is 5, of 0.0025 it is 1."""
    rupees = Decimal(str(column))
    if not rupees.is_finite() or rupees < 0:
        raise InvalidValue(f"{column} is no tick size")
    return Fraction(rupees * 100).numerator


def _freeze_quantity(column: object) -> int | None:
    text = str(column or "").strip()  # a column that the client does not know comes as text
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None
