"""Rows H1 to H4, J1 to J3: what goes wrong, on the real stack, judged by the exchange's ledger."""

import os
import signal
from contextlib import suppress

import psutil

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Trader


def _only(trader: Trader, side: str) -> dict[str, str]:
    return {"user_id": trader.account.user_id, "transaction_type": side}


def test_buy_whose_answer_is_lost_is_adopted_not_repeated(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.fault("accepted-drop", _only(trader, "BUY"))
    strategy = trader.strategy("INFY", buy_in=2)
    strategy.until_position("bought")
    assert len(strategy.requests()) == 1
    assert strategy.stop().json()["position"] == "sold"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)


def test_buy_that_fails_four_times_stops_the_strategy(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.fault("not-accepted-drop", _only(trader, "BUY"), times=4)
    strategy = trader.strategy("INFY", buy_in=2)
    final = strategy.until_stopped(60)
    assert final["message"] == "Order Failed – Strategy Stopped"
    assert strategy.runtime()["status"] == "failed"
    assert len({r["form"]["tag"] for r in strategy.requests()}) == 1
    assert len(strategy.requests()) == 4
    assert "ORDER_FAILED" in strategy.logged()
    assert strategy.orders() == []


def test_rejected_buy_aborts_the_strategy_with_the_reason(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.fault("async-reject", _only(trader, "BUY"), message="RMS:Margin Exceeds")
    strategy = trader.strategy("INFY", buy_in=2)
    final = strategy.until_stopped()
    assert final["position"] == "buy_failed"
    assert "RMS:Margin Exceeds" in final["message"]
    assert "ORDER_REJECTED" in strategy.logged()


def test_broker_that_is_down_pauses_the_strategy(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("INFY", buy_in=3)
    eventually(lambda: strategy.status()["last_price"] is not None, 10, "a price")
    deployment.exchange.outage(on=True)
    try:
        paused = strategy.until(lambda s: s["strategy_status"] == "paused")
        assert paused["status_detail"] == "broker_unreachable"
    finally:
        deployment.exchange.outage(on=False)
    assert strategy.until(lambda s: s["strategy_status"] != "paused", 60)["strategy_status"] in {"running", "stopped"}
    strategy.stop()
    assert strategy.net() == 0


def test_exit_that_fails_is_retried_until_the_position_is_flat(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
    strategy.until_position("bought")
    for _ in range(2):  # each guard may have sent it before it hears what the other one was answered
        deployment.exchange.fault("sync-reject", _only(trader, "SELL"), message="Markets are closed right now")
    strategy.set_price(789.00)
    failed = strategy.until(lambda s: "retrying" in s["message"])
    assert failed["strategy_status"] != "stopped"
    final = strategy.until_stopped(60)
    assert (final["position"], strategy.net()) == ("exited_by_sl", 0)


def test_partial_fills_are_logged_and_sold_in_whole(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.fault("partial-fill", _only(trader, "BUY"), quantity=4)
    strategy = trader.strategy("INFY", buy_in=2)
    bought = strategy.until(lambda s: s["filled_quantity"] == 4)
    assert bought["position"] == "bought"
    assert "ORDER_PARTIALLY_FILLED" in strategy.logged()
    strategy.stop()
    strategy.until_stopped()
    assert strategy.net() == 0


def test_parked_exit_is_chased_until_it_fills(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("INFY", buy_in=2)
    strategy.until_position("bought")
    deployment.exchange.fault("park", _only(trader, "SELL"))
    strategy.stop()
    strategy.until_stopped()
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
    assert len(strategy.requests()) == 2


def test_killed_actor_is_replaced_and_still_guards_its_position(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
    strategy.until_position("bought")
    killed = strategy.kill_actor()
    eventually(lambda: _alive_again(strategy.deployment, strategy.actor, killed), 20, "another process")
    strategy.set_price(789.50)
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
    epochs = deployment.query("select epoch from runs where strategy_id = %s", strategy.id)
    assert epochs[0]["epoch"] >= 2


def test_actor_killed_while_its_buy_waits_for_its_time_still_buys_once_and_in_time(
    deployment: Deployment, trader: Trader
) -> None:
    strategy = trader.strategy("INFY", buy_in=7)
    pid = deployment.actor_pid(strategy.actor)
    eventually(lambda: "BUY_TRIGGERED" in strategy.logged(), 10, "the BUY is in execution's hands")
    os.kill(pid, signal.SIGKILL)
    assert deployment.now() < strategy.buy_at, "killed too late"
    strategy.until_position("bought")
    requests = strategy.requests()
    assert len(requests) == 1
    late_s = requests[0]["received_ns"] / 1e9 - strategy.buy_at.timestamp()
    assert 0 <= late_s < 1
    assert strategy.stop().json()["position"] == "sold"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
    assert deployment.query("select epoch from runs where strategy_id = %s", strategy.id)[0]["epoch"] >= 2


def test_execution_killed_while_a_buy_waits_there_for_its_time_sends_it_once_in_time_or_it_is_said_to_be_missed(
    deployment: Deployment, trader: Trader
) -> None:
    strategy = trader.strategy("INFY", buy_in=7)
    killed = deployment.actor_pid("execution:0")
    eventually(lambda: "BUY_TRIGGERED" in strategy.logged(), 10, "the BUY is in execution's hands")
    os.kill(killed, signal.SIGKILL)
    assert deployment.now() < strategy.buy_at, "killed too late"
    status = strategy.until(lambda s: s["position"] == "bought" or s["strategy_status"] == "stopped", 40)
    requests = strategy.requests_of("BUY")
    if status["position"] != "bought":
        assert (requests, "missed" in status["message"]) == ([], True), status
        return
    assert len(requests) == 1
    late_s = requests[0]["received_ns"] / 1e9 - strategy.buy_at.timestamp()
    assert 0 <= late_s < deployment.settings.missed_grace_s
    assert strategy.stop().json()["position"] == "sold"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)


def test_dropped_price_stream_comes_back_and_the_stop_still_works(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:ITC", 400.00)
    strategy = trader.strategy("ITC", buy_in=2, stop_loss=390.00)
    strategy.until_position("bought")
    deployment.exchange.fault("ws-abort")
    strategy.set_price(395.00)
    strategy.until(lambda s: s["last_price"] == 395.00, 15)
    assert strategy.status()["position"] == "bought"
    strategy.set_price(389.00)
    assert strategy.until_stopped()["position"] == "exited_by_sl"


def test_with_redis_down_nothing_new_starts_and_the_stop_loss_still_goes_out(
    deployment: Deployment, trader: Trader
) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
    strategy.until_position("bought")
    deployment.redis.client_pause(8000)
    refused = trader.call("POST", "/strategy/start", {"strategy_id": strategy.id})
    assert (refused.status_code, refused.json()["code"]) == (503, "redis_unavailable")
    strategy.set_price(789.00)
    eventually(lambda: strategy.sides() == ["BUY", "SELL"], 7, "the exit reached the exchange")
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    eventually(lambda: strategy.runtime().get("position") == "exited_by_sl", 20, "the mirror is right again")


def test_flushed_redis_is_rebuilt_from_the_database(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("TCS", buy_in=300)
    deployment.redis.flushall()
    assert strategy.status()["strategy_status"] == "running"
    eventually(lambda: strategy.runtime().get("position") == "none", 15, "runtime is back")
    assert str(strategy.id) in deployment.redis.smembers("symbol:TCS:strategies")
    assert strategy.stop().status_code == 200


def _alive_again(deployment: Deployment, name: str, killed: int) -> bool:
    from ray.exceptions import RayError

    try:
        return deployment.actor_pid(name) != killed
    except (RayError, ValueError):
        return False


def test_execution_killed_while_a_buy_hangs_leaves_one_order_and_a_guarded_position(
    deployment: Deployment, trader: Trader
) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    deployment.exchange.fault("accepted-hang", _only(trader, "BUY"), seconds=1)
    strategy = trader.strategy("SBIN", buy_in=3, stop_loss=790.00)
    eventually(strategy.requests, 20, "the BUY is on its way")
    os.kill(deployment.actor_pid("execution:0"), signal.SIGKILL)
    strategy.until_position("bought")
    strategy.set_price(789.00)
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
    assert len(strategy.requests()) == 2


def _spare_processes(beside: int) -> set[int]:
    """Workers of the same Ray node that were begun for execution and are no actor yet."""
    found = set()
    for worker in psutil.Process(beside).parent().children():
        with suppress(psutil.NoSuchProcess):  # others end while we look
            if worker.name().startswith("ray::IDLE") and "WORKER_IMPORTS_AHEAD" in worker.environ():
                found.add(worker.pid)
    return found


def test_execution_that_dies_is_back_in_a_process_that_has_waited_for_it(
    deployment: Deployment, trader: Trader
) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=3, stop_loss=790.00)
    strategy.until_position("bought")
    killed = deployment.actor_pid("execution:0")
    spares = eventually(lambda: _spare_processes(killed), 30, "a spare process waits")
    os.kill(killed, signal.SIGKILL)
    strategy.set_price(789.00)
    eventually(lambda: _alive_again(deployment, "execution:0", killed), 20, "execution is back")
    assert deployment.actor_pid("execution:0") in spares
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)


def test_strategy_killed_while_its_stop_loss_hangs_sells_once(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=3, stop_loss=790.00)
    strategy.until_position("bought")
    deployment.exchange.fault("accepted-hang", _only(trader, "SELL"), seconds=1)
    strategy.set_price(789.00)
    eventually(lambda: len(strategy.requests()) == 2, 20, "the exit is on its way")
    strategy.kill_actor()
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
    assert len(strategy.requests()) == 2
