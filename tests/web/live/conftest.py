"""The browser and the running stack: these tests run after those of `tests/acceptance`, on the same stack."""

import pytest

from tests.kit.trader import Deployment, Running, Trader

HELD_AT = 1500.00


@pytest.fixture
def trader(deployment: Deployment) -> Trader:
    """A new trader, registered and connected to the paper exchange."""
    return deployment.trader()


@pytest.fixture
def held(deployment: Deployment, trader: Trader) -> Running:
    """Ten INFY that are held, with a stop-loss that the price is far from."""
    deployment.exchange.set_price("NSE:INFY", HELD_AT)
    strategy = trader.strategy("INFY", buy_in=2, stop_loss=1400.00)
    strategy.until_position("bought")
    strategy.until(lambda status: status["guard"]["state"] == "guarded", what="guarded")
    return strategy
