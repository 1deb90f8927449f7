"""The position of one run, folded from its own orders: never from the account's, which other strategies share."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from actors.domain.money import round_rupees
from actors.domain.orders.order import Order


class PositionStatus(StrEnum):
    """The position as the app and Redis name it (row L1)."""

    NONE = "none"
    BUYING = "buying"
    BOUGHT = "bought"
    SELLING = "selling"
    SOLD = "sold"
    EXITED_BY_SL = "exited_by_sl"
    BUY_FAILED = "buy_failed"


@dataclass(frozen=True, slots=True)
class Position:
    """Quantities in shares, averages and profit in rupees (before charges)."""

    bought: int
    sold: int
    buy_price: Decimal | None
    sell_price: Decimal | None

    @property
    def open_quantity(self) -> int:
        """Shares still held by this run."""
        return self.bought - self.sold

    @property
    def pnl(self) -> Decimal | None:
        """Realised profit or loss of what was sold, or None before the first sale."""
        if self.sold == 0 or self.buy_price is None or self.sell_price is None:
            return None
        return round_rupees((self.sell_price - self.buy_price) * self.sold)


def fold_position(entry: Order, exits: Iterable[Order]) -> Position:
    """The position after the fills of one entry and its exits.

    A negative open quantity is a fact to report, not to hide: reports can come in any order, and an order that was
    thought dead can fill.
    """
    filled_exits = [order for order in exits if order.filled_quantity]
    sold = sum(order.filled_quantity for order in filled_exits)
    return Position(
        bought=entry.filled_quantity,
        sold=sold,
        buy_price=entry.average_price if entry.filled_quantity else None,
        sell_price=sum((order.value for order in filled_exits), Decimal(0)) / sold if sold else None,
    )
