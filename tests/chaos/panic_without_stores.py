"""A case: a panic while PostgreSQL, Valkey or both are killed, or stand still, on the real stack (row N8).

Everything of ours is sold once, by the exchange's ledger; nothing is bought; and when the store is back, the outcome of
each strategy is recorded, and the trader was notified. Ray's head is away in tests/cluster/test_nodes.py.
"""

from contextlib import ExitStack
from typing import Any

from config.stack.stack import Part, Stack
from tests.kit.paper import eventually
from tests.kit.parts import Away
from tests.kit.trader import Deployment, Running, Trader

OWN = 20
SOLD_WITHIN_S = 45.0
AWAY = {
    "postgresql": (Part.POSTGRES,),
    "valkey": (Part.VALKEY,),
    "both": (Part.POSTGRES, Part.VALKEY),
}
WARNED = {
    "postgresql": "PostgreSQL does not answer: until it is back",
    "valkey": "Redis does not answer. PostgreSQL has it",
    "both": "Neither PostgreSQL nor Redis answers",
}
HALTED = {"entries_forbidden", "redis_unavailable", "database_unavailable", "database_busy"}


def panic_without(stack: Stack, deployment: Deployment, which: str, how: Away) -> None:
    """Two positions, a BUY that is near and shares of the trader's own; a panic while `which` is away in this way."""
    exchange, trader = deployment.exchange, deployment.trader()
    account = trader.account.user_id
    own = {"instrument": "NSE:INFY", "opening_quantity": OWN, "average_price": 1400.0}
    exchange.set_holdings(account, own)
    held = [trader.strategy(symbol, buy_in=4) for symbol in ("INFY", "TCS")]
    for strategy in held:
        strategy.until_position("bought", 60)
    due = trader.strategy("LT", buy_in=12)
    with ExitStack() as away:
        for part in AWAY[which]:
            away.enter_context(how(stack, part))
        taken = trader.ok("POST", "/panic")
        assert deployment.now() < due.buy_at, "the machine was too slow to be there before the BUY"
        assert any(warning.startswith(WARNED[which]) for warning in taken["warnings"]), taken["warnings"]
        for strategy in held:
            _until_sold(strategy)
        refused = trader.call("POST", "/strategy/start", {"strategy_id": due.id})
        assert refused.json()["code"] in HALTED, refused.text
        eventually(lambda: (deployment.now() - due.buy_at).total_seconds() > 6, 40, "the BUY's time is over")
        assert due.orders() == []
    panic = eventually(lambda: _finished(trader, taken["panic_id"]), 90, "the panic is finished")
    assert {outcome["strategy_id"]: outcome["outcome"] for outcome in panic["strategies"]} == {
        strategy.id: "flat" for strategy in (*held, due)
    }
    assert panic["message"] == f"All is flat. Not touched: {OWN} INFY of your own"
    _was_told(trader)
    refused = trader.call("POST", "/strategy/start", {"strategy_id": due.id})
    assert (refused.status_code, refused.json()["code"]) == (409, "entries_forbidden")
    _sold_once(trader, [strategy.symbol for strategy in held])
    trader.ok("POST", "/auth/confirm", {"password": trader.password})
    assert trader.ok("POST", "/risk/unlock") == {"entries_forbidden": False}
    assert trader.ok("POST", "/strategy/start", {"strategy_id": due.id})["strategy_status"] == "running"
    assert due.stop().status_code == 200


def _until_sold(strategy: Running) -> None:
    """By the exchange's ledger: the API may not answer."""
    eventually(lambda: strategy.net() == 0, SOLD_WITHIN_S, f"{strategy.symbol} is sold")


def _finished(trader: Trader, panic_id: str) -> dict[str, Any]:
    """The panic, once nothing of it is open; the store may have just come back, and not know it yet."""
    answer = trader.call("GET", f"/panic/{panic_id}")
    found: dict[str, Any] = answer.json() if answer.is_success else {}
    return found if found.get("state") == "finished" else {}


def _was_told(trader: Trader) -> None:
    told = [row["text"] for row in trader.ok("GET", "/notifications")["notifications"] if row["kind"] == "panic"]
    done, called = told
    assert called.startswith("PANIC: nothing more is bought, 3 strategies are being ended")
    assert done == f"PANIC is done. All is flat. Not touched: {OWN} INFY of your own."


def _sold_once(trader: Trader, symbols: list[str]) -> None:
    """By the exchange's ledger: of each what was bought, once, and no other share."""
    ledger = trader.deployment.exchange.ledger(user_id=trader.account.user_id)["accounts"][trader.account.user_id]
    filled = [order for order in ledger["orders"] if order["filled_quantity"]]
    sold = [(o["tradingsymbol"], o["product"], o["filled_quantity"]) for o in filled if o["transaction_type"] == "SELL"]
    assert sorted(sold) == sorted((symbol, "MIS", 10) for symbol in symbols)
    rows = trader.deployment.exchange.over_time(trader.account.user_id)
    assert {row["lowest_quantity"] for row in rows.values()} == {0}, "nothing was ever short: none was sold twice"
