"""The shares of an instrument list that a text may stand for, which is no symbol of it: as other programs and people
write symbols, former symbols, names of companies, slips of the finger. Without I/O, and nothing but what is listed."""

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from broker.market.former_symbols import FormerSymbols, SymbolChange
from broker.market.instrument_list import InstrumentTable, ListedInstrument
from broker.market.nse_series import without_series
from broker.market.symbol_spellings import Asked, folded, understood

MOST_NEAREST = 5
"""How many shares are suggested at most."""

_FEWEST_OF_PREFIX = 3
"""How many letters a text must have for what begins with it to be meant."""

_ALIKE = 0.75
"""From which ratio of `difflib` on two texts are near: one letter in four may be another one."""

_COMPARED = 60
"""How many symbols and names are compared letter by letter: those that share most pairs of letters."""

_LONGEST = 24
"""How many letters are compared: a broker's list cuts names off there."""

_LEFT_OUT = frozenset({"LIMITED", "LTD", "LT", "L", "CORPORATION", "CORP", "COMPANY", "CO", "INC", "THE", "AND", "&"})
"""Words that a name of a company may have or not; a broker's list cuts names off within them."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The shares that may have been meant, the likeliest first; `change`: why the symbol that was asked for is gone."""

    instruments: tuple[ListedInstrument, ...] = ()
    change: SymbolChange | None = None


class NearestShares:
    """The shares of one instrument list, prepared for being searched. Made once for each list: that takes a moment."""

    def __init__(self, table: InstrumentTable, former: FormerSymbols) -> None:
        self._table = table
        self._former = former
        self._rows = sorted((row for row in table.values() if row.tradable), key=rank_of_share)
        self._names = [words_of_name(row.name) for row in self._rows]
        self._by_symbol: dict[str, list[int]] = defaultdict(list)
        self._by_word: dict[str, list[int]] = defaultdict(list)
        for number, (row, words) in enumerate(zip(self._rows, self._names, strict=True)):
            self._by_symbol[folded(without_series(row.tradingsymbol))].append(number)
            if words:
                self._by_word[words[0][:_FEWEST_OF_PREFIX]].append(number)
        self._sorted = sorted(self._by_symbol)
        self._spelled: dict[str, list[int]] = defaultdict(list, {key: [*rows] for key, rows in self._by_symbol.items()})
        for number, words in enumerate(self._names):
            if words:
                self._spelled[folded("".join(words))[:_LONGEST]].append(number)
        self._by_letters: dict[str, list[int]] = defaultdict(list)
        for symbol, numbers in self._by_symbol.items():
            self._by_letters["".join(sorted(symbol))] += numbers
        self._by_pair: dict[str, list[str]] = defaultdict(list)
        for spelled in self._spelled:
            for pair in _pairs(spelled):
                self._by_pair[pair].append(spelled)

    def find(self, exchange: str, tradingsymbol: str) -> Nearest:
        """What `exchange:tradingsymbol` may stand for; nothing if nothing is near enough.

        The surest reading alone is answered: a symbol without what another program adds, else a former symbol, else the
        name of a company, else what begins alike or is spelled alike.
        """
        asked = understood(exchange, tradingsymbol)
        if asked is None:
            return Nearest()
        if same := self._same(asked):
            return Nearest(self._chosen(same, asked))
        if successor := self._successor(asked):
            return successor
        found = self._named(asked) or [*self._prefixed(asked), *self._spelled_alike(asked)]
        return Nearest(self._chosen(found, asked))

    def _same(self, asked: Asked) -> list[int]:
        for symbol in asked.symbols:
            if found := self._by_symbol.get(symbol):
                return found
        return []

    def _successor(self, asked: Asked) -> Nearest | None:
        """The share under its symbol of today, after any number of changes; None if the list does not have that.

        On BSE the same symbol may have been another company's.
        """
        for symbol in asked.written if asked.exchange == "NSE" else ():
            changes = list(self._changes_of(symbol))
            for change in changes:
                listed = self._table.get(("NSE", change.successor))
                if listed is not None and listed.tradable:
                    return Nearest((listed,), change if change is changes[0] else None)
        return None

    def _changes_of(self, symbol: str) -> Iterator[SymbolChange]:
        while symbol in self._former:
            yield self._former[symbol]
            symbol = self._former[symbol].successor

    def _named(self, asked: Asked) -> list[int]:
        words = words_of_name(" ".join(asked.words))
        if not words:
            return []
        begun = [
            number
            for number in self._by_word.get(words[0][:_FEWEST_OF_PREFIX], ())
            if _begins(self._names[number], words)
        ]
        here = [number for number in begun if self._rows[number].exchange == asked.exchange] or begun
        return [number for number in here if self._names[number] == words] or here

    def _prefixed(self, asked: Asked) -> Iterator[int]:
        symbol = asked.symbols[0]
        if len(symbol) < _FEWEST_OF_PREFIX:
            return
        first = bisect_left(self._sorted, symbol)
        longer = self._sorted[first : first + 10 * MOST_NEAREST]
        for name in sorted((name for name in longer if name.startswith(symbol)), key=len):
            yield from self._by_symbol[name]

    def _spelled_alike(self, asked: Asked) -> list[int]:
        symbol = asked.symbols[0][:_LONGEST]
        # A text that is near shares at least half of the pairs: so it has one of the rarer half.
        rare = sorted(_pairs(symbol), key=lambda pair: len(self._by_pair.get(pair, ())))[: len(symbol) // 2 + 1]
        shared = Counter(spelled for pair in rare for spelled in self._by_pair.get(pair, ()))
        matcher = SequenceMatcher(autojunk=False)
        matcher.set_seq2(symbol)
        near: list[tuple[float, int]] = []
        for spelled, _ in shared.most_common(_COMPARED):
            matcher.set_seq1(spelled)
            if matcher.ratio() >= _ALIKE:
                near += [(-matcher.ratio(), number) for number in self._spelled[spelled]]
        # Letters that changed places are one slip, which pairs and ratio of a short symbol do not show.
        swapped = self._by_letters.get("".join(sorted(symbol)), ())
        return [*swapped, *(number for _, number in sorted(near))]

    def _chosen(self, found: Iterable[int], asked: Asked) -> tuple[ListedInstrument, ...]:
        """The first few of the exchange that was named; of the other one only where that has none."""
        rows = [self._rows[number] for number in dict.fromkeys(found)]
        here = [row for row in rows if row.exchange == asked.exchange]
        return tuple((here or rows)[:MOST_NEAREST])


def rank_of_share(row: ListedInstrument) -> tuple[bool, bool, int, str]:
    """Shares that anyone trades first: those with an intraday product, of NSE, with short names."""
    return (not row.intraday_allowed, row.exchange != "NSE", len(row.tradingsymbol), row.tradingsymbol)


def words_of_name(name: str) -> tuple[str, ...]:
    """The words of a company's name in capitals, without those that it may have or not."""
    words = re.findall(r"[A-Z0-9&]+", name.upper().replace(".", "").replace("'", ""))
    return tuple(word for word in words if word not in _LEFT_OUT)


def _begins(name: Sequence[str], asked: Sequence[str]) -> bool:
    """Whether a name begins with the words asked for, of which any may be cut off; the list may have cut its last."""
    if len(asked) > len(name):
        return False
    last = len(name) - 1
    return all(
        _is_cut(word, full) or (0 < place == last and _is_cut(full, word))
        for place, (word, full) in enumerate(zip(asked, name, strict=False))
    )


def _is_cut(short: str, word: str) -> bool:
    return word == short or (len(short) >= _FEWEST_OF_PREFIX and word.startswith(short))


def _pairs(spelled: str) -> set[str]:
    marked = f"^{spelled}$"
    return {marked[place : place + 2] for place in range(len(marked) - 1)}
