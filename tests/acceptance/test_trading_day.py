"""Rows D1 to F4, G1, G2, I1 and L1: strategies that really trade, judged by the exchange's ledger."""

import math
import signal
from datetime import datetime, timedelta
from typing import Any

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Trader, at_once, queued_events


def test_strategy_buys_and_sells_at_its_times(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("INFY", buy_in=4, sell_in=8)

    assert strategy.started["strategy_status"] == "running"
    assert datetime.fromisoformat(strategy.started["buy_at"]) == strategy.buy_at
    assert deployment.hash(f"strategy:{strategy.id}")["symbol"] == "INFY"
    assert strategy.runtime()["position"] == "none"
    assert str(strategy.id) in deployment.redis.smembers("symbol:INFY:strategies")
    assert strategy.actor in deployment.actors()

    bought = strategy.until_position("bought")
    buy, *_ = strategy.orders()
    assert bought["last_buy_order"] == buy["order_id"] == strategy.runtime()["last_buy_order"]
    assert bought["filled_quantity"] == 10

    final = strategy.until_stopped()
    assert (final["position"], final["last_action"]) == ("sold", "SELL")
    buy, sell = strategy.orders()
    assert final["last_sell_order"] == sell["order_id"]
    assert [buy["transaction_type"], sell["transaction_type"]] == ["BUY", "SELL"]
    assert (buy["quantity"], sell["quantity"], strategy.net()) == (10, 10, 0)
    sent = [datetime.fromtimestamp(r["received_ns"] / 1e9, strategy.buy_at.tzinfo) for r in strategy.requests()]
    for due, received in zip([strategy.buy_at, strategy.sell_at], sent, strict=True):
        assert due <= received < due + timedelta(seconds=5)
    assert {"BUY_TRIGGERED", "BUY", "SELL_TRIGGERED", "SELL", "ORDER_COMPLETE"} <= set(strategy.logged())
    assert deployment.query("select status from strategies where id = %s", strategy.id) == [{"status": "stopped"}]
    assert 0 < deployment.redis.ttl(f"runtime:{strategy.id}") <= 86400
    assert str(strategy.id) not in deployment.redis.smembers("symbol:INFY:strategies")
    eventually(lambda: strategy.actor not in deployment.actors(), 10, "the actor is gone")
    eventually(lambda: strategy.id not in [e["strategy_id"] for e in queued_events(deployment)], 15, "queue is empty")


def test_touched_stop_loss_sells_at_once_and_overrides_the_sell_time(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
    strategy.until_position("bought")
    strategy.set_price(790.05)
    eventually(lambda: deployment.hash("price:SBIN").get("price") == "790.05", 15, "the price is mirrored")
    status = strategy.until(lambda s: s["last_price"] == 790.05)
    assert (status["position"], strategy.sides()) == ("bought", ["BUY"])

    strategy.set_price(790.00)
    final = strategy.until_stopped()
    assert final["position"] == "exited_by_sl"
    assert final["message"] == "STOP-LOSS Triggered"
    assert final["last_sl_order"] == strategy.orders()[-1]["order_id"]
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
    assert strategy.runtime()["terminated_at"]
    assert {"STOPLOSS_TRIGGERED", "STOPLOSS"} <= set(strategy.logged())


def test_stop_in_percent_is_reckoned_from_the_fill_and_sells_when_touched(
    deployment: Deployment, trader: Trader
) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=2, stop_loss_percent=1.25)
    waiting = strategy.status()
    assert (waiting["stop_loss"], waiting["stop_loss_percent"]) == (None, 1.25)
    strategy.until_position("bought")
    paid = strategy.orders()[0]["average_price"]
    level = math.ceil(paid * 0.9875 * 20 - 1e-9) / 20
    status = strategy.until(lambda s: s["guard"]["by"] == ["strategy", "execution"])
    assert (status["stop_loss"], status["stop_loss_percent"]) == (level, 1.25)
    strategy.set_price(level + 0.05)
    strategy.until(lambda s: s["last_price"] == round(level + 0.05, 2))
    assert strategy.sides() == ["BUY"]

    strategy.set_price(level)
    final = strategy.until_stopped()
    assert (final["position"], final["stop_loss"]) == ("exited_by_sl", level)
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
    kept = trader.ok("GET", f"/strategy/{strategy.id}")
    assert (kept["stop_loss"], kept["stop_loss_percent"]) == (None, 1.25), "the next run reckons it from its own fill"


def test_the_trader_hears_once_of_each_fill(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:WIPRO", 250.00)
    strategy = trader.strategy("WIPRO", buy_in=2, stop_loss=245.00)
    strategy.until_position("bought")
    strategy.set_price(244.00)
    strategy.until_stopped()
    mine = [n for n in trader.ok("GET", "/notifications")["notifications"] if n["strategy_id"] == strategy.id]
    assert [notice["kind"] for notice in mine] == ["exit_stop", "fill_entry"]
    sold, bought = (notice["text"] for notice in mine)
    assert bought.startswith("Bought 10 WIPRO at ₹250.00")
    assert "Stop-loss ₹245.00" in bought
    assert sold.startswith("Stop-loss: sold 10 WIPRO at ₹244.00. −₹60.00 before charges.")


def test_stop_loss_is_skipped_while_nothing_is_bought(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:ITC", 460.00)  # at START the stop-loss must be below the market
    strategy = trader.strategy("ITC", buy_in=12, stop_loss=450.00)
    deployment.exchange.set_price("NSE:ITC", 400.00)
    strategy.until(lambda s: s["last_price"] == 400.00)
    assert (strategy.status()["position"], strategy.orders()) == ("none", [])
    deployment.exchange.set_price("NSE:ITC", 460.00)
    strategy.until_position("bought")
    assert strategy.sides() == ["BUY"]
    assert strategy.stop().status_code == 200


def test_hundred_starts_make_one_actor_and_one_run(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("TCS", buy_in=300)
    body = {"strategy_id": strategy.id}
    answers = at_once(lambda: trader.ok("POST", "/strategy/start", body), 20)
    assert answers == [strategy.started] * 20
    runs = deployment.query("select id from runs where strategy_id = %s", strategy.id)
    assert len(runs) == 1
    assert strategy.stop().status_code == 200


def test_stop_before_the_buy_leaves_nothing_behind(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("TCS", buy_in=300)
    answer = strategy.stop()
    assert (answer.status_code, answer.json()["strategy_status"], answer.json()["position"]) == (200, "stopped", "none")
    keys = [f"{name}:{strategy.id}" for name in ("strategy", "runtime", "lock_state", "lock_claim")]
    assert deployment.redis.exists(*keys) == 0
    assert str(strategy.id) not in deployment.redis.smembers("symbol:TCS:strategies")
    assert strategy.actor not in deployment.actors()
    assert (strategy.orders(), strategy.status()["strategy_status"]) == ([], "stopped")
    assert strategy.stop().status_code == 200


def test_stop_sells_the_open_position(trader: Trader) -> None:
    strategy = trader.strategy("RELIANCE", buy_in=2)
    strategy.until_position("bought")
    answer = strategy.stop()
    assert (answer.status_code, answer.json()["position"]) == (200, "sold")
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)


def test_stop_loss_sell_and_stop_at_once_sell_once(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:HDFCBANK", 1600.00)
    strategy = trader.strategy("HDFCBANK", buy_in=2, sell_in=7, stop_loss=1590.00)
    strategy.until_position("bought")
    eventually(lambda: deployment.now() >= strategy.sell_at - timedelta(milliseconds=30), 10, "sell time")
    strategy.set_price(1580.00)
    at_once(strategy.stop, 3)
    eventually(lambda: deployment.now() >= strategy.sell_at + timedelta(seconds=1), 10, "sell time is over")
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
    assert len(strategy.requests()) == 2


def test_order_is_on_the_queue_and_the_lock_is_held_while_it_is_sent(deployment: Deployment, trader: Trader) -> None:
    match = {"user_id": trader.account.user_id, "transaction_type": "BUY"}
    deployment.exchange.fault("accepted-hang", match, seconds=1)
    strategy = trader.strategy("ICICIBANK", buy_in=2)

    def mine() -> list[dict[str, Any]]:
        return [event for event in queued_events(deployment) if event["strategy_id"] == strategy.id]

    pending = eventually(mine, 10, "queued")
    assert pending[0]["event"] == "BUY"
    assert pending[0]["intent_id"] in str(deployment.redis.get(f"lock_state:{strategy.id}"))
    strategy.until_position("bought")
    assert strategy.sides() == ["BUY"]
    eventually(lambda: strategy.id not in [e["strategy_id"] for e in queued_events(deployment)], 10, "taken off")
    strategy.stop()


def test_trigger_that_is_late_by_less_than_five_seconds_is_executed(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("TATASTEEL", buy_in=10)
    pid = strategy.kill_actor(signal.SIGSTOP)
    eventually(lambda: deployment.now() >= strategy.buy_at + timedelta(seconds=2), 20, "two seconds late")
    _go_on(pid)
    strategy.until_position("bought")
    assert strategy.sides() == ["BUY"]
    strategy.stop()


def test_trigger_that_is_missed_by_more_is_logged_and_not_executed(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("TATASTEEL", buy_in=10)
    pid = strategy.kill_actor(signal.SIGSTOP)
    eventually(lambda: deployment.now() >= strategy.buy_at + timedelta(seconds=5.2), 20, "too late")
    _go_on(pid)
    final = strategy.until_stopped()
    assert (final["position"], final["status_detail"]) == ("none", "missed_execution")
    assert "MISSED_EXECUTION" in strategy.logged()
    assert strategy.orders() == []


def test_start_after_the_buy_time_arms_the_next_session(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("TCS", buy_in=-6)
    tomorrow = strategy.buy_at + timedelta(days=1)
    assert datetime.fromisoformat(strategy.started["buy_at"]) == tomorrow
    assert strategy.stop().status_code == 200


def test_strategy_that_was_stopped_out_and_started_again_is_guarded_again(
    deployment: Deployment, trader: Trader
) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
    strategy.until_position("bought")
    strategy.set_price(789.00)
    assert strategy.until_stopped()["position"] == "exited_by_sl"

    strategy.set_price(800.00)
    buy_at = deployment.now() + timedelta(seconds=3)
    trader.ok("PATCH", f"/strategy/{strategy.id}", {"buy_time": f"{buy_at:%H:%M:%S}"})
    trader.ok("POST", "/strategy/start", {"strategy_id": strategy.id})
    strategy.until_position("bought")
    strategy.set_price(789.00)
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"] * 2, 0)


def test_stop_loss_moved_while_running_counts_from_then_on(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:BAJAJ-AUTO", 9000.00)
    strategy = trader.strategy("BAJAJ-AUTO", buy_in=2, stop_loss=8000.00)
    strategy.until_position("bought")
    moved = trader.ok("PATCH", f"/strategy/{strategy.id}", {"stop_loss": 8900.00})
    assert moved["stop_loss"] == 8900.00
    strategy.set_price(8899.00)
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    assert strategy.net() == 0


def _go_on(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGCONT)
