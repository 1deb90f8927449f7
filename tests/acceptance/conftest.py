"""Traders for the acceptance tests."""

import pytest

from tests.kit.trader import Deployment, Running, Trader


@pytest.fixture
def trader(deployment: Deployment) -> Trader:
    """A new trader, registered and connected to the paper exchange."""
    return deployment.trader()


@pytest.fixture
def without_login(deployment: Deployment, trader: Trader) -> Running:
    """A strategy whose stop-loss is touched while the trader's login at the broker has ended: its exit waits."""
    deployment.exchange.set_price("NSE:SBIN", 800.00)
    strategy = trader.strategy("SBIN", buy_in=2, stop_loss=790.00)
    strategy.until_position("bought")
    deployment.exchange.expire_token(trader.account.user_id)
    strategy.set_price(789.00)
    strategy.until(lambda s: s["status_detail"] == "broker_session_expired")
    return strategy
