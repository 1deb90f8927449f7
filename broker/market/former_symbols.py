"""Symbols of NSE that are no longer listed: what each was renamed to, or which company it was merged into."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources

_FILE = "data/former-symbols.csv"


@dataclass(frozen=True, slots=True)
class SymbolChange:
    """From `on` the share is traded as `successor`. `change`: `renamed` or `merged`; `source`: who says so."""

    symbol: str
    successor: str
    on: date
    change: str
    source: str

    @property
    def sentence(self) -> str:
        """What happened, without a stop: `on 2023-07-01 it was merged into HDFCBANK`."""
        return f"on {self.on} it was {'merged into' if self.change == 'merged' else 'renamed'} {self.successor}"


FormerSymbols = Mapping[str, SymbolChange]


@cache
def former_symbols() -> FormerSymbols:
    """All changes that are known, by the former symbol. Where each comes from: `broker/market/data/README.md`."""
    text = resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    changes = (
        SymbolChange(row["symbol"], row["successor"], date.fromisoformat(row["date"]), row["change"], row["source"])
        for row in rows
    )
    return {change.symbol: change for change in changes}
