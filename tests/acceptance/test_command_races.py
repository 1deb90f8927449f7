"""START, STOP and PATCH on the real stack, many at a time; and symbols that would break a careless name."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Trader, at_once


def test_a_hundred_starts_make_one_run_and_one_answer(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("TCS", buy_in=300)
    assert strategy.stop().status_code == 200
    body = {"strategy_id": strategy.id}
    answers = at_once(lambda: trader.call("POST", "/strategy/start", body), 100)
    assert Counter(answer.status_code for answer in answers) == {200: 100}
    assert len({answer.text for answer in answers}) == 1
    runs = deployment.query("select id from runs where strategy_id = %s and ended_at is null", strategy.id)
    assert len(runs) == 1
    intents = deployment.query("select id from intents where run_id = %s", runs[0]["id"])
    assert len(intents) == 1
    assert strategy.stop().status_code == 200


def test_a_hundred_stops_sell_once_and_answer_alike(trader: Trader) -> None:
    strategy = trader.strategy("RELIANCE", buy_in=2)
    strategy.until_position("bought")
    answers = at_once(strategy.stop, 100)
    assert Counter(answer.status_code for answer in answers) == {200: 100}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["position"] == "sold"
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)


def test_starts_racing_stops_end_of_one_mind(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("TCS", buy_in=300)
    body = {"strategy_id": strategy.id}
    verbs = ["start", "stop"] * 10
    with ThreadPoolExecutor(len(verbs)) as pool:
        answers = list(pool.map(lambda verb: trader.call("POST", f"/strategy/{verb}", body), verbs))
    assert {answer.status_code for answer in answers} == {200}
    (row,) = deployment.query(
        "select s.status, r.ended_at from strategies s join runs r on r.strategy_id = s.id where s.id = %s "
        "order by r.id desc limit 1",
        strategy.id,
    )
    running = row["ended_at"] is None
    assert row["status"] == ("running" if running else "stopped")
    assert strategy.status()["strategy_status"] == row["status"]
    assert (str(strategy.id) in deployment.redis.smembers("symbol:TCS:strategies")) is running
    eventually(lambda: (strategy.actor in deployment.actors()) is running, 15, "an actor lives if a run does")
    assert strategy.stop().status_code == 200
    assert strategy.orders() == []


def test_racing_moves_of_the_stop_leave_row_run_and_redis_alike(deployment: Deployment, trader: Trader) -> None:
    strategy = trader.strategy("INFY", buy_in=2, stop_loss=100.00)
    strategy.until_position("bought")
    levels = random.sample(range(101, 400), 20)
    with ThreadPoolExecutor(len(levels)) as pool:
        patched = list(pool.map(lambda s: trader.call("PATCH", f"/strategy/{strategy.id}", {"stop_loss": s}), levels))
    assert {answer.status_code for answer in patched} == {200}
    (row,) = deployment.query(
        "select s.stop_loss_paise as told, r.stop_loss_paise as watched, r.state->>'stop_loss' as kept "
        "from strategies s join runs r on r.strategy_id = s.id where s.id = %s and r.ended_at is null",
        strategy.id,
    )
    last = row["watched"] / 100

    def logged() -> float:
        moves = [line["reason"] for line in strategy.log() if line["event"] == "STOP_LOSS_MOVED"]
        return float(moves[-1].rpartition("₹")[2])

    assert eventually(lambda: logged() == last, 5, "the last move of a second is logged")
    assert (row["told"], row["kept"]) == (last * 100, str(int(last * 100)))
    assert float(deployment.hash(f"strategy:{strategy.id}")["stop_loss"]) == last
    assert trader.ok("GET", f"/strategy/{strategy.id}")["stop_loss"] == last
    assert strategy.stop().status_code == 200


@pytest.mark.parametrize(("symbol", "price"), [("M&M", 3450.0), ("BAJAJ-AUTO", 8950.0), ("J&KBANK", 104.5)])
def test_symbols_with_special_characters_are_bought_and_sold(
    deployment: Deployment, trader: Trader, symbol: str, price: float
) -> None:
    deployment.exchange.set_price(f"NSE:{symbol}", price)
    strategy = trader.strategy(symbol, buy_in=2)
    assert str(strategy.id) in deployment.redis.smembers(f"symbol:{symbol}:strategies")
    strategy.until_position("bought")
    assert f"router:NSE:{symbol}" in deployment.actors()
    eventually(lambda: deployment.hash(f"price:{symbol}").get("price"), 15, "the price is mirrored")
    listed: dict[str, Any] = trader.http.get("/strategy/list", params={"symbol": symbol}).json()
    assert [row["symbol"] for row in listed["strategies"]] == [symbol]
    assert strategy.stop().status_code == 200
    assert (strategy.sides(), strategy.net()) == (["BUY", "SELL"], 0)
