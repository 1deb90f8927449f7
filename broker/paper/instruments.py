"""The instrument list: what can be quoted, and what can be traded."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from broker.paper.amounts import paise_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

COLUMNS = (
    "instrument_token", "exchange_token", "tradingsymbol", "name", "last_price", "expiry",
    "strike", "tick_size", "lot_size", "instrument_type", "segment", "exchange",
)  # fmt: skip


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
    def is_trade_to_trade(self) -> bool:
        """The BE and BZ series settle share for share, so intraday products are refused."""
        return self.symbol.endswith(("-BE", "-BZ"))


class InstrumentList:
    """All instruments of the exchange, found by token or by ``EXCHANGE:SYMBOL``."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._by_key = {instrument.key: instrument for instrument in instruments}
        self._by_token = {instrument.token: instrument for instrument in self._by_key.values()}

    @classmethod
    def load(cls, path: Path) -> InstrumentList:
        """Read the dump format that Kite serves (header and empty-field rules included)."""
        with path.open(newline="", encoding="utf-8") as lines:
            return cls([_instrument(row) for row in csv.DictReader(lines)])

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_key.values())

    def find(self, key: str) -> Instrument | None:
        """The instrument called ``EXCHANGE:SYMBOL``, if there is one."""
        return self._by_key.get(key)

    def by_token(self, token: int) -> Instrument | None:
        """The instrument with this token, if there is one."""
        return self._by_token.get(token)

    @cached_property
    def _dumps(self) -> dict[str, bytes]:
        return {}

    def dump(self, exchange: str | None = None) -> bytes:
        """The gzipped CSV of one exchange, or of all."""
        name = exchange or ""
        if name not in self._dumps:
            text = io.StringIO()
            writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(i.row for i in self if exchange in (None, i.exchange))
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
        tick_paise=paise_of(row["tick_size"]),
        reference_paise=paise_of(row["last_price"]),
        # The client turns strike and last_price into floats and fails on an empty field.
        row={column: row[column] for column in COLUMNS},
    )
