"""An account of the paper exchange with the unmodified KiteConnect client in its hand, as a strategy has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kiteconnect import KiteConnect

from tests.kit.paper import eventually

if TYPE_CHECKING:
    from tests.kit.paper import PaperExchange

MARKET_BUY = {
    "variety": "regular",
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": 10,
    "product": "MIS",
    "order_type": "MARKET",
    "market_protection": -1,
}


class PaperAccount:
    """One account: ``kite`` is its client, ``user_id`` its name on the control API."""

    def __init__(self, paper: PaperExchange, **fields: Any) -> None:
        self._paper = paper
        self.credentials = paper.control.new_account(**fields)
        self.user_id = self.credentials.user_id
        self.kite = self.client(self.credentials.access_token)

    def client(self, access_token: str) -> Any:
        """A client with another token."""
        return KiteConnect(self.credentials.api_key, access_token=access_token, root=self._paper.url)

    def place(self, tag: str | None = None, **changes: Any) -> str:
        """Send an order, a protected market buy of ten INFY unless `changes` say otherwise; its id."""
        order = {**MARKET_BUY, **changes}
        if order["order_type"] in ("LIMIT", "SL"):
            del order["market_protection"]
        return str(self.kite.place_order(**order, tag=tag))

    def by_hand(self, side: str, quantity: int, **fields: Any) -> str:
        """Trade in the broker's app; the id of the order."""
        order = {"tradingsymbol": "INFY", "transaction_type": side, "quantity": quantity, **fields}
        return self._paper.control.foreign_order(self.user_id, **order)

    def row(self, order_id: str) -> dict[str, Any]:
        """The order as GET /orders shows it."""
        (row,) = [row for row in self.kite.orders() if row["order_id"] == order_id]
        return dict(row)

    def status(self, order_id: str) -> str:
        """Its status."""
        return str(self.kite.order_history(order_id)[-1]["status"])

    def reaches(self, order_id: str, status: str) -> dict[str, Any]:
        """Wait until an order has a status; its row."""
        eventually(lambda: self.status(order_id) == status, what=f"{status} of {self.row(order_id)}")
        return self.row(order_id)

    def bought(self, quantity: int = 10, **changes: Any) -> str:
        """Buy, and wait for the fill; the id of the order."""
        order_id = self.place("IN", quantity=quantity, **changes)
        self.reaches(order_id, "COMPLETE")
        return order_id

    def position(self, product: str = "MIS", symbol: str = "INFY") -> dict[str, Any]:
        """The row of one net position; empty when there is none."""
        rows = self.kite.positions()["net"]
        found = [row for row in rows if (row["product"], row["tradingsymbol"]) == (product, symbol)]
        return dict(found[0]) if found else {}

    def net(self, product: str = "MIS", symbol: str = "INFY") -> int:
        """Shares of one position."""
        return int(self.position(product, symbol).get("quantity", 0))

    def holding(self, symbol: str = "INFY") -> dict[str, Any]:
        """The row of one holding."""
        (row,) = [row for row in self.kite.holdings() if row["tradingsymbol"] == symbol]
        return dict(row)

    def requests(self) -> list[dict[str, Any]]:
        """The account's order requests, from every sender."""
        rows: list[dict[str, Any]] = self._paper.control.ledger(self.user_id)["requests"]
        return rows

    def judged(self, product: str = "MIS", symbol: str = "INFY") -> dict[str, Any]:
        """The judge's row of one position."""
        return self._paper.control.over_time(self.user_id)[(symbol, product)]
