"""The result of a case, by the exchange's own ledger and the rows of `order_logs`. Nothing else is believed."""

from typing import Any

from tests.chaos.case_run import QUANTITY, CaseRun
from tests.kit.paper import eventually

_LIVE_OR_FILLED = {"COMPLETE"}
_DEAD = {"REJECTED", "CANCELLED"}


def verdict(case_run: CaseRun) -> list[str]:
    """Every way in which the promise was broken, as a sentence; nothing if it was kept."""
    user = case_run.trader.account.user_id
    account = case_run.deployment.exchange.ledger(user_id=user)["accounts"][user]
    orders, trades = account["orders"], account["trades"]
    ours = [order for order in orders if order["tag"]]
    return [
        *_duplicates(ours),
        *_quantities(case_run, orders, trades),
        *_unlogged(case_run, ours),
        *_told(case_run, ours),
    ]


def _duplicates(orders: list[dict[str, Any]]) -> list[str]:
    by_tag: dict[str, list[dict[str, Any]]] = {}
    for order in orders:
        if order["status"] not in _DEAD or order["filled_quantity"]:
            by_tag.setdefault(order["tag"], []).append(order)
    found = [
        f"duplicate: tag {tag} has orders {[o['order_id'] for o in same]}"
        for tag, same in by_tag.items()
        if len(same) > 1
    ]
    bought = sum(order["filled_quantity"] for order in orders if order["transaction_type"] == "BUY")
    if bought > QUANTITY:
        found.append(f"duplicate: {bought} bought, {QUANTITY} wanted")
    return found


def _quantities(case_run: CaseRun, orders: list[dict[str, Any]], trades: list[dict[str, Any]]) -> list[str]:
    """Never short at any moment, and flat at the end; or the run is over and shares are left."""
    found, held = [], 0
    for trade in sorted(trades, key=lambda trade: trade["filled_ns"]):
        held += trade["quantity"] * (1 if trade["transaction_type"] == "BUY" else -1)
        if held < 0:
            found.append(f"short: {-held} after trade {trade['trade_id']}")
    alive = [o["order_id"] for o in orders if o["status"] not in _DEAD | _LIVE_OR_FILLED]
    if alive:
        found.append(f"open orders are left: {alive}")
    if held > 0 and case_run.ended:
        found.append(f"unguarded: the run is over and {held} shares are held")
    elif held > 0:
        found.append(
            f"not flat in time: {held} shares are held, the run says {case_run.strategy.status()['message']!r}"
        )
    return found


def _unlogged(case_run: CaseRun, orders: list[dict[str, Any]]) -> list[str]:
    def missing() -> list[str]:
        logged = {
            row["order_id"]
            for row in case_run.deployment.query(
                "select order_id from order_logs where strategy_id = %s and order_id is not null", case_run.strategy.id
            )
        }
        return [order["order_id"] for order in orders if order["order_id"] not in logged]

    try:
        eventually(lambda: not missing(), 10, "every order is logged")
    except AssertionError:
        return [f"unlogged: orders {missing()} are not in order_logs"]
    return []


def _told(case_run: CaseRun, orders: list[dict[str, Any]]) -> list[str]:
    """The run's own record agrees with the ledger."""
    bought = sum(order["filled_quantity"] for order in orders if order["transaction_type"] == "BUY")
    row = case_run.deployment.query(
        "select filled_quantity, position from runs where strategy_id = %s", case_run.strategy.id
    )[0]
    if case_run.ended and row["filled_quantity"] != bought:
        return [f"wrong record: the run says {row['filled_quantity']} bought, the exchange {bought}"]
    if case_run.ended and bought and row["position"] not in {"sold", "exited_by_sl"}:
        return [f"wrong record: {bought} bought and the position is said to be {row['position']}"]
    return []
