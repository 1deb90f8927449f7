"""What an account went through, by the exchange's own ledger: no short and no foreign sale of ours at any moment.

A sale by hand or by the broker counts against our runs first, as `actors.domain.orders.cover` has it: what is left of
the runs' shares after it is all that we may sell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kit.paper import eventually
from tests.kit.trader import Deployment

_DEAD = {"REJECTED", "CANCELLED"}
_FINAL = {"COMPLETE", *_DEAD}

LEAVES_WITHIN_NS, LOOKS_WITHIN_NS = 200_000_000, 2_000_000_000
"""An order that arrives within `LEAVES_WITHIN_NS` after a sale by hand had left before its update could be heard; a
fill within `LOOKS_WITHIN_NS` after it comes before the watcher's look. The engine cannot prevent a short then (window
W4 of the order protocol)."""

Key = tuple[str, str]
"""Tradingsymbol and product."""


@dataclass
class Line:
    """One position over time. `own`: all shares that are there; `ours`: those of our runs that are not sold yet."""

    own: int = 0
    ours: int = 0
    broken: list[str] = field(default_factory=list)
    _sold_by_others_ns: int = 0

    def trade(self, trade: dict[str, Any], *, tagged: bool, placed_ns: int) -> None:
        """Take in one trade, of an order that came at `placed_ns`."""
        quantity, sells = trade["quantity"], trade["transaction_type"] == "SELL"
        name = f"{trade['tradingsymbol']} at {trade['fill_timestamp']}"
        if not sells:
            if tagged and self.own < 0:
                self.broken.append(f"covered: our BUY covered a short of the trader's own of {-self.own} {name}")
            self.ours += quantity if tagged else 0
            self.own += quantity
            return
        self.own -= quantity
        if not tagged:
            self._sold_by_others_ns = trade["filled_ns"]
        elif self._crossed(placed_ns, trade["filled_ns"]):
            self.broken += [f"window: our order and a sale by hand crossed, {name}"] if quantity > self.ours else []
        else:
            if quantity > self.ours:
                self.broken.append(f"foreign: {quantity - self.ours} shares were sold that were not ours, {name}")
            if self.own < 0:
                self.broken.append(f"short: {-self.own} {name}, opened by our order")
        self.ours = max(0, self.ours - quantity)

    def _crossed(self, placed_ns: int, filled_ns: int) -> bool:
        """Window W4 of the order protocol: our exit left in the moment of the sale, and filled before a look."""
        in_the_moment = placed_ns - self._sold_by_others_ns < LEAVES_WITHIN_NS
        return in_the_moment and filled_ns - self._sold_by_others_ns < LOOKS_WITHIN_NS


def lines_of(account: dict[str, Any], holdings: Mapping[str, int]) -> dict[Key, Line]:
    """Every position of an account. `holdings`: shares of the demat account as the day began, by tradingsymbol."""
    lines = {(symbol, "CNC"): Line(own=quantity) for symbol, quantity in holdings.items()}
    orders = {order["order_id"]: order for order in account["orders"]}
    for trade in sorted(account["trades"], key=lambda trade: trade["filled_ns"]):
        line = lines.setdefault((trade["tradingsymbol"], trade["product"]), Line())
        order = orders[trade["order_id"]]
        line.trade(trade, tagged=bool(order["tag"]), placed_ns=order["placed_ns"])
    return lines


def broken_promises(
    deployment: Deployment, user_id: str, holdings: Mapping[str, int] | None = None, *, ended: bool = True
) -> list[str]:
    """Every way in which an account's ledger says that a promise was broken, as sentences.

    `ended`: all its runs are over, so that nothing of ours may be left, neither shares nor orders.
    """
    account = deployment.exchange.ledger(user_id=user_id)["accounts"][user_id]
    lines = lines_of(account, holdings or {})
    orders = [order for order in account["orders"] if order["tag"]]
    found = [sentence for line in lines.values() for sentence in line.broken]
    found += _duplicates(orders)
    if ended:
        alive = [order["order_id"] for order in orders if order["status"] not in _FINAL]
        found += [f"open orders are left: {alive}"] if alive else []
        found += [
            f"unguarded: every run is over and {line.ours} {symbol} ({product}) of theirs are held"
            for (symbol, product), line in lines.items()
            if line.ours > 0 and line.own > 0
        ]
    return found + _unlogged(deployment, orders)


def _duplicates(orders: list[dict[str, Any]]) -> list[str]:
    by_tag: dict[str, list[str]] = {}
    for order in orders:
        if order["status"] not in _DEAD or order["filled_quantity"]:
            by_tag.setdefault(order["tag"], []).append(order["order_id"])
    return [f"duplicate: tag {tag} has orders {ids}" for tag, ids in by_tag.items() if len(ids) > 1]


def _unlogged(deployment: Deployment, orders: list[dict[str, Any]]) -> list[str]:
    ids = [order["order_id"] for order in orders]

    def missing() -> list[str]:
        sql = "select distinct order_id from order_logs where order_id = any(%s)"
        logged = {row["order_id"] for row in deployment.query(sql, ids)}
        return [order_id for order_id in ids if order_id not in logged]

    try:
        eventually(lambda: not missing(), 10, "every order is logged")
    except AssertionError:
        return [f"unlogged: orders {missing()} are not in order_logs"]
    return []
