"""The rows of a file, one by one: those of the wanted day become bars, of the others only the days are counted."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime

from actors.domain.errors import InvalidValue
from actors.replay.bar import Bar
from actors.replay.files.amounts import Marks, is_nothing, read_price, read_volume
from actors.replay.files.columns import Columns, names_of
from actors.replay.files.faults import NotARecording, plain, shown
from actors.replay.files.options import ReadingOptions
from actors.replay.files.times import TimeReader

_PRICE_NAMES = ("open", "high", "low", "close")
_NAME_OR_QUOTE = "name each column in the header, put prices with commas into quotes, or "
_LEAVE_OUT = "leave out what follows the volume, or "


class Collection:
    """What is known of a file so far. `dropped` counts rows that say nothing, by the reason."""

    def __init__(self, header: Sequence[str], columns: Columns, options: ReadingOptions, separator: str) -> None:
        self._header = list(header)
        self._names = names_of(header)
        self._marks = Marks(separator)
        self._if_too_wide = _NAME_OR_QUOTE if separator else _LEAVE_OUT
        self._columns = columns
        self._options = options
        self._times = TimeReader(options.zone)
        self._before: tuple[datetime, list[str], Sequence[str]] | None = None
        self._all_symbols: dict[str, str] = {}
        self.bars: list[Bar] = []
        self.days: Counter[date] = Counter()
        self.dropped: Counter[str] = Counter()
        self.rounded = 0

    @property
    def symbols(self) -> Sequence[str]:
        """Those that the file names, as far as they were wanted; one that is written in two ways once."""
        return list(self._all_symbols.values())

    @property
    def times_carry_offset(self) -> bool:
        """Whether the times say their zone."""
        return bool(self._times.carries_offset)

    @property
    def times_are_of_utc(self) -> bool:
        """Whether they say that their zone is UTC."""
        return self._times.are_of_utc

    def add(self, cells: Sequence[str]) -> None:
        """Take in one row.

        Raises:
            NotARecording: it cannot be used, or contradicts the rows before it.
        """
        if not any(cell.strip() for cell in cells):
            return
        if self._is_header(cells) or self._is_yfinance_header(cells):
            self.dropped["header again"] += bool(self._before)
            return
        self._check_width(cells)
        if not self._wants(cells):
            return
        at = self._times.read(" ".join(cells[index].strip() for index in self._columns.time))
        prices = [cells[index] for index in self._columns.prices]
        if all(is_nothing(price) for price in prices):
            self.dropped["without prices"] += 1
            return
        if self._repeats(at, prices, cells):
            self.dropped["twice in the file"] += 1
            return
        day = at.date()
        self.days[day] += 1
        if day == (self._options.day or next(iter(self.days))):
            self.bars.append(self._bar(at, prices, cells))

    def _is_header(self, cells: Sequence[str]) -> bool:
        """Whether it is the header again, as files have it that were put together; maybe written a little otherwise."""
        index = self._columns.open
        return index < len(cells) and cells[index].strip()[:1].isalpha() and names_of(cells) == self._names

    def _is_yfinance_header(self, cells: Sequence[str]) -> bool:
        """Whether it is the second or third line that yfinance writes: `Ticker,INFY.NS,…` and `Datetime,,,`."""
        if self._before or self._header[0] != "Price":
            return False
        if cells[0] == "Ticker":
            self._see_symbol(*dict.fromkeys(cell for cell in cells[1:] if cell))
        return cells[0] == "Ticker" or (cells[0] in {"Datetime", "Date"} and not any(cells[1:]))

    def _check_width(self, cells: Sequence[str]) -> None:
        wide = len(self._header)
        if len(cells) <= self._columns.last or any(cell.strip() for cell in cells[wide:]):
            cell = "cell" if len(cells) == 1 else "cells"
            do = f"{self._if_too_wide if len(cells) > wide else ''}cut it out, if it is no bar"
            raise NotARecording(f"it has {len(cells)} {cell} under {wide} columns; {do}")

    def _wants(self, cells: Sequence[str]) -> bool:
        if self._columns.symbol is None:
            return True
        symbol = cells[self._columns.symbol].strip()
        if self._options.symbol is not None and symbol.casefold() != self._options.symbol.strip().casefold():
            return False
        self._see_symbol(symbol)
        return True

    def _see_symbol(self, *symbols: str) -> None:
        for symbol in symbols:
            self._all_symbols.setdefault(symbol.casefold(), plain(symbol))
        if len(self._all_symbols) > 1:
            first, second = self.symbols[:2]
            raise NotARecording(f"it holds {shown(first)} and {shown(second)}: choose one with --symbol")

    def _repeats(self, at: datetime, prices: list[str], cells: Sequence[str]) -> bool:
        before, self._before = self._before, (at, prices, cells)
        if before is None or at > before[0]:
            return False
        if at < before[0]:
            raise NotARecording(
                f"{at:%d %b %Y %H:%M:%S} comes after {before[0]:%d %b %Y %H:%M:%S}: "
                f"times must rise; {self._if_it_names_a_share(before[2], cells)}sort the file by time"
            )
        if prices != before[1]:
            raise NotARecording(
                f"a second and different bar of {at:%d %b %Y %H:%M:%S}; "
                f"{self._if_it_names_a_share(before[2], cells)}keep one of the two"
            )
        return True

    def _if_it_names_a_share(self, before: Sequence[str], cells: Sequence[str]) -> str:
        """What to do where a column that is not known differs, in a word: it may name the share."""
        known = {*self._columns.time, *self._columns.prices, self._columns.volume, self._columns.symbol}
        for index, (earlier, later) in enumerate(zip(before, cells, strict=False)):
            name = self._header[index].strip() if index < len(self._header) else ""
            if index not in known and name and earlier != later and later.strip()[:1].isalpha():
                return f"call the column {shown(name)} symbol, if it names the share, else "
        return ""

    def _bar(self, at: datetime, prices: Sequence[str], cells: Sequence[str]) -> Bar:
        for text in prices:
            self._marks.check(text)
        read = [read_price(name, text) for name, text in zip(_PRICE_NAMES, prices, strict=True)]
        opened, high, low, close = (price for price, _ in read)
        self.rounded += any(rounded for _, rounded in read)
        index = self._columns.volume
        volume = read_volume(cells[index]) if index is not None and index < len(cells) else None
        try:
            return Bar(at, opened, high, low, close, volume)
        except InvalidValue as error:
            raise NotARecording(f"{error}; mend it, or cut it out") from error
