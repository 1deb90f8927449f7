"""Which column holds what, by the names that exporters give them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from actors.replay.files.faults import NotARecording, shown

_PRICES = {
    "open": ("open", "openprice", "o", "opnpric"),
    "high": ("high", "highprice", "h", "hghpric"),
    "low": ("low", "lowprice", "l", "lwpric"),
    "close": ("close", "closeprice", "c", "clspric"),
}
_INSTANT = ("timeist", "datetime", "dateandtime", "timestamp")
_DATE = ("date", "dtyyyymmdd", "tradedate", "traddt")
_TIME = ("time", "tradetime")
_YFINANCE_INDEX = "price"
_VOLUME = ("volume", "vol", "v", "totalvolume", "ttltradgvol")
_SYMBOL = (
    "symbol", "tradingsymbol", "instrument", "ticker", "tckrsymb", "scrip", "stock", "stockcode", "scripcode",
    "symbolname", "scripname", "stockname", "security", "securityname", "company", "companyname", "name", "isin",
)  # fmt: skip
_DAILY = ({"symbol", "series"}, {"tckrsymb", "traddt"}, {"sccode"})
"""Columns of the exchanges' bhavcopies: UDiFF since July 2024, and the older ones of NSE and BSE."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row the values stand. A time is one cell, or two: date and time of day."""

    time: tuple[int, ...]
    open: int
    high: int
    low: int
    close: int
    volume: int | None
    symbol: int | None

    @property
    def prices(self) -> tuple[int, int, int, int]:
        """Open, high, low and close."""
        return self.open, self.high, self.low, self.close

    @property
    def last(self) -> int:
        """The last cell that a row needs."""
        return max(*self.time, *self.prices, self.symbol or 0)


def names_of(header: Sequence[str]) -> list[str]:
    """The names as they are compared: small letters and digits only."""
    return [re.sub(r"[^a-z0-9]", "", name.casefold()) for name in header]


def has_prices(header: Sequence[str]) -> bool:
    """Whether this is the header of a table of bars."""
    names = set(names_of(header))
    return all(names.intersection(known) for known in _PRICES.values())


def columns_of(header: Sequence[str]) -> Columns:
    """The columns of a header that has prices.

    Raises:
        NotARecording: the bars are daily ones, have no time, or a column stands there twice.
    """
    names = names_of(header)
    if any(known <= set(names) for known in _DAILY):
        raise NotARecording(
            "this is a bhavcopy: a daily bar cannot time a BUY or a SELL; export one-minute bars of the share"
        )
    prices = {name: _only(names, header, known) for name, known in _PRICES.items()}
    return Columns(
        time=_time(names, header),
        **prices,
        volume=_first(names, _VOLUME),
        symbol=_first(names, _SYMBOL),
    )


def _time(names: Sequence[str], header: Sequence[str]) -> tuple[int, ...]:
    instant, date, time = _first(names, _INSTANT), _first(names, _DATE), _first(names, _TIME)
    if instant is not None:
        return (instant,)
    if date is not None and time is not None:
        return date, time
    if (found := date if date is not None else time) is not None:
        return (found,)
    if names[0] == _YFINANCE_INDEX:
        return (0,)
    raise NotARecording(
        f"no column is called date or time: call that of the times so; the columns are {shown(', '.join(header))}"
    )


def _first(names: Sequence[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _only(names: Sequence[str], header: Sequence[str], known: Sequence[str]) -> int:
    found = [index for index, name in enumerate(names) if name in known]
    if len(found) > 1:
        raise NotARecording(
            f"two columns are called {shown(header[found[1]])}: keep the columns of one symbol in the file"
        )
    return found[0]
