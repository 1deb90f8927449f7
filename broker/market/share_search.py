"""Finding shares of an instrument list while a person types: by the beginning of a symbol, or of words of a name."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from broker.market.former_symbols import SymbolChange
from broker.market.instrument_list import EXCHANGES, InstrumentTable, ListedInstrument
from broker.market.nearest import NearestShares, rank_of_share, words_of_name
from broker.market.nse_series import without_series
from broker.market.symbol_spellings import folded

_AFTER_ALL = "\uffff"
"""Sorts after every letter that stands in a symbol or in a name."""


@dataclass(frozen=True, slots=True)
class FoundShares:
    """The likeliest first. `nearest`: none begins with the text; these are spelled nearly so, or are its successors.

    `change`: why the symbol that was asked for is gone.
    """

    instruments: tuple[ListedInstrument, ...] = ()
    nearest: bool = False
    change: SymbolChange | None = None


class ShareSearch:
    """The shares of one list, prepared for being searched: a search of 10 000 takes less than ten milliseconds."""

    def __init__(self, table: InstrumentTable, nearest: NearestShares) -> None:
        """`nearest` is of the same list."""
        self._nearest = nearest
        self._rows = sorted((row for row in table.values() if row.tradable), key=rank_of_share)
        self._symbols = sorted(
            (folded(symbol), number)
            for number, row in enumerate(self._rows)
            for symbol in {row.tradingsymbol, without_series(row.tradingsymbol)}
        )
        self._words = sorted(
            (word, number) for number, row in enumerate(self._rows) for word in set(words_of_name(row.name))
        )

    def find(self, text: str, most: int) -> FoundShares:
        """At most `most` shares for what was typed, such as `inf`, `BSE:TC` or `tata st`.

        The symbol itself goes first, then symbols that begin so, then names of which a word begins with each word of
        the text; of those that are alike, what anyone trades goes first. If there is none: what may have been meant.
        """
        exchange, _, wanted = text.strip().upper().rpartition(":")
        exchange = exchange.strip()
        if exchange and exchange not in EXCHANGES:
            exchange, wanted = "", text.strip().upper()
        symbol = folded(wanted)
        begun = _beginning(self._symbols, symbol) if symbol else set[int]()
        named = self._named(words_of_name(wanted))
        exact = {number for number in begun if folded(self._rows[number].tradingsymbol) == symbol}
        ordered = [*sorted(exact), *sorted(begun - exact), *sorted(named - begun)]
        rows = [self._rows[number] for number in ordered]
        here = tuple(row for row in rows if not exchange or row.exchange == exchange)[:most]
        if here or not symbol:
            return FoundShares(here)
        near = self._nearest.find(exchange or EXCHANGES[0], wanted.strip())
        return FoundShares(near.instruments[:most], nearest=bool(near.instruments), change=near.change)

    def _named(self, words: Iterable[str]) -> set[int]:
        found: set[int] | None = None
        for word in words:
            begun = _beginning(self._words, word)
            found = begun if found is None else found & begun
        return found or set()


def _beginning(sorted_pairs: list[tuple[str, int]], prefix: str) -> set[int]:
    first = bisect_left(sorted_pairs, (prefix, -1))
    last = bisect_left(sorted_pairs, (prefix + _AFTER_ALL, -1))
    return {number for _, number in sorted_pairs[first:last]}
