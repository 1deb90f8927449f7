"""How other programs and people write a symbol, taken apart: the share, and the exchange if one is named."""

import re
from dataclasses import dataclass
from html import unescape
from urllib.parse import unquote

from broker.market.nse_series import SERIES

_EXCHANGES = {
    "NSE": "NSE", "NS": "NSE", "NSI": "NSE", "XNSE": "NSE", "NSECM": "NSE", "NSEEQ": "NSE",
    "BSE": "BSE", "BO": "BSE", "BOM": "BSE", "XBOM": "BSE", "BSECM": "BSE", "BSEEQ": "BSE",
}  # fmt: skip
"""Names of the exchanges: their own, those of Yahoo, Google, Reuters and ISO 10383, and those of other brokers."""

_ADDED = frozenset({"EQ", "EQUITY", "CM", "CASH", "SHARE", "SHARES", "STOCK"})
"""What other programs add to a share of the ordinary market."""

_BETWEEN = re.compile(r"[^A-Z0-9&']+")


@dataclass(frozen=True, slots=True)
class Asked:
    """A text taken apart.

    `exchange`: NSE or BSE. `words`: of the text, without what names the exchange. `written`: how the symbol may be
    written. `symbols`: the same, folded; the likeliest first, and at least one.
    """

    exchange: str
    words: tuple[str, ...]
    written: tuple[str, ...]
    symbols: tuple[str, ...]


def understood(exchange: str, tradingsymbol: str) -> Asked | None:
    """What is asked for with `exchange:tradingsymbol`, in capitals; None if it is on no exchange for shares."""
    text = unescape(unquote(tradingsymbol))  # M%26M and M&amp;M, as addresses and pages have it
    if (named := _EXCHANGES.get(folded(exchange))) is None:
        named = _EXCHANGES.get(tradingsymbol)  # INFY:NSE
        text = exchange
    if named is None:
        return None
    words, said = _without_exchange(["&" if word == "AND" else word for word in _BETWEEN.split(text) if word])
    if not words or not folded("".join(words)):
        return None
    shorter = words[:-1] if len(words) > 1 and words[-1] in SERIES else words
    written = tuple(dict.fromkeys(mark.join(some) for some in (words, shorter) for mark in ("", "-", "&")))
    return Asked(said or named, tuple(words), written, tuple(dict.fromkeys(folded(symbol) for symbol in written)))


def _without_exchange(words: list[str]) -> tuple[list[str], str | None]:
    """The words without those at either end that name an exchange or the ordinary market; one word always stays."""
    said = None
    while len(words) > 1 and (words[-1] in _EXCHANGES or words[-1] in _ADDED):
        said = said or _EXCHANGES.get(words[-1])
        words = words[:-1]
    while len(words) > 1 and (words[0] in _EXCHANGES or (said and words[0] in _ADDED)):
        said = said or _EXCHANGES.get(words[0])
        words = words[1:]
    return words, said


def folded(symbol: str) -> str:
    """A symbol without the marks that people leave out: `BAJAJ-AUTO` and `BAJAJ AUTO`, `M&M` and `MM` are the same."""
    return re.sub(r"[^A-Z0-9]", "", symbol)
