"""Row N4: a strategy with a schedule trades by itself, each day once."""

from datetime import timedelta
from typing import Any

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Trader

BUY_IN_S, SELL_IN_S = 25, 32
"""In time for the sweep that arms it, and for the last try before the BUY."""


def test_a_schedule_of_two_days_trades_twice_and_says_nothing_else(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:TCS", 3000.00)
    created = trader.ok(
        "POST",
        "/strategy/create",
        {"symbol": "TCS", **times(deployment), "stop_loss_percent": 5, "quantity": 3},
    )
    strategy_id: int = created["strategy_id"]
    schedule = f"/strategy/{strategy_id}/schedule"
    put = trader.ok("PUT", schedule, {"days": "every_session"})
    assert put["state"] == "active"

    traded(trader, strategy_id, runs=1)
    a_day_passes(deployment, strategy_id)
    trader.ok("PATCH", f"/strategy/{strategy_id}", times(deployment))
    traded(trader, strategy_id, runs=2)

    latest = trader.ok("GET", schedule)["latest"]
    assert [(day["outcome"], day["code"]) for day in latest] == [("armed", "")] * 2
    today = deployment.now().date()
    assert [day["date"] for day in latest] == [today.isoformat(), (today - timedelta(days=1)).isoformat()]
    assert latest[0]["run_id"] != latest[1]["run_id"]
    assert [order["transaction_type"] for order in orders(deployment, trader)] == ["BUY", "SELL"] * 2
    kinds = [notice["kind"] for notice in trader.ok("GET", "/notifications?limit=50")["notifications"]]
    assert {"will_not_trade", "schedule"}.isdisjoint(kinds)
    assert trader.call("DELETE", schedule).status_code == 204


def times(deployment: Deployment) -> dict[str, str]:
    """A BUY and a SELL of the coming minute."""
    begin = deployment.now()
    buy_at, sell_at = (begin + timedelta(seconds=after) for after in (BUY_IN_S, SELL_IN_S))
    return {"buy_time": f"{buy_at:%H:%M:%S}", "sell_time": f"{sell_at:%H:%M:%S}"}


def traded(trader: Trader, strategy_id: int, *, runs: int) -> None:
    """A day of the schedule is armed by itself, and its run has bought and sold."""

    def armed() -> bool:
        latest = trader.ok("GET", f"/strategy/{strategy_id}/schedule")["latest"]
        return len({day["run_id"] for day in latest if day["outcome"] == "armed"}) == runs

    eventually(armed, BUY_IN_S, "the day is armed")
    status = f"/strategy/status/{strategy_id}"
    eventually(lambda: trader.ok("GET", status)["position"] == "sold", SELL_IN_S + 30, "it is sold")


def a_day_passes(deployment: Deployment, strategy_id: int) -> None:
    """What is stored of the strategy becomes a day older, so that today is its next day."""
    for earlier in (
        "runs SET buy_at = buy_at - interval '1 day', sell_at = sell_at - interval '1 day'",
        "schedule_days SET session_date = session_date - 1",
        "schedules SET active_since = active_since - interval '1 day', from_date = from_date - 1",
    ):
        changed = f"UPDATE {earlier} WHERE strategy_id = %s RETURNING strategy_id"
        assert len(deployment.query(changed, strategy_id)) == 1


def orders(deployment: Deployment, trader: Trader) -> list[dict[str, Any]]:
    """What the exchange has of the trader's account, in the order of time."""
    user_id = trader.account.user_id
    kept: list[dict[str, Any]] = deployment.exchange.ledger(user_id)["accounts"][user_id]["orders"]
    return kept
