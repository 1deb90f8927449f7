"""What the trader and the broker do behind the engine's back, on the whole stack: no account is ever short (row M1)."""

import json

import pytest

from tests.kit.paper import eventually
from tests.kit.trader import Deployment, Running, Trader

STOP = 1490.0


@pytest.fixture
def holding(deployment: Deployment, trader: Trader) -> Running:
    """A strategy that has bought 10 INFY at 1510 and guards them."""
    deployment.exchange.set_price("NSE:INFY", 1510)
    strategy = trader.strategy("INFY", buy_in=2, stop_loss=STOP)
    strategy.until_position("bought")
    return strategy


def sell_by_hand(strategy: Running, quantity: int = 10, **fields: object) -> None:
    """The trader sells in the Kite app."""
    terms = {"tradingsymbol": strategy.symbol, "transaction_type": "SELL", "quantity": quantity, **fields}
    order_id = strategy.deployment.exchange.foreign_order(strategy.trader.account.user_id, **terms)
    eventually(
        lambda: any(o["order_id"] == order_id and o["status"] == "COMPLETE" for o in strategy.orders()), 10, "sold"
    )


def test_a_sale_by_hand_and_a_touch_of_the_stop_at_once_never_go_short(holding: Running) -> None:
    sell_by_hand(holding)
    holding.set_price(STOP - 10)
    ended = holding.until_stopped()
    assert ended["status_detail"] == "closed_outside"
    assert (holding.net(), len(holding.sides())) == (0, 2)


def test_a_strategy_that_restarts_into_a_sale_by_hand_sells_nothing(holding: Running) -> None:
    holding.kill_actor()
    sell_by_hand(holding)
    holding.set_price(STOP - 10)
    assert holding.until_stopped()["status_detail"] == "closed_outside"
    assert holding.net() == 0


def test_the_word_of_the_trader_brings_the_guard_back(deployment: Deployment, trader: Trader) -> None:
    deployment.exchange.set_price("NSE:INFY", 1510)
    deployment.exchange.foreign_order(
        trader.account.user_id, tradingsymbol="INFY", transaction_type="BUY", quantity=50, product="MIS"
    )
    strategy = trader.strategy("INFY", buy_in=2, stop_loss=STOP)
    strategy.until_position("bought")
    sell_by_hand(strategy)
    assert strategy.until_stopped()["status_detail"] == "closed_outside"
    assert trader.call("POST", f"/strategy/{strategy.id}/closed").json()["code"] == "nothing_held"
    trader.ok("POST", f"/strategy/{strategy.id}/held")
    strategy.until_position("bought")
    assert trader.call("POST", f"/strategy/{strategy.id}/held").json()["code"] == "not_closed_outside"
    assert trader.call("POST", f"/strategy/{strategy.id}/closed").json()["code"] == "still_held"
    strategy.set_price(STOP - 10)
    assert strategy.until_stopped()["position"] == "exited_by_sl"
    assert strategy.net() == 40
    assert "HELD_BY_TRADER" in strategy.logged()


def test_the_word_of_the_trader_ends_the_doubt_about_a_run_that_a_restore_has_left(
    deployment: Deployment, trader: Trader, holding: Running
) -> None:
    sell_by_hand(holding)
    assert holding.until_stopped()["status_detail"] == "closed_outside"
    in_doubt = {"detail": "needs_confirmation", "message": "Whether they were sold since cannot be seen any more"}
    deployment.query(
        "UPDATE runs SET status_detail = 'needs_confirmation', position = 'bought', state = state || %s::jsonb "
        "WHERE strategy_id = %s RETURNING id",
        json.dumps(in_doubt),
        holding.id,
    )
    ended_at = deployment.query("SELECT ended_at FROM runs WHERE strategy_id = %s", holding.id)
    told = trader.ok("POST", f"/strategy/{holding.id}/closed")
    assert (told["strategy_status"], told["position"], told["status_detail"]) == ("stopped", "sold", "closed_outside")
    assert told["guard"]["state"] == "nothing"
    assert "CLOSED_BY_TRADER" in holding.logged()
    assert deployment.query("SELECT ended_at FROM runs WHERE strategy_id = %s", holding.id) == ended_at
    assert trader.call("POST", f"/strategy/{holding.id}/closed").json()["code"] == "nothing_held"


def test_shares_of_the_traders_own_are_never_sold(deployment: Deployment) -> None:
    trader = Trader(deployment)
    trader.account = deployment.exchange.new_account(holdings={"NSE:INFY": 100})
    trader.register()
    trader.connect()
    deployment.exchange.set_price("NSE:INFY", 1510)
    sold_first = {"tradingsymbol": "INFY", "transaction_type": "SELL", "quantity": 60, "product": "CNC"}
    deployment.exchange.foreign_order(trader.account.user_id, **sold_first)
    strategy = trader.strategy("INFY", buy_in=2, stop_loss=STOP, product="CNC")
    strategy.until_position("bought")
    sell_by_hand(strategy, 10, product="CNC")
    strategy.set_price(STOP - 10)
    assert strategy.until_stopped()["status_detail"] == "closed_outside"
    assert strategy.net() == -60
