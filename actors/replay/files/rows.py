"""Text becomes rows of cells: lines with separators, or JSON as Kite's historical API answers."""

import csv
import json
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
                return Table(header, columns, _csv_rows(source, separator, number), "line", separator)
    if not any(line.strip() for line in before):
        raise NotARecording(f"it is empty: {EXPORT_AGAIN}")
    found = next(line for line in before if line.strip()).strip()
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
        why = (
            "a second text follows the first; put all bars into one list" if several else f"{error.msg}; fetch it again"
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


def _csv_rows(source: Iterator[str], separator: str, before: int) -> Rows:
    reader = csv.reader(source, delimiter=separator)
    try:
        for cells in reader:
            yield before + reader.line_num, cells
    except csv.Error as error:
        place = f"line {before + reader.line_num}"
        raise NotARecording(f"it cannot be split into cells: {error}; mend it, or cut it out", place) from error


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
        if candle is None or candle in ([], {}):  # as a blank line it would go unseen, and its minute with it
            raise NotARecording("it is empty; cut it out", f"candle {number}")
        if isinstance(candle, dict):
            values = [candle.get(name) for name in header]
        elif isinstance(candle, list):
            values = candle
        else:
            values = [candle]
        if any(isinstance(value, (dict, list, bool)) for value in values):
            raise NotARecording(f"it holds more than texts and numbers; {_WHAT_IS_READ}", f"candle {number}")
        yield number, ["" if value is None else str(value) for value in values]
