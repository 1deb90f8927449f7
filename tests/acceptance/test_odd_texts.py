"""A broker's text may hold anything: the order's fate is recorded with a clean reason, and the strategy goes on."""

import time

import pytest

from tests.kit.trader import Deployment, Trader

ODD = "RMS: blocked \u0000 for nse_cm"
CLEAN = "RMS: blocked for nse_cm"


def _only(trader: Trader, side: str) -> dict[str, str]:
    return {"user_id": trader.account.user_id, "transaction_type": side}


@pytest.mark.parametrize("refusal", ["async-reject", "sync-reject"])
def test_a_buy_refused_with_an_odd_text_is_asked_once_and_ends(
    deployment: Deployment, trader: Trader, refusal: str
) -> None:
    deployment.exchange.fault(refusal, _only(trader, "BUY"), message=ODD)
    strategy = trader.strategy("INFY", buy_in=2)
    final = strategy.until_stopped()
    assert final["position"] == "buy_failed"
    assert CLEAN in final["message"]
    assert CLEAN in {line["reason"] for line in strategy.log()}
    assert len(strategy.requests()) == 1
    assert strategy.net() == 0


def test_a_sell_rejected_with_an_odd_text_is_tried_again_by_the_same_process_and_stop_answers(
    deployment: Deployment, trader: Trader
) -> None:
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
    strategy.until_position("bought")
    pid = deployment.actor_pid(strategy.actor)
    deployment.exchange.fault("async-reject", _only(trader, "SELL"), message=ODD, times=3)
    strategy.set_price(789.00)
    strategy.until(lambda s: "retrying" in s["message"])
    assert deployment.actor_pid(strategy.actor) == pid
    began = time.monotonic()
    assert strategy.stop().status_code in {200, 202}
    assert time.monotonic() - began < 10.5
    final = strategy.until_stopped(40)
    assert (final["position"], strategy.net()) == ("exited_by_sl", 0)
