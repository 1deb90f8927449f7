"""What a broker tells of an account when a row of its answer makes no sense: all the other rows, and what is not known.

A row that cannot be read must not stand for nothing: a position judged as empty would end its guard, an order judged
as absent would be sent again.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from actors.domain.orders.order import OrderReport

V = TypeVar("V")

Key = tuple[str, str, str]
"""Exchange, tradingsymbol and product."""


class PartlyRead(dict[Key, V]):
    """Positions by exchange, symbol and product. `unread`: what the odd rows say they are about, None for anything."""

    def __init__(self, known: Mapping[Key, V] | None = None) -> None:
        super().__init__(known or {})
        self.unread: set[tuple[str | None, str | None, str | None]] = set()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (dict(self), frozenset(self.unread))


def _rebuilt(known: Mapping[Key, V], unread: Iterable[tuple[str | None, str | None, str | None]]) -> "PartlyRead[V]":
    read = PartlyRead(known)
    read.unread |= set(unread)
    return read


def is_unread(found: Mapping[Key, V], key: Key) -> bool:
    """Whether an odd row may be about this key, so that what is found under it, or not found, says nothing."""
    patterns = found.unread if isinstance(found, PartlyRead) else ()
    return any(all(said in {None, own} for said, own in zip(pattern, key, strict=True)) for pattern in patterns)


class OrderBook(list[OrderReport]):
    """An order book with rows that make no sense.

    `unread_ids` and `unread_tags` name orders that exist and of which nothing else is known; `anonymous`: a row says
    not even whose it is, so that no order can be proven absent.
    """

    def __init__(
        self,
        reports: Iterable[OrderReport],
        unread_ids: frozenset[str] = frozenset(),
        unread_tags: frozenset[str] = frozenset(),
        *,
        anonymous: bool = False,
    ) -> None:
        super().__init__(reports)
        self.unread_ids, self.unread_tags, self.anonymous = unread_ids, unread_tags, anonymous


def may_hide(book: Iterable[OrderReport], tag: str, *, anonymous: bool = True) -> bool:
    """Whether an order of this tag may be in the book without being seen. `anonymous`: count rows that name nothing."""
    return isinstance(book, OrderBook) and (tag in book.unread_tags or (anonymous and book.anonymous))


def is_listed_unread(book: Iterable[OrderReport], order_id: str) -> bool:
    """Whether the book has a row of this order that makes no sense: the order has not vanished."""
    return isinstance(book, OrderBook) and order_id in book.unread_ids
