"""A whole order book out of its rows: one that makes no sense does not blind us to the others (kite.md §3).

Of an odd row is kept what can be kept. Fills that it tells are believed, for a position must be guarded; a stage is
believed only with its fills, for an end without them would hide shares. What is not even countable is named as unread.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from actors.domain.orders.order import OrderReport
from actors.domain.orders.partly_read import OrderBook
from broker.kite.answers.broker_text import clean_word, order_id_of
from broker.kite.answers.rows import ODD, count_of, own_tag, report_of

log = structlog.stdlib.get_logger(__name__)

R = TypeVar("R")

SLICE = 20
"""Rows between two moments in which other threads get the processor: some tenths of a millisecond."""

_TOLD_AT_MOST = 1000

Told = Callable[[str], None]
"""Gets the id of each odd row, or what else there is to know it by."""


class OddRows:
    """The orders of one account whose rows have made no sense: each is counted and logged once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    @property
    def count(self) -> int:
        """How many orders; they are not counted beyond the first thousand."""
        return len(self._told)

    def take(self, order: str) -> None:
        """One has been read. May be called from any thread."""
        if order not in self._told and len(self._told) < _TOLD_AT_MOST:
            self._told.add(order)
            log.warning("kite.odd_order_row", order=order)


def book_of(rows: Sequence[Any], odd: Told = lambda _: None) -> OrderBook:
    """The reports of all rows; `odd` hears of those that make no sense.

    Raises:
        TypeError: if the answer is no list at all.
    """
    if not isinstance(rows, list):
        raise TypeError("an order book that is no list")
    reports: list[OrderReport] = []
    ids: set[str] = set()
    tags: set[str] = set()
    anonymous = False
    for row in in_slices(rows):
        try:
            reports.append(report_of(row))
            continue
        except ODD:
            order_id, tag = _identity(row)
            odd(order_id or tag or "a row without an id")
        anonymous = anonymous or tag is None
        kept = _kept(row, tag) if order_id else None
        if kept is not None:
            reports.append(kept)
            continue
        ids |= {order_id} - {""}
        tags |= {tag or ""} - {""}
    return OrderBook(reports, frozenset(ids), frozenset(tags), anonymous=anonymous)


def in_slices(rows: Iterable[R]) -> Iterable[R]:
    """The rows, with a moment for other threads every now and then: the loop that sends orders is one of them."""
    for number, row in enumerate(rows, 1):
        yield row
        if not number % SLICE:
            time.sleep(0)


def _identity(row: Any) -> tuple[str, str | None]:
    """Order id and tag, empty if there is none. A tag of None: it cannot be read whose the order is."""
    if not isinstance(row, Mapping):
        return "", None
    try:
        order_id = order_id_of(row.get("order_id"))
    except ValueError:
        order_id = ""
    try:
        return order_id, own_tag(row) or ("" if order_id else None)
    except TypeError:
        return order_id, clean_word(row.get("tag")) or None


def _kept(row: Mapping[str, Any], tag: str | None) -> OrderReport | None:
    """The report with what cannot be read left out; None if not even a number of shares is left."""
    quantity, filled = _count(row.get("quantity")), _count(row.get("filled_quantity") or 0)
    status = row.get("status")
    if not isinstance(status, str) or not quantity or filled is None:
        status = ""  # pending
    shares = quantity or filled
    if not shares:
        return None
    mended = {**row, "quantity": shares, "filled_quantity": filled or 0, "status": status}
    mended |= {"tag": tag, "tags": None}
    for price in (row.get("average_price"), 0):
        try:
            return report_of({**mended, "average_price": price})
        except ODD:
            continue
    return None


def _count(said: object) -> int | None:
    try:
        return count_of(said)
    except ValueError:
        return None
