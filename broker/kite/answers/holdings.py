"""What an account holds, from Kite's rows of positions and holdings (kite.md §1.8)."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from actors.domain.identifiers import Product
from actors.domain.orders.cover import NOTHING, AccountPosition, PositionKey
from actors.domain.orders.partly_read import PartlyRead
from broker.kite.answers.rows import ODD, named_by, row_word, shares_of

_DEMAT_EXCHANGES = ("NSE", "BSE")


def positions_of(found: Mapping[str, Any]) -> PartlyRead[AccountPosition]:
    """Net positions of the day, in shares; a short one is negative. Of an odd row its shares are not known."""
    held = PartlyRead[AccountPosition]()
    for row in found["net"]:
        try:
            key = (row_word(row, "exchange"), row_word(row, "tradingsymbol"), row_word(row, "product"))
            quantity = held.get(key, NOTHING).quantity + shares_of(row["quantity"])
        except ODD:
            held.unread.add(named_by(row))
        else:
            held[key] = AccountPosition(quantity, last_price=_price(row.get("last_price")))
    return held


def holdings_of(rows: Sequence[Mapping[str, Any]]) -> PartlyRead[int]:
    """Shares that were in the demat account as the day began, under CNC, for either exchange on which they may be sold.

    `opening_quantity` stays what it was all day; where it is missing, `quantity` is taken, which today's sales may
    already have reduced. Shares of yesterday (T+1) were carried over the night, too. Of an odd row its shares are not
    known.
    """
    opening = PartlyRead[int]()
    for row in rows:
        try:
            symbol, shares = row_word(row, "tradingsymbol"), _opening(row)
        except ODD:
            opening.unread.add((None, named_by(row)[1], Product.CNC.value))
            continue
        for exchange in _DEMAT_EXCHANGES:
            key = (exchange, symbol, Product.CNC.value)
            opening[key] = opening.get(key, 0) + shares
    return opening


def together(today: PartlyRead[AccountPosition], opening: Mapping[PositionKey, int]) -> PartlyRead[AccountPosition]:
    """Positions of the day with what the day began with. Delivery is one stock of shares, whatever the exchange."""
    delivered: dict[str, int] = {}
    for (_, symbol, product), position in today.items():
        if product == Product.CNC:
            delivered[symbol] = delivered.get(symbol, 0) + position.quantity
    joined = PartlyRead[AccountPosition]()
    for key in today.keys() | opening.keys():
        row = today.get(key, NOTHING)
        quantity = delivered.get(key[1], 0) if key[2] == Product.CNC else row.quantity
        joined[key] = AccountPosition(quantity, opening.get(key, 0), row.last_price)
    unread = today.unread | (opening.unread if isinstance(opening, PartlyRead) else set())
    joined.unread |= {(None, *said[1:]) if said[2] in {None, Product.CNC.value} else said for said in unread}
    return joined


def _opening(row: Mapping[str, Any]) -> int:
    carried = shares_of(row.get("realised_quantity") or 0) + shares_of(row.get("t1_quantity") or 0)
    told = row.get("opening_quantity")
    if told is None:
        return shares_of(row["quantity"]) + shares_of(row.get("t1_quantity") or 0)
    return max(shares_of(told), carried)


def _price(value: object) -> Decimal | None:
    """A price of a row, or None if it makes no sense: nothing is decided by it."""
    try:
        price = Decimal(str(value))
    except ArithmeticError:
        return None
    return price if price.is_finite() and price > 0 else None
