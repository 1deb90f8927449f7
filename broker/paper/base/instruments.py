"""The instrument list: what can be quoted, and what can be traded."""

from __future__ import annotations

import csv
import gzip
import io
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from broker.paper.base.amounts import PAISE, paise_of
from broker.paper.base.errors import InstrumentsUnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

logger = structlog.get_logger(__name__)

COLUMNS = (
    "instrument_token", "exchange_token", "tradingsymbol", "name", "last_price", "expiry",
    "strike", "tick_size", "lot_size", "instrument_type", "segment", "exchange",
)  # fmt: skip
# Trade to trade, block window, SME, gold and government bonds, units of trusts, rights and partly paid shares.
# A real hyphen stays one: BAJAJ-AUTO, MCDOWELL-N.
DELIVERY_SERIES = re.compile(r"-(BE|BZ|BL|BT|SM|ST|SZ|GB|GS|IV|RR|TB|SG|E1|X1|N[0-9A-Z]|Y[0-9A-Z])$")
FREEZE_COLUMN = "freeze_quantity"


@dataclass(frozen=True)
class Instrument:
    """One row of Kite's instrument dump; prices and tick size in paise."""

    token: int
    exchange: str
    symbol: str
    name: str
    segment: str
    instrument_type: str
    lot_size: int
    tick_paise: int
    reference_paise: int
    row: dict[str, str]

    @property
    def key(self) -> str:
        """Kite's name for it in quotes, ``EXCHANGE:SYMBOL``."""
        return f"{self.exchange}:{self.symbol}"

    @property
    def is_index(self) -> bool:
        """Indices are quoted but not traded, and have their own packet layouts."""
        return self.segment == "INDICES"

    @property
    def is_derivative(self) -> bool:
        """Futures: sold in lots, carried as NRML."""
        return self.exchange == "NFO"

    @property
    def takes_intraday(self) -> bool:
        """Whether MIS is taken: series that settle share for share, bonds, rights and SME shares have none."""
        return DELIVERY_SERIES.search(self.symbol) is None


class InstrumentList:
    """All instruments of the exchange, found by token or by ``EXCHANGE:SYMBOL``."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._by_key = {instrument.key: instrument for instrument in instruments}
        self._by_token = {instrument.token: instrument for instrument in self._by_key.values()}

    @classmethod
    def load(cls, path: Path) -> InstrumentList:
        """Read the dump format that Kite serves (header and empty-field rules included).

        Raises:
            InstrumentsUnreadableError: it is something else.
        """
        with path.open(newline="", encoding="utf-8") as lines:
            try:
                return cls([_instrument(row) for row in csv.DictReader(lines)])
            except (KeyError, ValueError, TypeError, ArithmeticError, csv.Error) as error:
                raise InstrumentsUnreadableError(
                    f"{path} is no list of instruments as Kite serves it ({type(error).__name__}: {error}); name one"
                ) from error

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_key.values())

    @cached_property
    def _futures(self) -> frozenset[str]:
        return frozenset(i.name for i in self if i.exchange == "NFO" and i.instrument_type == "FUT")

    def has_futures(self, instrument: Instrument) -> bool:
        """Whether a share has futures: its symbol is the name of one. Such shares have a closing auction."""
        return not instrument.is_derivative and instrument.symbol in self._futures

    def find(self, key: str) -> Instrument | None:
        """The instrument called ``EXCHANGE:SYMBOL``, if there is one."""
        return self._by_key.get(key)

    def by_token(self, token: int) -> Instrument | None:
        """The instrument with this token, if there is one."""
        return self._by_token.get(token)

    @cached_property
    def _dumps(self) -> dict[tuple[str, frozenset[tuple[int, int]]], bytes]:
        return {}

    def dump(self, exchange: str | None = None, freeze: Mapping[int, int] | None = None) -> bytes:
        """The gzipped CSV of one exchange, or of all.

        ``freeze``: freeze quantities by token. Kite's dump has none; where they are ruled here, the dump tells them in
        a column of its own, as no other call could.
        """
        ruled = freeze or {}
        name = exchange or "", frozenset(ruled.items())
        if name not in self._dumps:
            text = io.StringIO()
            columns = [*COLUMNS, FREEZE_COLUMN] if ruled else COLUMNS
            writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
            writer.writeheader()
            for instrument in self:
                if exchange in (None, instrument.exchange):
                    frozen = {FREEZE_COLUMN: str(ruled[instrument.token])} if instrument.token in ruled else {}
                    writer.writerow(instrument.row | frozen)
            self._dumps[name] = gzip.compress(text.getvalue().encode())
        return self._dumps[name]


def _instrument(row: dict[str, str]) -> Instrument:
    return Instrument(
        token=int(row["instrument_token"]),
        exchange=row["exchange"],
        symbol=row["tradingsymbol"],
        name=row["name"],
        segment=row["segment"],
        instrument_type=row["instrument_type"],
        lot_size=int(row["lot_size"]),
        tick_paise=_tick_paise(row),
        reference_paise=paise_of(row["last_price"]),
        # The client turns strike and last_price into floats and fails on an empty field.
        row={column: row[column] for column in COLUMNS},
    )


def _tick_paise(row: dict[str, str]) -> int:
    # Prices are whole paise here: of a finer grid, as some funds have it, those that are whole paise.
    paise = Decimal(row["tick_size"]) * PAISE
    whole = max(Fraction(paise).numerator, 1)
    if whole != paise:
        logger.warning("tick_size_in_whole_paise", symbol=row["tradingsymbol"], tick_size=row["tick_size"], paise=whole)
    return whole
