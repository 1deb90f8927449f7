"""A panic of twenty holdings while a share is locked, an order is refused and processes die; judged by the exchange's
ledger (row N8): sold exactly once each, and nothing that is not ours.

The API that was called and the execution actor are killed once the first exit has reached the exchange, and the actor
of the locked share after them. `make test` has the same without deaths, of four strategies (tests/acceptance).
"""

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx

from config.stack.stack import Part, Stack
from tests.kit.paper import eventually
from tests.kit.parts import kill, start_again
from tests.kit.trader import Deployment, Running, Trader

SYMBOLS = (
    "ITC", "WIPRO", "HCLTECH", "TITAN", "SUNPHARMA", "NTPC", "POWERGRID", "ONGC", "COALINDIA", "VEDL", "TECHM",
    "CIPLA", "JSWSTEEL", "BAJFINANCE", "HINDUNILVR", "ASIANPAINT", "BHARTIARTL", "AXISBANK", "TATASTEEL",
)  # fmt: skip
"""All of these cost 400 rupees here. INFY is the twentieth, at its own price: the account has more of it."""

QUANTITY, OWN = 10, 20
WIDE = {"lower_circuit_limit": 300.00, "upper_circuit_limit": 500.00}


def test_a_panic_of_twenty_sells_each_once_though_one_is_locked_one_refused_and_processes_die(
    stack: Stack, deployment: Deployment
) -> None:
    exchange, trader = deployment.exchange, deployment.trader()
    account, user_id = trader.account.user_id, trader.ok("GET", "/auth/validate")["user_id"]
    for symbol in SYMBOLS:
        # What ran before on this exchange may have left a share's lower circuit at this price, where it has no buyer.
        exchange.set_rules(f"NSE:{symbol}", **WIDE, buyers=None)
        exchange.set_price(f"NSE:{symbol}", 400.00)
    exchange.set_holdings(account, {"instrument": "NSE:INFY", "opening_quantity": OWN, "average_price": 1400.0})
    neighbour = deployment.trader().strategy("INFY", buy_in=4)
    held = [trader.strategy(symbol, buy_in=8) for symbol in (*SYMBOLS, "INFY")]
    for strategy in (neighbour, *held):
        strategy.until_position("bought", 60)
    locked = held[0]
    exchange.set_rules(f"NSE:{locked.symbol}", lower_circuit_limit=400.00, upper_circuit_limit=500.00, buyers=0)
    exchange.fault("sync-reject", {"transaction_type": "SELL", "user_id": account})
    due = trader.strategy("LT", buy_in=6)
    _sleep_until(due, before_s=0.6)
    execution = deployment.actor_pid("execution:0")
    with ThreadPoolExecutor(1) as pressing:
        pressed = pressing.submit(_press, trader)
        eventually(lambda: locked.requests_of("SELL"), 30, "the first exit has reached the exchange")
        os.kill(execution, signal.SIGKILL)
        kill(stack, Part.API)
        pressed.result()
    _kill_actor_of(locked)
    start_again(stack, Part.API)
    asked = "SELECT id FROM panics WHERE user_id = %s"
    (stored,) = eventually(lambda: deployment.query(asked, user_id), 20, "PostgreSQL has heard of it")
    assert trader.ok("POST", "/panic")["panic_id"] == str(stored["id"]), "pressed again, it is the same panic"
    try:
        for strategy in held[1:]:
            _until_flat(strategy)
        eventually(
            lambda: any(o["transaction_type"] == "SELL" and not o["filled_quantity"] for o in locked.orders()),
            60,
            "the locked share is in the queue",
        )
        panic = trader.ok("GET", f"/panic/{stored['id']}")
        outcomes = {outcome["strategy_id"]: outcome["outcome"] for outcome in panic["strategies"]}
        assert (panic["state"], outcomes[locked.id]) == ("working", "working")
    finally:
        exchange.set_rules(f"NSE:{locked.symbol}", **WIDE, buyers=None)
        exchange.set_price(f"NSE:{locked.symbol}", 405.00)
    finished = eventually(
        lambda: (found := trader.ok("GET", f"/panic/{stored['id']}"))["state"] == "finished" and found, 90, "flat"
    )
    assert Counter(outcome["outcome"] for outcome in finished["strategies"]) == {"flat": len(held) + 1}
    assert finished["message"] == f"All is flat. Not touched: {OWN} INFY of your own"
    _judged_by_the_ledger(trader, held, due)
    assert (neighbour.sides(), neighbour.net()) == (["BUY"], QUANTITY), "another user's shares were sold"
    assert neighbour.stop().is_success


def _kill_actor_of(strategy: Running) -> None:
    """Unless it is just coming back: execution, which it had ordered from, has died."""
    from ray.exceptions import RayError

    with suppress(ValueError, RayError, ProcessLookupError):
        strategy.kill_actor()


def _press(trader: Trader) -> None:
    """The trader's thumb. The process that is called dies before or after it has answered."""
    with suppress(httpx.TransportError):
        trader.call("POST", "/panic")


def _judged_by_the_ledger(trader: Trader, held: list[Running], due: Running) -> None:
    """Every share was sold once, all of it, and nothing else; the BUY that was due was not sent."""
    exchange, account = trader.deployment.exchange, trader.account.user_id
    orders: list[dict[str, Any]] = exchange.ledger(user_id=account)["accounts"][account]["orders"]
    filled = Counter[tuple[str, str]]()
    for order in orders:
        assert order["product"] == "MIS", order
        filled[order["transaction_type"], order["tradingsymbol"]] += order["filled_quantity"]
    wanted = {(side, strategy.symbol): QUANTITY for side in ("BUY", "SELL") for strategy in held}
    assert {key: quantity for key, quantity in filled.items() if quantity} == wanted
    exits = [o for o in orders if o["transaction_type"] == "SELL" and o["filled_quantity"]]
    assert len(exits) == len(held), "each was sold by one order"
    assert due.orders() == []
    assert len(due.requests_of("BUY")) == len(held)
    assert sum(bool(request["faults"]) for request in due.requests_of("SELL")) == 1, "the refusal hit one of the exits"
    over_time = exchange.over_time(account)
    assert {row["net_quantity"] for row in over_time.values()} == {0}
    assert {row["lowest_quantity"] for row in over_time.values()} == {0}, "nothing was ever short: none was sold twice"


def _until_flat(strategy: Running) -> None:
    strategy.until(lambda _: strategy.net() == 0, 60, f"{strategy.symbol} is sold")


def _sleep_until(strategy: Running, before_s: float) -> None:
    """The instant is what is tested, so it is waited for by the clock."""
    left_s = (strategy.buy_at - strategy.deployment.now()).total_seconds() - before_s
    assert left_s > 0, "the machine was too slow to be there before the BUY"
    time.sleep(left_s)
