"""Text becomes rows of cells: lines with separators, or JSON as Kite's historical API answers."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from actors.replay.files.columns import Columns, columns_of, has_prices
from actors.replay.files.content import lines
from actors.replay.files.faults import EXPORT_AGAIN, NotARecording, shown

MOST_OF_JSON = 32_000_000
"""How many characters of JSON are read at most: it must be held as a whole. Half a million bars."""

SEPARATORS = ",;\t|"
_LINES_BEFORE_THE_HEADER = 20
_WHAT_IS_READ = "a list of candles is read, as [time, open, high, low, close, volume] or with these names"
_CANDLE = ("timestamp", "open", "high", "low", "close", "volume", "oi")
_EMPTY = "it is empty; cut it out"
_PROGRAM = re.compile(r"((var|let|const)\s+)?[\w.$]+\s*[=(]\s*[\[{]", re.ASCII)
"""How a script begins that holds JSON, as a browser's developer tools show it."""
_PYTHON = re.compile(r"\ufeff?\s*[\[{][\[{\s]*'")
"""How Python shows lists and dicts, whose texts stand between single quotes."""
_PAGE = re.compile(r"<(!|\?|html|head|body|table|div|meta)", re.IGNORECASE)
"""How a page of the web begins, as which some brokers hand out what they call CSV or XLS."""

Rows = Iterator[tuple[int, Sequence[str]]]
"""Rows with their numbers, as `Table.unit` counts them."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header. `unit` is what their numbers count: lines or candles."""

    header: Sequence[str]
    columns: Columns
    rows: Rows
    unit: str
    separator: str = ""


def table_of_lines(text: TextIO) -> Table:
    """The table of a text with separators, whose header may come after a few other lines.

    Raises:
        NotARecording: there is no header; out of `rows`: a row cannot be read.
    """
    source = lines(text)
    before: list[str] = []
    for number, line in enumerate(islice(source, _LINES_BEFORE_THE_HEADER), start=1):
        before.append(line)
        for separator in SEPARATORS:
            header = _split(line, separator)
            if has_prices(header):
                columns = _at("line", number, header)
                rows = _csv_rows(source, separator, number, columns, len(header))
                return Table(header, columns, rows, "line", separator)
    if not any(line.strip() for line in before):
        raise NotARecording(f"it is empty: {EXPORT_AGAIN}")
    found = next(line for line in before if line.strip()).strip()
    if _PAGE.match(found):
        raise NotARecording(
            f"it is a page of the web, not a table of text: {shown(found)}; look at it in a browser, and if its bars "
            "are there, open it in a spreadsheet and save it as CSV"
        )
    if _PROGRAM.match(found):
        raise NotARecording(
            f"it is a line of a program: {shown(found)}; cut off what is before the first [ or {{ and behind its end"
        )
    raise NotARecording(f"no line names the columns open, high, low and close, as the first must; it is {shown(found)}")


def table_of_json(text: TextIO) -> Table:
    """The table of `{"data": {"candles": [[time, open, high, low, close, volume], …]}}`, or of a list of objects.

    Raises:
        NotARecording: it is no such JSON.
    """
    written = text.read(MOST_OF_JSON + 1)
    if len(written) > MOST_OF_JSON:
        most = f"{MOST_OF_JSON // 1_000_000} MB"
        raise NotARecording(f"it holds more than {most} of JSON; cut out the days that are needed")
    try:
        document = json.loads(
            written.removeprefix("\ufeff"),
            parse_float=str,
            parse_int=str,
            parse_constant=str,
            object_pairs_hook=_once_each,
        )
    except json.JSONDecodeError as error:
        several = error.msg == "Extra data"
        if _PYTHON.match(written):
            raise NotARecording(
                "it is what Python's print shows of a list; write it with json.dump(…, default=str)"
            ) from error
        why = (
            "a second text follows the first; put all bars into one list"
            if several
            else f"{error.msg}; mend it there, or fetch it again"
        )
        raise NotARecording(f"it is no JSON: {why}", f"line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise NotARecording(f"it is JSON that is nested too deeply; {_WHAT_IS_READ}") from error
    candles = _candles(document)
    if not candles:
        raise NotARecording(f"it is JSON without candles; {_instead(document)}")
    first = candles[0]
    header = list(first) if isinstance(first, dict) else _names_beside(document)
    if not header and isinstance(first, list):
        header = list(_CANDLE[: len(first)])
    if not has_prices(header):
        raise NotARecording(f"it is no candle; {_WHAT_IS_READ}", "candle 1")
    return Table(header, _at("candle", 1, header), _json_rows(candles, header), "candle")


def _at(unit: str, number: int, header: Sequence[str]) -> Columns:
    try:
        return columns_of(header)
    except NotARecording as fault:
        raise NotARecording(fault.why, f"{unit} {number}") from fault


def _split(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


class _Noted(Iterator[str]):
    """Lines, and whether the one read last had its end."""

    def __init__(self, source: Iterator[str]) -> None:
        self._source = source
        self.ended = True

    def __next__(self) -> str:
        line = next(self._source)
        self.ended = line.endswith("\n")
        return line


def _csv_rows(source: Iterator[str], separator: str, before: int, columns: Columns, wide: int) -> Rows:
    noted, number = _Noted(source), before + 1
    reader = csv.reader(noted, delimiter=separator)
    try:
        for cells in reader:
            if not noted.ended and columns.last < len(cells) < wide:  # its last price may have been longer
                raise NotARecording("it is cut off; fetch the file again, or cut the line out", f"line {number}")
            if any(_holds_a_row(cell, separator, columns) for cell in cells if "\n" in cell):
                raise _not_closed(number)
            yield number, cells
            number = before + reader.line_num + 1
    except csv.Error as error:  # a cell that goes on for longer than a line may be
        raise _not_closed(number) from error


def _holds_a_row(cell: str, separator: str, columns: Columns) -> bool:
    """Whether a line within a cell is a row of its own, which would go unseen; a remark may have several lines."""
    rows = (_split(line, separator) for line in cell.split("\n"))
    return any(
        len(cells) > columns.last and all(cells[index].strip()[:1].isdigit() for index in columns.prices)
        for cells in rows
    )


def _not_closed(number: int) -> NotARecording:
    return NotARecording("a quote in it is not closed; close it, or cut it out", f"line {number}")


def _instead(document: object) -> str:
    message = document.get("message") if isinstance(document, dict) else None
    if isinstance(message, str):  # what Kite answers in place of candles
        return f"it says {shown(message)}"
    return _WHAT_IS_READ


def _candles(document: object) -> list[object]:
    for name in ("data", "candles"):
        if isinstance(document, dict) and name in document:
            document = document[name]
    return document if isinstance(document, list) else []


def _names_beside(document: object) -> list[str]:
    """The columns, where a list of their names stands beside the rows, as pandas writes it."""
    for inner in (document, document.get("data") if isinstance(document, dict) else None):
        for names in inner.values() if isinstance(inner, dict) else ():
            if isinstance(names, list) and all(isinstance(name, str) for name in names) and has_prices(names):
                return names
    return []


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) < len(pairs):
        twice = next(name for index, (name, _) in enumerate(pairs) if name in dict(pairs[:index]))
        raise NotARecording(f"{shown(twice)} stands twice in one object; keep one of the two")
    return names


def _json_rows(candles: Sequence[object], header: Sequence[str]) -> Rows:
    for number, candle in enumerate(candles, start=1):
        values: list[object]
        if isinstance(candle, dict):
            values = [candle.get(name) for name in header]
        elif isinstance(candle, list):
            values = candle
        else:
            values = [candle]
        if any(isinstance(value, (dict, list, bool)) for value in values):
            raise NotARecording(f"it holds more than texts and numbers; {_WHAT_IS_READ}", f"candle {number}")
        if not any(str(value).strip() for value in values if value is not None):
            # As a blank line it would go unseen, and its minute with it.
            named_otherwise = isinstance(candle, dict) and candle and set(header).isdisjoint(candle)
            why = "it has none of the names of the first one; write all alike" if named_otherwise else _EMPTY
            raise NotARecording(why, f"candle {number}")
        yield number, ["" if value is None else str(value) for value in values]
