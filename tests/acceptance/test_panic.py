"""Panic on the real stack (row N8): what was bought is sold, what is due is not bought, what is the owner's stays."""

import re
import subprocess
import sys
import time
from typing import Any

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader


def finished(trader: Trader, panic_id: str, timeout: float = 60) -> dict[str, Any]:
    """The panic, once nothing of it is open."""

    def look() -> dict[str, Any]:
        panic = trader.ok("GET", f"/panic/{panic_id}")
        return panic if panic["state"] == "finished" else {}

    return eventually(look, timeout, "the panic is finished")


def test_a_panic_sells_what_was_bought_sends_no_buy_that_is_due_and_touches_nothing_else(
    deployment: Deployment, trader: Trader
) -> None:
    exchange, account = deployment.exchange, trader.account.user_id
    exchange.set_holdings(account, {"instrument": "NSE:RELIANCE", "opening_quantity": 20, "average_price": 2000.0})
    held = [trader.strategy(symbol, buy_in=2) for symbol in ("INFY", "TCS")]
    waiting = trader.strategy("SBIN", buy_in=600, sell_in=1200)
    for strategy in held:
        strategy.until_position("bought")
    due = trader.strategy("HDFCBANK", buy_in=6)
    _sleep_until(due, before_s=0.5)  # it was handed over, with its claim taken, two seconds before
    taken = trader.ok("POST", "/panic")
    panic = finished(trader, taken["panic_id"])
    assert taken["entries_forbidden"]
    assert taken["warnings"] == []
    assert [(strategy.sides(), strategy.net()) for strategy in held] == [(["BUY", "SELL"], 0)] * 2
    assert (due.orders(), waiting.orders()) == ([], []), "a BUY that was due in that second was sent"
    assert {outcome["strategy_id"]: outcome["outcome"] for outcome in panic["strategies"]} == {
        strategy.id: "flat" for strategy in (*held, due, waiting)
    }
    assert [(s["symbol"], s["product"], s["quantity"]) for s in panic["not_touched"]] == [("RELIANCE", "CNC", 20)]

    assert trader.ok("POST", "/panic")["panic_id"] == taken["panic_id"]
    refused = trader.call("POST", "/strategy/start", {"strategy_id": waiting.id})
    assert (refused.status_code, refused.json()["code"]) == (409, "entries_forbidden")
    trader.ok("POST", "/auth/confirm", {"password": trader.password})
    assert trader.ok("POST", "/risk/unlock") == {"entries_forbidden": False}
    assert trader.ok("POST", "/strategy/start", {"strategy_id": waiting.id})["strategy_status"] == "running"
    assert waiting.stop().status_code == 200


def test_the_operator_ends_what_every_user_runs_and_each_allows_entries_again(
    deployment: Deployment, trader: Trader
) -> None:
    other = deployment.trader()
    held = [trader.strategy("INFY", buy_in=2), other.strategy("TCS", buy_in=2)]
    waiting = other.strategy("SBIN", buy_in=600, sell_in=1200)
    for strategy in held:
        strategy.until_position("bought")
    argv = [sys.executable, "-P", "-m", "config.commands.cli", "panic", "--all"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Entries are forbidden; users: \d+, strategies that run: 3\.", done.stdout), done.stdout
    for strategy in (*held, waiting):
        strategy.until_stopped(60)
    assert [(strategy.sides(), strategy.net()) for strategy in held] == [(["BUY", "SELL"], 0)] * 2
    assert waiting.orders() == []
    start = {"strategy_id": waiting.id}
    assert other.call("POST", "/strategy/start", start).json()["code"] == "entries_forbidden"
    for each in (trader, other):
        each.ok("POST", "/auth/confirm", {"password": each.password})
        assert each.ok("POST", "/risk/unlock") == {"entries_forbidden": False}
    assert other.ok("POST", "/strategy/start", start)["strategy_status"] == "running"
    assert waiting.stop().status_code == 200


def _sleep_until(strategy: Running, before_s: float) -> None:
    """The instant is what is tested, so it is waited for by the clock."""
    left = (strategy.buy_at - strategy.deployment.now()).total_seconds() - before_s
    assert left > 0, "the machine was too slow to be there before the BUY"
    time.sleep(left)
