"""JSON of a long list, read row by row: the C parser holds Python's lock from the first byte to the last, and a loop
that sends orders waits for it, though the reading is done in another thread."""

import json
import re
import time
from typing import Any

_LONG = 64 * 1024
"""Bytes; what is shorter is read at once, in less than a millisecond."""

_SLICE = 20
"""Rows between two moments in which other threads get the lock."""

_BEFORE_ROWS = re.compile(r'\s*\{\s*(?:"status"\s*:\s*"success"\s*,\s*)?"data"\s*:\s*\[')
_SPACE = re.compile(r"[ \t\r\n]*")
_decode = json.JSONDecoder().raw_decode


def read_json(body: bytes) -> Any:
    """What `json.loads` makes of it.

    Raises:
        ValueError, RecursionError: as `json.loads`.
    """
    if len(body) < _LONG:
        return json.loads(body)
    text = body.decode(json.detect_encoding(body), "surrogatepass")
    head = _BEFORE_ROWS.match(text)
    rows = _rows(text, head.end()) if head else None
    if head is None or rows is None:
        return json.loads(body)
    found, end = rows
    envelope = json.loads(text[: head.end()] + text[end:])
    if envelope["data"] != []:  # named twice, and the last one counts
        return json.loads(body)
    return envelope | {"data": found}


def _rows(text: str, at: int) -> tuple[list[Any], int] | None:
    """The items of the list that begins there, and where its bracket closes; None if it is not such a list."""
    rows: list[Any] = []
    at = _after_space(text, at)
    while text[at : at + 1] != "]":
        try:
            row, at = _decode(text, at)
        except ValueError:
            return None
        rows.append(row)
        if not len(rows) % _SLICE:
            time.sleep(0)
        at = _after_space(text, at)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)
            if text[at : at + 1] == "]":
                return None
        elif text[at : at + 1] != "]":
            return None
    return rows, at


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at
