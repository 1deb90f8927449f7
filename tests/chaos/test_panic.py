"""A panic while a share is locked, an order is refused and processes die; judged by the exchange's ledger (row N8).

Six holdings, not twenty: more strategies are too many for two cores beside the rest of the suite.
"""

import os
import signal
import time

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running

SYMBOLS = ("ITC", "WIPRO", "HCLTECH", "TITAN", "SUNPHARMA", "NTPC")
WIDE = {"lower_circuit_limit": 300.00, "upper_circuit_limit": 500.00}


def test_a_panic_ends_everything_though_a_share_is_locked_an_order_refused_and_processes_die(
    deployment: Deployment,
) -> None:
    exchange, trader = deployment.exchange, deployment.trader()
    account = trader.account.user_id
    for symbol in SYMBOLS:
        # What ran before on this exchange may have left a share's lower circuit at this price, where it has no buyer.
        exchange.set_rules(f"NSE:{symbol}", **WIDE, buyers=None)
        exchange.set_price(f"NSE:{symbol}", 400.00)
    held = [trader.strategy(symbol, buy_in=8) for symbol in SYMBOLS]
    for strategy in held:
        strategy.until_position("bought", 60)
    locked = held[0]
    exchange.set_rules(f"NSE:{locked.symbol}", lower_circuit_limit=400.00, upper_circuit_limit=500.00, buyers=0)
    exchange.fault("sync-reject", {"transaction_type": "SELL", "user_id": account})
    due = trader.strategy("LT", buy_in=6)
    left_s = (due.buy_at - deployment.now()).total_seconds() - 0.6
    assert left_s > 0, "the machine was too slow to be there before the BUY"
    time.sleep(left_s)
    execution = deployment.actor_pid("execution:0")
    taken = trader.ok("POST", "/panic")
    os.kill(execution, signal.SIGKILL)
    locked.kill_actor()  # the others may have sold and ended by now
    repeated = trader.ok("POST", "/panic")
    assert repeated["panic_id"] == taken["panic_id"]
    try:
        for strategy in held[1:]:
            _until_flat(strategy)
        eventually(
            lambda: any(o["transaction_type"] == "SELL" and not o["filled_quantity"] for o in locked.orders()),
            60,
            "the locked share is in the queue",
        )
        panic = trader.ok("GET", f"/panic/{taken['panic_id']}")
        outcomes = {outcome["strategy_id"]: outcome["outcome"] for outcome in panic["strategies"]}
        assert (panic["state"], outcomes[locked.id]) == ("working", "working")
    finally:
        exchange.set_rules(f"NSE:{locked.symbol}", **WIDE, buyers=None)
        exchange.set_price(f"NSE:{locked.symbol}", 405.00)
    finished = eventually(
        lambda: (found := trader.ok("GET", f"/panic/{taken['panic_id']}"))["state"] == "finished" and found, 90, "flat"
    )
    assert {outcome["outcome"] for outcome in finished["strategies"]} == {"flat"}
    assert len(due.requests_of("BUY")) == len(SYMBOLS)
    sells = due.requests_of("SELL")
    assert sum(bool(request["faults"]) for request in sells) == 1, "the refusal hit one of the exits"
    assert due.orders() == []
    over_time = exchange.over_time(account)
    assert {row["net_quantity"] for row in over_time.values()} == {0}
    assert {row["lowest_quantity"] for row in over_time.values()} == {0}, "nothing was ever short: none was sold twice"


def _until_flat(strategy: Running) -> None:
    strategy.until(lambda _: strategy.net() == 0, 60, f"{strategy.symbol} is sold")
